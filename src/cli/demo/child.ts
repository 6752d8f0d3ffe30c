// A process of the demo: this same program with another verb, its log read line by line, its end awaited.

import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { type Exit, endProcess, type Running, startProcess } from "#agent/process.ts";
import { KodiakError } from "#lib/failure.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Resolves with the fields of the first line whose message matches; rejects when the process ends before. */
  said(message: RegExp): Promise<JsonObject>;
  /** SIGTERM, as a service manager would; resolves when it is gone, with how. */
  end(): Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** When it is gone, however: how, and the last lines it wrote. */
  readonly ended: Promise<string>;
}

export interface ChildOptions {
  /** Logs go to `<folder>/<name>.log`. */
  readonly folder: string;
  readonly name: string;
  readonly args: readonly string[];
  /** Absent: the program that runs. */
  readonly program?: string;
  /** What runs it, as `ip netns exec …` does; ends with it. */
  readonly by?: readonly string[];
}

/** Longer than any drain time that the demo sets. */
const endGraceMs = 20_000;
const tailLines = 12;
/** Starting all at once on two cores takes a few seconds. */
const readyMs = 60_000;

export async function startChild({ folder, name, args, program, by = [] }: ChildOptions): Promise<Child> {
  const log = createWriteStream(join(folder, `${name}.log`));
  const lines: string[] = [];
  const waiting = new Set<(line: string) => void>();
  const entry = program ?? process.argv[1] ?? "";
  const [command = "", ...words] = [...by, process.execPath, entry, ...args];
  const running: Running = await startProcess(command, words, {
    // Everything that a process leaves in a temporary place lies in the demo's folder, and goes with it.
    // Control planes side by side take any free port for diagnostics.
    env: { ...process.env, TMPDIR: folder, KODIAK_LOG_FORMAT: "json", KODIAK_DIAGNOSTICS_PORT: "0" },
    orphaned: { removes: [folder] },
    onLine(line) {
      log.write(`${line}\n`);
      lines.push(line);
      if (lines.length > 200) lines.shift();
      for (const tell of waiting) tell(line);
    },
  });
  running.exit.then(() => log.end());
  const tail = (): string => lines.slice(-tailLines).join("\n");
  const ended = running.exit.then(({ signal, code }) => `ended (${signal ?? `code ${code}`})\n${tail()}`);

  return {
    name,
    pid: running.pid,
    said(message) {
      const found = lines.map(fieldsOf).find((fields) => isMatch(fields, message));
      if (found) return Promise.resolve(found);
      return new Promise((resolve, reject) => {
        const tell = (line: string): void => {
          const fields = fieldsOf(line);
          if (!fields || !isMatch(fields, message)) return;
          waiting.delete(tell);
          clearTimeout(late);
          resolve(fields);
        };
        waiting.add(tell);
        const late = setTimeout(() => {
          if (!waiting.delete(tell)) return;
          reject(
            new KodiakError({
              kind: "unavailable",
              what: `${name} was not ready after ${readyMs / 1000} s:\n${tail()}`,
            }),
          );
        }, readyMs);
        ended.then((how) => {
          if (!waiting.delete(tell)) return;
          clearTimeout(late);
          reject(new KodiakError({ kind: "unavailable", what: `before it was ready, ${name} ${how}` }));
        });
      });
    },
    end: () => endProcess(running, endGraceMs, new AbortController().signal),
    kill: (signal) => running.kill(signal),
    ended,
  };
}

const isMatch = (fields: JsonObject | undefined, message: RegExp): boolean =>
  typeof fields?.msg === "string" && message.test(fields.msg);

function fieldsOf(line: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

// What the bench starts and calls: processes that can be ended at any time, and control planes' HTTP APIs.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, startChild } from "#cli/demo/child.ts";
import { request } from "#host/https.ts";
import type { JsonObject } from "#lib/json.ts";

export const program = fileURLToPath(new URL("../dist/kodiak.js", import.meta.url));

/** What takes longer has failed. */
export const longestMs = 600_000;

/** All that is started, so that it can be ended at any time, also while more is being started. */
export interface Processes {
  readonly folder: string;
  /** Resolves with the fields of the line that says it is ready. */
  run(name: string, args: readonly string[], isReady: RegExp, entry?: string): Promise<JsonObject>;
  pidOf(name: string): number;
  /** Ends one of them, which is then expected to be gone. */
  end(name: string): Promise<void>;
  /** Names of those that are gone. */
  ended(): readonly string[];
  close(): Promise<void>;
}

export async function processes(): Promise<Processes> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-bench-"));
  const children: Child[] = [];
  let isClosed = false;
  const named = (name: string): Child => {
    const child = children.find((one) => one.name === name);
    if (!child) throw new Error(`no process ${name}`);
    return child;
  };
  return {
    folder,
    pidOf: (name) => named(name).pid,
    async end(name) {
      const child = named(name);
      children.splice(children.indexOf(child), 1);
      await child.end();
    },
    async run(name, args, isReady, entry = program) {
      if (isClosed) throw new Error("the bench has ended");
      const child = await startChild({ folder, name, args, program: entry });
      if (isClosed) await child.end();
      children.unshift(child);
      return child.said(isReady);
    },
    ended: () => children.filter(({ pid }) => !isAlive(pid)).map(({ name }) => name),
    // Last started first: proxies leave before their control plane goes.
    async close() {
      isClosed = true;
      for (const child of children) await child.end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function send(method: string, url: string, body?: object): Promise<string> {
  const headers = { "content-type": "application/json" };
  const call = { url, method, headers, timeoutMs: longestMs };
  const answer = await request({ ...call, ...(body && { body: JSON.stringify(body) }) });
  const text = Buffer.from(answer.body).toString();
  if (answer.status >= 300) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return text;
}

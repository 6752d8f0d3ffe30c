// A child process: started, its lines read, its end awaited. Knows nothing of meshes.
// A child leads its own session, so that Ctrl-C in a terminal reaches only this program, which ends the child in its own time.

import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { type NamedPipe, openNamedPipe } from "#agent/named-pipe.ts";
import { KodiakError } from "#lib/failure.ts";

export interface Exit {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}
export const describeExit = (exit: Exit): string =>
  exit.signal === undefined ? `with code ${exit.code}` : `by ${exit.signal}`;

export interface Running {
  readonly pid: number;
  /** Resolves when the process is gone with its guard, and its last line was handed over. */
  readonly exit: Promise<Exit>;
  /** Does nothing once it is gone. */
  kill(signal: NodeJS.Signals): void;
}

type OutputName = "stdout" | "stderr";

export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Its standard input; without it there is none. */
  readonly input?: string;
  readonly onLine?: (line: string, stream: OutputName) => void;
  /** It may open /dev/stdout and /dev/stderr, as Envoy does to log there. */
  readonly opensOutput?: boolean;
  /** Should this program die without a word (kill -9), the child is killed and these paths are removed. */
  readonly orphaned?: { readonly removes: readonly string[] };
}

/** Rejects with `unavailable` where the program cannot be started. */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: StartOptions = {},
): Promise<Running> {
  const pipes = options.opensOutput ? [await openNamedPipe(), await openNamedPipe()] : [];
  const child = spawned(command, args, options, pipes);
  // Who ends without having read it says why by itself.
  child.stdin?.on("error", () => {}).end(options.input);
  const read = (input: Readable, stream: OutputName) =>
    once(
      createInterface({ input }).on("line", (line) => options.onLine?.(line, stream)),
      "close",
    );
  const [stdout, stderr] = pipes;
  const lastLines = [read(stdout?.reader ?? child.stdout!, "stdout"), read(stderr?.reader ?? child.stderr!, "stderr")];
  const gone = once(child, "close");
  try {
    await once(child, "spawn");
  } catch (error) {
    gone.catch(() => {});
    throw notStarted(command, error);
  }
  const guard = options.orphaned && startGuard(child.pid!, options.orphaned.removes);
  return { pid: child.pid!, exit: exitOf(), kill: (signal) => void child.kill(signal) };

  async function exitOf(): Promise<Exit> {
    const [code, signal] = await gone;
    await Promise.all(lastLines);
    await guard?.end();
    return { code: code ?? undefined, signal: signal ?? undefined };
  }
}

function spawned(
  command: string,
  args: readonly string[],
  { input, env }: StartOptions,
  pipes: readonly (NamedPipe | undefined)[],
): ChildProcess {
  const [stdout = "pipe", stderr = "pipe"] = pipes.map((pipe) => pipe?.writer);
  const stdio: StdioOptions = [input === undefined ? "ignore" : "pipe", stdout, stderr];
  try {
    return spawn(command, args, { detached: true, stdio, ...(env && { env }) });
  } catch (error) {
    for (const pipe of pipes) pipe?.reader.destroy();
    throw notStarted(command, error);
  } finally {
    for (const pipe of pipes) pipe?.closeWriter();
  }
}

const notStarted = (command: string, error: unknown): KodiakError =>
  new KodiakError({ kind: "unavailable", what: `${command} cannot be started: ${reasonOf(error)}` }, { cause: error });

/**
 * A shell that waits for the end of a pipe whose other end only this program holds: the kernel closes it however we die. Node has
 * no prctl(PR_SET_PDEATHSIG), and this works on every POSIX system.
 */
function startGuard(pid: number, removes: readonly string[]): { end(): Promise<void> } {
  const script = 'read -r _; kill -KILL "$1"; shift; rm -rf -- "$@"';
  const guard = spawn("/bin/sh", ["-c", script, "guard", String(pid), ...removes], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  // It must not keep this program from ending.
  guard.unref();
  const gone = new Promise<void>((resolve) => {
    for (const event of ["exit", "error"]) guard.once(event, () => resolve());
  });
  return {
    end() {
      guard.ref();
      guard.kill("SIGKILL");
      return gone;
    },
  };
}

/** SIGTERM, and SIGKILL for what is still there after the grace or when `now` is aborted. */
export async function endProcess(running: Running, graceMs: number, now: AbortSignal): Promise<Exit> {
  running.kill(now.aborted ? "SIGKILL" : "SIGTERM");
  const kill = (): void => running.kill("SIGKILL");
  const timer = setTimeout(kill, graceMs);
  now.addEventListener("abort", kill);
  try {
    return await running.exit;
  } finally {
    clearTimeout(timer);
    now.removeEventListener("abort", kill);
  }
}

/** Runs a program to its end. */
export async function run(
  command: string,
  args: readonly string[],
  options: Omit<StartOptions, "orphaned"> = {},
): Promise<{ readonly exit: Exit; readonly lines: readonly string[] }> {
  const lines: string[] = [];
  const onLine: StartOptions["onLine"] = (line, stream) => {
    lines.push(line);
    options.onLine?.(line, stream);
  };
  const running = await startProcess(command, args, { ...options, onLine });
  return { exit: await running.exit, lines };
}

/** Resolves early, without an error, when the signal is aborted. */
export async function pauseUnless(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {});
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "it is not executable",
  ENOEXEC: "it is no program for this system",
};
const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return reasons[code] ?? (error instanceof Error ? error.message : String(error));
};

// Sends inputs by the thousand to a control plane in a process of its own, while a well-behaved client goes on. What is asserted:
// the process lives and logs no error, no answer says that something failed unexpectedly, the client is served all the time,
// memory stays bounded, no line of the log is long or has a secret in it, and no stream is left. `FUZZ_SEED=…` repeats a run that
// failed, `FUZZ_COUNT=…` sends as many.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { eventually, patience } from "../lab/lab.ts";
import { times } from "../lab/soak.ts";
import type { ControlPlane, Processes } from "../processes/processes.ts";
import type { Sending, Sent } from "./sending-thread.ts";

export interface Port extends Omit<Sending, "seed" | "count"> {
  readonly at: ControlPlane;
  /** Of the inputs that the port gets, where several kinds of callers send them: one of so many. 1 if absent. */
  readonly kinds?: number;
  /** What a well-behaved client of this port does, now and then and at the end. */
  readonly bystander: () => Promise<void>;
}

const bystanderMs = 5_000 * patience;
const mostGrowthBytes = 300 * 1024 * 1024;
const mostLineBytes = 16 * 1024;

export async function fuzzed(
  t: TestContext,
  of: Processes,
  { at, bystander, kinds = 1, ...sending }: Port,
): Promise<void> {
  const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
  const count = Math.ceil(Number(process.env.FUZZ_COUNT ?? times(10_000, 1_000_000)) / kinds);
  const { token, user, reader } = sending.facts;
  const log = newLinesOf(join(of.folder, `${at.child.name}.log`));
  await log();
  const before = await memoryBytes(at, "VmRSS");
  const streamsBefore = await openStreams(at);
  let began = { atMs: performance.now(), ownMs: ownCpuMs(), itsMs: await cpuMs(at) };
  let latest: Sent = { sent: 0, answers: new Map() };
  let lines = 0;
  let served = 0;
  let slowestMs = 0;

  async function goOn(): Promise<void> {
    const askedMs = performance.now();
    await bystander();
    served++;
    slowestMs = Math.max(slowestMs, performance.now() - askedMs);
    assert.ok(slowestMs < bystanderMs, `a well-behaved client waited for ${slowestMs} ms`);
    for (const line of await log()) {
      lines++;
      wrongWithLine(line, [token, user, reader]);
    }
  }
  async function sendAll(): Promise<void> {
    const workerData: Sending = { ...sending, seed, count };
    const thread = new Worker(new URL("./sending-thread.ts", import.meta.url), { workerData });
    let turn: Promise<void> | undefined;
    let failure: unknown;
    // Its program is loaded.
    thread.once("message", () => {
      began = { ...began, atMs: performance.now(), ownMs: ownCpuMs() };
    });
    thread.on("message", (sent: Sent) => {
      latest = sent;
      turn ??= goOn()
        .catch((error) => {
          failure = error;
          void thread.terminate();
        })
        .finally(() => {
          turn = undefined;
        });
    });
    try {
      await once(thread, "exit");
    } finally {
      await turn;
    }
    if (failure !== undefined) throw failure;
    await goOn();
  }
  try {
    await sendAll();
    const { sent, answers } = latest;
    const grownBytes = (await memoryBytes(at, "VmHWM")) - before;
    const each = (ms: number): string => (ms / sent).toFixed(2);
    const perSecond = Math.round((sent / (performance.now() - began.atMs)) * 1_000);
    t.diagnostic(
      `${sent} inputs, ${perSecond} a second; ms of CPU for each: ${each(ownCpuMs() - began.ownMs)} here, ${each((await cpuMs(at)) - began.itsMs)} there; ${served} times a well-behaved client meanwhile, at most ${Math.round(slowestMs)} ms; memory grew by ${Math.round(grownBytes / 2 ** 20)} MiB; ${lines} lines of log; ${wordsOf(answers)}`,
    );
    assert.equal(sent, count);
    assert.ok(grownBytes < mostGrowthBytes, `memory grew by ${grownBytes} bytes`);
    await eventually("no stream is left", 20_000, async () => assert.equal(await openStreams(at), streamsBefore));
  } catch (error) {
    const why = error instanceof Error ? error.stack : error;
    throw new Error(`FUZZ_SEED=${seed} repeats it: ${why}\n${await lifeOf(at)}`);
  }
}

/** A process that ends closes its port a moment before it is gone. */
const lifeOf = ({ child: { name, ended } }: ControlPlane): Promise<string> =>
  Promise.race([ended.then((how) => `${name} ${how}`), pause(1_000, `${name} lives`)]);

function wrongWithLine(line: string, secrets: readonly string[]): void {
  assert.ok(line.startsWith("{"), `no JSON in its log: ${line.slice(0, 2_000)}`);
  const { level } = JSON.parse(line);
  assert.ok(level < 50, `an error in its log: ${line.slice(0, 2_000)}`);
  assert.ok(line.length <= mostLineBytes, `a line of ${line.length} bytes in its log: ${line.slice(0, 2_000)}`);
  for (const secret of secrets) assert.ok(!line.includes(secret), `a secret in its log: ${line.slice(0, 2_000)}`);
}

const wordsOf = (counts: ReadonlyMap<string, number>): string =>
  [...counts]
    .sort(([, a], [, b]) => b - a)
    .map(([what, count]) => `${what}: ${count}`)
    .join(", ");

/** Of a process that lives: `VmRSS` is now, `VmHWM` the most since it began. */
async function memoryBytes({ child }: ControlPlane, what: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, "utf8");
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
}

function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** User's and system's, of a process that lives. */
async function cpuMs({ child }: ControlPlane): Promise<number> {
  const stat = await readFile(`/proc/${child.pid}/stat`, "utf8");
  const [user, system] = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .slice(11, 13);
  // A tick of /proc's is 10 ms wherever Node runs.
  return (Number(user) + Number(system)) * 10;
}

/** gRPC streams that clients have open, by its own count. */
async function openStreams({ ready }: ControlPlane): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${ready.diagnosticsPort}/metrics`)).text();
  const rows = [...metrics.matchAll(/^kodiak_grpc_streams\{.*\} (\d+)$/gm)];
  return rows.reduce((sum, [, open]) => sum + Number(open), 0);
}

/** Each call resolves with the whole lines that have come since the last. */
function newLinesOf(file: string): () => Promise<readonly string[]> {
  let position = 0;
  let rest = "";
  return async () => {
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(size - position), 0, size - position, position);
      position += bytesRead;
      const lines = (rest + buffer.toString("utf8")).split("\n");
      rest = lines.pop() ?? "";
      return lines;
    } finally {
      await handle.close();
    }
  };
}

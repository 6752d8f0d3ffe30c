// Sends inputs by the thousand to a control plane in a process of its own, while a well-behaved client goes on. What is asserted:
// the process lives and logs no error, no answer says that something failed unexpectedly, the client is served all the time,
// memory stays bounded, no line of the log is long or has a secret in it, and no stream is left. `FUZZ_SEED=…` repeats a run that
// failed, `FUZZ_COUNT=…` sends as many.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import fc from "fast-check";
import type { Identity } from "#host/world.ts";
import { eventually, patience } from "../lab/lab.ts";
import { times } from "../lab/soak.ts";
import type { ControlPlane, Processes } from "../processes/processes.ts";
import type { Input } from "./inputs.ts";
import { type Answered, sender, usualLanes } from "./sending.ts";

export interface Port {
  readonly at: ControlPlane;
  readonly port: number;
  readonly isTls: boolean;
  readonly inputs: fc.Arbitrary<Input>;
  /** What lanes show; as many lanes as there are. */
  readonly identities?: readonly Identity[];
  /** What is wrong with an answer, beside what is wrong with any. */
  readonly wrong?: (input: Input, answered: Answered) => string | undefined;
  /** What a well-behaved client of this port does, again and again. */
  readonly bystander: () => Promise<void>;
  /** Texts of which no log may have one. */
  readonly secrets: readonly string[];
}

const batch = 1_000;
const bystanderMs = 5_000 * patience;
const mostGrowthBytes = 300 * 1024 * 1024;
const mostLineBytes = 16 * 1024;

export async function fuzzed(t: TestContext, of: Processes, on: Port): Promise<void> {
  const { at, inputs } = on;
  const seed = Number(process.env.FUZZ_SEED ?? randomInt(2 ** 31));
  const count = Number(process.env.FUZZ_COUNT ?? times(10_000, 1_000_000));
  const { send, close } = sender(on.port, on.isTls, on.identities);
  const log = newLinesOf(join(of.folder, `${at.child.name}.log`));
  await log();
  const before = await memoryBytes(at, "VmRSS");
  const streamsBefore = await openStreams(at);
  const beganMs = performance.now();
  const answers = new Map<string, number>();
  let isOver = false;
  let served = 0;
  let slowestMs = 0;
  let sent = 0;

  async function goOn(): Promise<void> {
    do {
      const askedMs = performance.now();
      await on.bystander();
      served++;
      slowestMs = Math.max(slowestMs, performance.now() - askedMs);
    } while (!isOver);
  }
  async function sendOne(input: Input, lane: number): Promise<void> {
    const answered = await send(input, lane).catch((error) => {
      throw new Error(`${error.message}: ${shown(input)}`, { cause: error });
    });
    if (!answered) return;
    sent++;
    const word = answered.grpcStatus === "" ? `${input.kind} ${answered.status}` : `grpc ${answered.grpcStatus}`;
    answers.set(word, (answers.get(word) ?? 0) + 1);
    const why = wrongWithAny(answered) ?? on.wrong?.(input, answered);
    if (why !== undefined) throw new Error(`${why}: ${shown(input)}`);
  }
  async function sendAll(): Promise<void> {
    for (let from = seed; sent < count; from++) {
      const those = fc.sample(inputs, { seed: from, numRuns: batch })[Symbol.iterator]();
      const lanes = on.identities?.length ?? usualLanes;
      await Promise.all(
        Array.from({ length: lanes }, async (_, lane) => {
          for (const input of those) await sendOne(input, lane);
        }),
      );
      for (const line of await log()) wrongWithLine(line, on.secrets);
    }
  }
  try {
    await Promise.all([sendAll().finally(() => (isOver = true)), goOn()]);
    assert.ok(slowestMs < bystanderMs, `a well-behaved client waited for ${slowestMs} ms`);
    const grownBytes = (await memoryBytes(at, "VmHWM")) - before;
    const perSecond = Math.round((sent / (performance.now() - beganMs)) * 1_000);
    t.diagnostic(
      `${sent} inputs, ${perSecond} a second; ${served} times a well-behaved client meanwhile, at most ${Math.round(slowestMs)} ms; memory grew by ${Math.round(grownBytes / 2 ** 20)} MiB; ${wordsOf(answers)}`,
    );
    assert.ok(grownBytes < mostGrowthBytes, `memory grew by ${grownBytes} bytes`);
    close();
    await eventually("no stream is left", 20_000, async () => assert.equal(await openStreams(at), streamsBefore));
  } catch (error) {
    throw new Error(`FUZZ_SEED=${seed} repeats it: ${error instanceof Error ? error.stack : error}`);
  } finally {
    close();
  }
}

/** gRPC's libraries say `internal` of what breaks gRPC's own rules, and Kuma `unknown` of who is refused; ours say why. */
const toldInternal =
  /^(a compressed message on a stream with|a message is not valid gzip|the peer ended the stream within|a unary call with)/;

function wrongWithAny({ status, grpcStatus, message }: Answered): string | undefined {
  // Of a key that is not known yet: ask again.
  if (status >= 500 && status !== 503) return `status ${status}`;
  if (grpcStatus === "13" && !toldInternal.test(message)) return `internal: ${message}`;
  return grpcStatus === "2" && /\b\w*Error\b/.test(message) ? `unknown: ${message}` : undefined;
}

function wrongWithLine(line: string, secrets: readonly string[]): void {
  assert.ok(line.startsWith("{"), `no JSON in its log: ${line.slice(0, 2_000)}`);
  const { level } = JSON.parse(line);
  assert.ok(level < 50, `an error in its log: ${line.slice(0, 2_000)}`);
  assert.ok(line.length <= mostLineBytes, `a line of ${line.length} bytes in its log: ${line.slice(0, 2_000)}`);
  for (const secret of secrets) assert.ok(!line.includes(secret), `a secret in its log: ${line.slice(0, 2_000)}`);
}

const shown = (input: Input): string =>
  JSON.stringify(input, (_, value) =>
    value?.type === "Buffer" ? Buffer.from(value.data).subarray(0, 2_000).toString("latin1") : value,
  );

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

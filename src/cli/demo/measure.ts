// How the demo measures: at the client, from an action to the first or the last request that shows it.

import { setTimeout as pause } from "node:timers/promises";
import { atOnce, type Call, type Client, isFailed, sharesOf, shareText, type Watch } from "#cli/demo/client.ts";
import type { Stage } from "#cli/demo/stage.ts";

export interface Live {
  readonly stage: Stage;
  readonly client: Client;
}

/** Deadline of each wait. */
const patienceMs = process.env.CI ? 90_000 : 30_000;
/** So many requests in a row make sure that it stays so. */
const enough = 300;

export function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** Asks again after a turn of the event loop, or `everyMs`. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, everyMs = 0): Promise<void> {
  const end = performance.now() + patienceMs;
  let last = "";
  while (performance.now() < end) {
    try {
      if (await isSo()) return;
    } catch (error) {
      last = `: ${String(error)}`;
    }
    await pause(everyMs);
  }
  throw new Error(`waited ${patienceMs / 1000} s for ${what}${last}`);
}

export async function watching<T>(client: Client, run: (watch: Watch) => Promise<T>): Promise<T> {
  const watch = client.watch();
  try {
    return await run(watch);
  } finally {
    watch.end();
  }
}

/** Milliseconds from the action to the first answer with this status. */
export async function timed({ client }: Live, act: () => Promise<void>, path: string, status: number): Promise<number> {
  const start = performance.now();
  await act();
  await until(`status ${status}`, async () => (await client.call(path)).status === status);
  return Math.round(performance.now() - start);
}

export interface Loss {
  /** From the action to the last request that failed or was answered by what is gone. */
  readonly ms: number;
  readonly failed: number;
  readonly sent: number;
}

/** What the loss of these instances costs. `act` resolves with the moment at which it happened. */
export const lossOf = ({ client }: Live, instances: readonly string[], act: () => Promise<number>): Promise<Loss> =>
  watching(client, async ({ calls }) => {
    const isBefore = ({ instance }: Call): boolean => instances.includes(instance);
    const start = await act();
    const first = calls.length;
    await until(
      `answers from others than ${instances.join(", ")}`,
      () => calls.length >= first + enough && !calls.slice(-enough).some(isBefore),
      5,
    );
    const last = calls.findLast((call) => call.endedMs >= start && (isBefore(call) || isFailed(call)));
    const ms = last ? Math.round(last.endedMs - start) : 0;
    return { ms, failed: calls.filter(isFailed).length, sent: calls.length };
  });

export const lossText = ({ ms, failed }: Loss): string => `${ms} ms   ${failed} failed`;

/** What was under way is lost with it, one request for each that the client had in flight. */
export const mostLost = atOnce;

/** Milliseconds from the action to the first answer of this instance, and what failed meanwhile. */
export const gainOf = ({ client }: Live, instance: string, act: () => Promise<void>): Promise<Loss> =>
  watching(client, async ({ calls }) => {
    const start = performance.now();
    await act();
    const isIts = (call: Call): boolean => call.instance === instance && call.endedMs >= start;
    await until(`an answer of ${instance}`, () => calls.some(isIts), 5);
    const first = calls.find(isIts);
    const ms = Math.round((first?.endedMs ?? start) - start);
    return { ms, failed: calls.filter(isFailed).length, sent: calls.length };
  });

/** Each has answered at least once. A connection to another zone stays with one instance for a while, so this takes a few. */
export async function answersFrom({ client }: Live, instances: readonly string[]): Promise<void> {
  const seen = new Set<string>();
  await until(`answers from ${instances.join(", ")}`, async () => {
    for (const name of (await client.callMany("/", 100)).byInstance.keys()) seen.add(name);
    return instances.every((name) => seen.has(name));
  });
}

/** Every instance within two percentage points of an equal share, as soon as the weights have settled. */
export const evenShares = (live: Live, instances: readonly string[], count: number): Promise<string> =>
  live.client.alone(async () => {
    await answersFrom(live, instances);
    const tally = await live.client.callMany("/", count);
    const shares = sharesOf(tally);
    const isEven = instances.every((name) => Math.abs((shares.get(name) ?? 0) - 100 / instances.length) <= 2);
    expect(tally.failed === 0 && isEven, `${tally.failed} failed; ${shareText(tally)}`);
    return shareText(tally);
  });

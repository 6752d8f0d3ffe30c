// What `npm run soak` repeats, and what it learns from it: `npm test` does each thing once, or as often as it needs to mean
// something; soak does it in greater numbers and writes what was counted into docs/failures.md.

import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import type { TestContext } from "node:test";

/** `npm test` does it `once` times, soak `often` times. */
export const times = <V>(once: V, often: V): V => (process.env.SOAK_RECORD === undefined ? once : often);

/** Requests of a row of the table. */
const fewest = times(0, 10_000);

/**
 * Does it `least` times one after the other, and under soak until so many requests were sent meanwhile that they say something. Resolves
 * with how often it was done.
 */
export async function repeated(
  calling: { sent(): number },
  once: (time: number) => Promise<unknown>,
  least = 1,
): Promise<number> {
  let done = 0;
  while (done < least || calling.sent() < fewest) await once(++done);
  return done;
}

/** What a load gave. */
export interface Counted {
  readonly sent: number;
  readonly failures: readonly string[];
}

/** Says how many failed, keeps it for the table when soak runs, and asserts that there is none. `what`: what happened meanwhile. */
export const noneFailed = (t: TestContext, what: string, counted: Counted): void => mostFailed(t, what, counted, 0, "");

/** The same where some fail whatever is done: at most so many, and why they can't be none. */
export function mostFailed(t: TestContext, what: string, counted: Counted, most: number, why: string): void {
  keep(t, what, counted, { most, why });
  const { sent, failures } = counted;
  if (failures.length > most) assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${sent} failed`);
}

/** The same where how many fail says only how long it took and how fast the client is. */
export const anyFailed = (t: TestContext, what: string, counted: Counted, why: string): void =>
  keep(t, what, counted, { why });

function keep(t: TestContext, what: string, { sent, failures }: Counted, allowed: object): void {
  const found = { what, requests: sent, failed: failures.length, ...allowed };
  t.diagnostic(`${what}: ${found.failed} of ${found.requests} requests failed`);
  const file = process.env.SOAK_RECORD;
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(found)}\n`);
  assert.ok(sent > 0);
}

import assert from "node:assert/strict";
import { it } from "node:test";
import { backOff } from "#kds/back-off.ts";

const waits = (fraction: number, lasted: readonly number[]): readonly number[] => {
  const { nextMs } = backOff({ fraction: () => fraction });
  return lasted.map(nextMs);
};
const never = (times: number) => Array.from({ length: times }, () => 0);

it("doubles from a tenth of a second to four", () => {
  const almostOne = 1 - Number.EPSILON;
  const seconds = waits(almostOne, never(8)).map((ms) => Math.round(ms) / 1000);
  assert.deepEqual(seconds, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 4, 4]);
});

it("chance cuts up to a half", () => assert.deepEqual(waits(0, never(3)), [50, 100, 200]));

it("a connection that lasted longer than the next wait begins anew; one that broke at once does not", () => {
  assert.deepEqual(waits(0, [0, 0, 0, 100, 60_000, 0]), [50, 100, 200, 400, 50, 100]);
});

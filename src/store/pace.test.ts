import assert from "node:assert/strict";
import { test } from "node:test";
import { paced } from "#store/pace.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Work that takes as long as the clock is told. */
function clockedWork() {
  const clock = { ms: 0, takesMs: 0, runs: 0 };
  const pace = paced(
    () => {
      clock.runs++;
      clock.ms += clock.takesMs;
    },
    () => clock.ms,
  );
  return { clock, pace };
}

test("what is asked for in one turn is done once, at its end", async () => {
  const { clock, pace } = clockedWork();
  pace.soon();
  pace.soon();
  assert.equal(clock.runs, 0);
  await turn();
  assert.equal(clock.runs, 1);
  pace.soon();
  await turn();
  assert.equal(clock.runs, 2);
});

test("after a run that took long the next waits as long, then does all at once", async () => {
  const { clock, pace } = clockedWork();
  clock.takesMs = 80;
  pace.soon();
  await turn();
  for (let i = 0; i < 5; i++) {
    pace.soon();
    await turn();
  }
  assert.equal(clock.runs, 1);
  clock.ms += 79;
  await turn();
  assert.equal(clock.runs, 1);
  clock.ms += 1;
  await turn();
  assert.equal(clock.runs, 2);
});

test("a clock that is set back keeps nothing waiting, and nothing waits longer than a quarter of a second", async () => {
  const { clock, pace } = clockedWork();
  clock.takesMs = 60_000;
  pace.now();
  pace.soon();
  clock.ms += 250;
  await turn();
  assert.equal(clock.runs, 2);
  clock.ms = 5;
  pace.soon();
  await turn();
  assert.equal(clock.runs, 3);
});

test("what was asked for and is cancelled, or done at once, is not done again", async () => {
  const { clock, pace } = clockedWork();
  pace.soon();
  pace.now();
  pace.soon();
  pace.cancel();
  await turn();
  assert.equal(clock.runs, 1);
});

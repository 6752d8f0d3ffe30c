import assert from "node:assert/strict";
import { createHook } from "node:async_hooks";
import { test } from "node:test";
import { alarmsOf } from "#host/alarm.ts";

/** Alarms do not keep the process alive, so the test must. */
async function awake<T>(promise: Promise<T>): Promise<T> {
  const { port1 } = new MessageChannel();
  port1.on("message", () => {});
  try {
    return await promise;
  } finally {
    port1.close();
  }
}

const rings = (alarm: ReturnType<typeof alarmsOf>, atMs: number): Promise<void> =>
  awake(new Promise((resolve) => alarm(atMs, resolve)));

/** Reproducible numbers in 0 ≤ x < 1. */
function numbers(): () => number {
  let state = 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test("thousands of alarms ring by time, those of the same time in the order in which they were set", async () => {
  const alarm = alarmsOf(Date.now);
  const next = numbers();
  const start = Date.now() + 20;
  const rung: { readonly atMs: number; readonly order: number }[] = [];
  const set: { readonly atMs: number; readonly order: number; readonly cancel: () => void }[] = [];
  for (let order = 0; order < 5_000; order++) {
    const atMs = start + Math.floor(next() * 50);
    set.push({ atMs, order, cancel: alarm(atMs, () => rung.push({ atMs, order })) });
  }
  const kept = set.filter(({ cancel }) => {
    if (next() < 0.5) return true;
    cancel();
    return false;
  });
  await rings(alarm, start + 51);
  kept.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
  assert.deepEqual(
    rung,
    kept.map(({ atMs, order }) => ({ atMs, order })),
  );
});

test("an alarm never rings early, and not within the call that sets it", async () => {
  const alarm = alarmsOf(Date.now);
  let rung = false;
  alarm(0, () => {
    rung = true;
  });
  assert.equal(rung, false);
  const atMs = Date.now() + 15;
  await rings(alarm, atMs);
  assert.ok(Date.now() >= atMs);
  assert.equal(rung, true);
});

test("one timer serves all alarms, and setting later ones arms nothing", () => {
  const alarm = alarmsOf(Date.now);
  const start = Date.now() + 60_000;
  alarm(start, () => {});
  let timers = 0;
  const hook = createHook({
    init(_id, type) {
      if (type === "Timeout") timers++;
    },
  }).enable();
  for (let n = 0; n < 5_000; n++) alarm(start + n, () => {});
  hook.disable();
  assert.equal(timers, 0);
});

test("a cancelled alarm does not ring, when its neighbour cancels it neither; cancelling again changes nothing", async () => {
  const alarm = alarmsOf(Date.now);
  const atMs = Date.now() + 5;
  let rung = false;
  alarm(atMs, () => cancel());
  const cancel = alarm(atMs, () => {
    rung = true;
  });
  const [next, last] = [rings(alarm, atMs + 1), rings(alarm, atMs + 2)];
  await next;
  cancel();
  await last;
  assert.equal(rung, false);
});

test("an alarm that sets itself again for the past rings once a turn", async () => {
  const alarm = alarmsOf(Date.now);
  let rungThisTurn = 0;
  await awake(
    new Promise<void>((resolve, reject) => {
      let left = 5;
      const again = (): void => {
        if (++rungThisTurn > 1) reject(new Error("twice in a turn"));
        setImmediate(() => {
          rungThisTurn = 0;
        });
        if (--left === 0) resolve();
        else if (rungThisTurn === 1) alarm(0, again);
      };
      again();
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { gathered } from "#zone/gathered.ts";

function stage() {
  const alarms: { readonly at: number; readonly ring: () => void }[] = [];
  const done: string[] = [];
  const clock = {
    now: () => 1_000,
    alarm(at: number, ring: () => void) {
      alarms.push({ at, ring });
      return () => {};
    },
  };
  return { alarms, done, work: gathered(clock, 500), act: (what: string) => () => void done.push(what) };
}

test("one alarm for all, and of each proxy the newest", () => {
  const { alarms, done, work, act } = stage();
  work.add("a", act("a1"));
  work.add("b", act("b1"));
  work.add("a", act("a2"));
  assert.deepEqual([alarms.map(({ at }) => at), done], [[1_500], []]);
  alarms[0]?.ring();
  assert.deepEqual(done, ["a2", "b1"]);
  work.add("a", act("a3"));
  assert.equal(alarms.length, 2);
});

test("what is done at once, or taken away, is not done later", () => {
  const { alarms, done, work, act } = stage();
  work.add("a", act("a"));
  work.add("b", act("b"));
  work.doNow("a");
  work.doNow("c");
  work.remove("b");
  alarms[0]?.ring();
  assert.deepEqual(done, ["a"]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { presence } from "#zone/presence.ts";

/** A clock that stands still until it is moved; what happened, as lines. */
function stage(expected: readonly string[] = []) {
  let now = 0;
  const alarms = new Set<{ readonly at: number; readonly ring: () => void }>();
  const said: string[] = [];
  const own = presence({
    clock: {
      now: () => now,
      alarm(at, ring) {
        const alarm = { at, ring };
        alarms.add(alarm);
        return () => alarms.delete(alarm);
      },
    },
    setMark: (proxy, mark) => said.push(`${proxy} ${mark ?? "clear"}`),
    forget: (proxy) => said.push(`${proxy} forgotten`),
    onFrozen: (since) => said.push(since === undefined ? "thawed" : "frozen"),
    expected,
  });
  return {
    ...own,
    /** What was said since the last call. */
    said: () => said.splice(0),
    pass(ms: number): void {
      now += ms;
      for (const alarm of [...alarms].filter(({ at }) => at <= now)) {
        alarms.delete(alarm);
        alarm.ring();
      }
    },
    there(...proxies: readonly string[]): void {
      for (const proxy of proxies) {
        own.begins(proxy, true);
        own.serves(proxy);
      }
      said.splice(0);
    },
  };
}

test("an Envoy that starts is new until it serves, and doubtful where one was before", () => {
  const { begins, serves, said } = stage();
  begins("a", true);
  begins("a", false);
  assert.deepEqual(said(), ["a new", "a new"]);
  serves("a");
  serves("a");
  assert.deepEqual(said(), ["a clear"]);
  begins("a", false);
  assert.deepEqual(said(), ["a clear"]);
  begins("a", true);
  assert.deepEqual(said(), ["a doubtful"]);
});

test("who left in good order is new when it starts again", () => {
  const { begins, ends, left, said, there } = stage();
  there("a");
  ends("a");
  left("a");
  begins("a", true);
  assert.deepEqual(said(), ["a doubtful", "a new"]);
});

test("those that are refused are marked, and forgotten with their streams, however many they are", () => {
  const { begins, refused, ends, pass, said, there } = stage();
  there("a", "b", "c", "d");
  for (const proxy of ["a", "b", "c"]) refused(proxy);
  assert.deepEqual(said(), ["a refused", "b refused", "c refused"]);
  for (const proxy of ["a", "b", "c"]) ends(proxy);
  assert.deepEqual(said(), ["a forgotten", "b forgotten", "c forgotten"]);
  pass(20_000);
  assert.deepEqual(said(), []);
  // With a token that is taken it is one like others.
  begins("a", true);
  assert.deepEqual(said(), ["a new"]);
  ends("a");
  assert.deepEqual(said(), ["a new"]);
  pass(10_000);
  assert.deepEqual(said(), ["a forgotten"]);
});

test("one whose stream ends is marked at once, and forgotten after 10 s", () => {
  const { ends, pass, said, there } = stage();
  there("a", "b", "c");
  ends("a");
  assert.deepEqual(said(), ["a doubtful"]);
  pass(9_999);
  assert.deepEqual(said(), []);
  pass(1);
  assert.deepEqual(said(), ["a forgotten"]);
});

test("one that comes back in time is not forgotten: at once if its Envoy went on, else when it serves", () => {
  const { begins, serves, ends, pass, said, there } = stage();
  there("a", "b", "c");
  ends("a");
  begins("a", false);
  assert.deepEqual(said(), ["a doubtful", "a clear"]);
  ends("a");
  begins("a", true);
  pass(20_000);
  assert.deepEqual(said(), ["a doubtful", "a doubtful"]);
  serves("a");
  assert.deepEqual(said(), ["a clear"]);
});

test("two of three that end together are two ends; three of five are the control plane's", () => {
  const two = stage();
  two.there("a", "b", "c");
  two.ends("a");
  two.ends("b");
  assert.deepEqual(two.said(), ["a doubtful", "b doubtful"]);
  const three = stage();
  three.there("a", "b", "c", "d", "e");
  three.ends("a");
  three.ends("b");
  three.pass(999);
  three.ends("c");
  assert.deepEqual(three.said(), ["a doubtful", "b doubtful", "a clear", "b clear", "c clear", "frozen"]);
  three.ends("d");
  three.pass(3_600_000);
  assert.deepEqual(three.said(), []);
});

test("three of five within more than a second are three ends", () => {
  const { ends, pass, said, there } = stage();
  there("a", "b", "c", "d", "e");
  ends("a");
  pass(1_000);
  ends("b");
  ends("c");
  assert.deepEqual(said(), ["a doubtful", "b doubtful", "c doubtful"]);
});

test("when some are back after such a loss, those that are not 10 s later are gone", () => {
  const { begins, ends, pass, said, there } = stage();
  there("a", "b", "c");
  for (const proxy of ["a", "b", "c"]) ends(proxy);
  pass(60_000);
  said();
  begins("a", false);
  pass(9_999);
  begins("b", false);
  assert.deepEqual(said(), ["a clear", "b clear"]);
  pass(1);
  assert.deepEqual(said(), ["thawed", "c doubtful"]);
  pass(10_000);
  assert.deepEqual(said(), ["c forgotten"]);
});

test("all back: it is over", () => {
  const { begins, ends, pass, said, there } = stage();
  there("a", "b", "c");
  for (const proxy of ["a", "b", "c"]) ends(proxy);
  said();
  for (const proxy of ["a", "b", "c"]) begins(proxy, false);
  assert.deepEqual(said(), ["a clear", "b clear", "c clear", "thawed"]);
  ends("a");
  pass(10_000);
  assert.deepEqual(said(), ["a doubtful", "a forgotten"]);
});

test("after a start, whoever was there is waited for 30 s, and for as long as nobody is there", () => {
  const some = stage(["a", "b"]);
  assert.deepEqual(some.said(), ["a clear", "b clear", "frozen"]);
  some.begins("a", false);
  some.pass(29_999);
  assert.deepEqual(some.said(), ["a clear"]);
  some.pass(1);
  assert.deepEqual(some.said(), ["thawed", "b doubtful"]);
  const none = stage(["a", "b"]);
  none.said();
  none.pass(3_600_000);
  assert.deepEqual(none.said(), []);
});

test("what ends because this control plane ends says nothing", () => {
  const { ends, stop, pass, said, there } = stage();
  there("a", "b", "c");
  ends("a");
  stop();
  ends("b");
  pass(20_000);
  assert.deepEqual(said(), ["a doubtful"]);
});

test("nobody waits for who is deleted: when all who were away are, what is known holds again", () => {
  const { ends, removed, said, there } = stage();
  there("a", "b", "c");
  for (const proxy of ["a", "b", "c"]) ends(proxy);
  assert.equal(said().at(-1), "frozen");
  for (const proxy of ["a", "b", "other"]) removed(proxy);
  assert.deepEqual(said(), []);
  removed("c");
  assert.deepEqual(said(), ["thawed"]);
});

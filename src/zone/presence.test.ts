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
  /** It comes and is let in. */
  const begins = (proxy: string, isStarting: boolean): void => {
    own.comes(proxy, isStarting);
    own.begins(proxy);
  };
  return {
    ...{ ...own, letIn: own.begins, begins },
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
        begins(proxy, true);
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
  ends("a", "closed");
  left("a");
  begins("a", true);
  assert.deepEqual(said(), ["a doubtful", "a new"]);
});

test("those that are refused are marked, and forgotten with their streams, however many they are", () => {
  const { begins, refused, ends, pass, said, there } = stage();
  there("a", "b", "c", "d");
  for (const proxy of ["a", "b", "c"]) refused(proxy);
  assert.deepEqual(said(), ["a refused", "b refused", "c refused"]);
  for (const proxy of ["a", "b", "c"]) ends(proxy, "closed");
  assert.deepEqual(said(), ["a forgotten", "b forgotten", "c forgotten"]);
  pass(20_000);
  assert.deepEqual(said(), []);
  // With a token that is taken it is one like others.
  begins("a", true);
  assert.deepEqual(said(), ["a new"]);
  ends("a", "closed");
  assert.deepEqual(said(), ["a new"]);
  pass(10_000);
  assert.deepEqual(said(), ["a forgotten"]);
});

test("one whose stream ends is marked at once, and forgotten after 10 s", () => {
  const { ends, pass, said, there } = stage();
  there("a", "b", "c");
  ends("a", "closed");
  assert.deepEqual(said(), ["a doubtful"]);
  pass(9_999);
  assert.deepEqual(said(), []);
  pass(1);
  assert.deepEqual(said(), ["a forgotten"]);
});

test("one that comes back in time is not forgotten: at once if its Envoy went on, else when it serves", () => {
  const { begins, serves, ends, pass, said, there } = stage();
  there("a", "b", "c");
  ends("a", "closed");
  begins("a", false);
  assert.deepEqual(said(), ["a doubtful", "a clear"]);
  ends("a", "closed");
  begins("a", true);
  pass(20_000);
  assert.deepEqual(said(), ["a doubtful", "a doubtful"]);
  serves("a");
  assert.deepEqual(said(), ["a clear"]);
});

test("two of three that end together are two ends; three of five are the control plane's", () => {
  const two = stage();
  two.there("a", "b", "c");
  two.ends("a", "closed");
  two.ends("b", "closed");
  assert.deepEqual(two.said(), ["a doubtful", "b doubtful"]);
  const three = stage();
  three.there("a", "b", "c", "d", "e");
  three.ends("a", "closed");
  three.ends("b", "closed");
  three.pass(999);
  three.ends("c", "closed");
  assert.deepEqual(three.said(), ["a doubtful", "b doubtful", "a clear", "b clear", "c clear", "frozen"]);
  three.ends("d", "closed");
  three.pass(3_600_000);
  assert.deepEqual(three.said(), []);
});

test("three of five within more than a second are three ends", () => {
  const { ends, pass, said, there } = stage();
  there("a", "b", "c", "d", "e");
  ends("a", "closed");
  pass(1_000);
  ends("b", "closed");
  ends("c", "closed");
  assert.deepEqual(said(), ["a doubtful", "b doubtful", "c doubtful"]);
});

test("a cut link, noticed for each connection at another moment, is the control plane's: no proxy is forgotten", () => {
  const { begins, ends, pass, said, there } = stage();
  const all = ["a", "b", "c", "d", "e", "f", "g"];
  there(...all);
  for (const proxy of all) {
    ends(proxy, "silent");
    pass(4_400);
  }
  // As many as are there are gone, and nothing was concluded until then; the others are waited for as they are.
  const known = ["a", "b", "c", "d"];
  assert.deepEqual(said(), [
    ...known.slice(0, 3).map((proxy) => `${proxy} silent`),
    ...known.map((proxy) => `${proxy} clear`),
    "frozen",
  ]);
  pass(3_600_000);
  for (const proxy of all.slice(1)) begins(proxy, false);
  pass(39_999);
  assert.deepEqual(
    said(),
    all.slice(1).map((proxy) => `${proxy} clear`),
  );
  begins("a", false);
  assert.deepEqual(said(), ["a clear", "thawed"]);
});

test("a machine that vanishes, with one proxy or two, leads to their removal while others answer", () => {
  const { begins, ends, pass, said, there } = stage();
  there("a", "b", "c");
  ends("a", "silent");
  pass(15_000);
  ends("b", "silent");
  pass(24_999);
  assert.deepEqual(said(), ["a silent", "b silent"]);
  pass(1);
  assert.deepEqual(said(), ["a doubtful", "a forgotten"]);
  begins("b", false);
  pass(60_000);
  assert.deepEqual(said(), ["b clear"]);
});

test("when the last one that is there falls silent nothing is concluded, however few they were", () => {
  const { begins, ends, pass, said, there } = stage();
  there("a", "b");
  ends("a", "silent");
  pass(39_999);
  ends("b", "silent");
  assert.deepEqual(said(), ["a silent", "a clear", "b clear", "frozen"]);
  pass(3_600_000);
  begins("b", false);
  pass(40_000);
  pass(10_000);
  assert.deepEqual(said(), ["b clear", "thawed", "a doubtful", "a forgotten"]);
});

test("silent ends that lie more than 40 s apart are of several causes, and who was deleted meanwhile is no part of one", () => {
  const { ends, removed, pass, said, there } = stage();
  there("a", "b", "c", "d", "e");
  ends("a", "silent");
  pass(40_000);
  ends("b", "silent");
  ends("c", "silent");
  removed("c");
  ends("d", "silent");
  assert.deepEqual(said(), ["a silent", "a doubtful", "a forgotten", "b silent", "c silent", "d silent"]);
});

test("what is closed in the moment in which others fall silent has their cause", () => {
  const { ends, pass, said, there } = stage();
  there("a", "b", "c", "d", "e");
  ends("a", "silent");
  pass(10_000);
  ends("b", "closed");
  pass(999);
  ends("c", "silent");
  assert.equal(said().at(-1), "frozen");
});

test("when some are back after such a loss, those that are not 40 s later are gone", () => {
  const { begins, ends, pass, said, there } = stage();
  there("a", "b", "c");
  for (const proxy of ["a", "b", "c"]) ends(proxy, "closed");
  pass(60_000);
  said();
  begins("a", false);
  pass(39_999);
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
  for (const proxy of ["a", "b", "c"]) ends(proxy, "closed");
  said();
  for (const proxy of ["a", "b", "c"]) begins(proxy, false);
  assert.deepEqual(said(), ["a clear", "b clear", "c clear", "thawed"]);
  ends("a", "closed");
  pass(10_000);
  assert.deepEqual(said(), ["a doubtful", "a forgotten"]);
});

test("after a start, whoever was there is waited for 40 s from the first return, and for as long as nobody is there", () => {
  const some = stage(["a", "b"]);
  assert.deepEqual(some.said(), ["a clear", "b clear", "frozen"]);
  some.begins("a", false);
  some.pass(39_999);
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
  ends("a", "closed");
  stop();
  ends("b", "closed");
  pass(20_000);
  assert.deepEqual(said(), ["a doubtful"]);
});

test("nobody waits for who is deleted: when all who were away are, what is known holds again", () => {
  const { ends, removed, said, there } = stage();
  there("a", "b", "c");
  for (const proxy of ["a", "b", "c"]) ends(proxy, "closed");
  assert.equal(said().at(-1), "frozen");
  for (const proxy of ["a", "b", "other"]) removed(proxy);
  assert.deepEqual(said(), []);
  removed("c");
  assert.deepEqual(said(), ["thawed"]);
});

test("who could not be let in is not there: it is no part of most, and its coming is no return", () => {
  const { comes, turnedAway, begins, ends, pass, said, there } = stage();
  there("a", "b", "c");
  for (const proxy of ["d", "e", "f"]) {
    comes(proxy, true);
    turnedAway(proxy);
  }
  assert.deepEqual(said(), ["d new", "d new", "e new", "e new", "f new", "f new"]);
  pass(10_000);
  assert.deepEqual(said(), ["d forgotten", "e forgotten", "f forgotten"]);
  for (const proxy of ["a", "b", "c"]) ends(proxy, "closed");
  assert.deepEqual(said().at(-1), "frozen");
  comes("a", false);
  turnedAway("a");
  pass(60_000);
  assert.deepEqual(said(), ["a clear"]);
  begins("b", false);
  pass(40_000);
  assert.deepEqual(said(), ["b clear", "thawed", "a doubtful", "c doubtful"]);
});

test("an earlier stream that is there stays, and one that ends while its proxy comes again takes nothing with it", () => {
  const { comes, turnedAway, letIn, ends, pass, said, there } = stage();
  there("a", "b", "c", "d");
  comes("a", false);
  turnedAway("a");
  pass(60_000);
  assert.deepEqual(said(), ["a clear"]);
  comes("a", false);
  ends("a", "closed");
  letIn("a");
  pass(60_000);
  assert.deepEqual(said(), ["a clear", "a doubtful", "a clear"]);
});

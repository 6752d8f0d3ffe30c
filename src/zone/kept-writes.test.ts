import assert from "node:assert/strict";
import { test } from "node:test";
import { realWorld } from "#host/real-world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Edit } from "#resources/store.ts";
import { memoryStore } from "#store/memory.ts";
import { againAfterMs, keptWrites } from "#zone/kept-writes.ts";
import { recordingLog } from "../../test/agent/recording-log.ts";

/** A disk that can be full, and a clock that stands still until it is moved. */
function stage() {
  const log = recordingLog();
  const real = realWorld({ log });
  const store = memoryStore(real.clock, real.random);
  const alarms: { readonly at: number; readonly ring: () => void }[] = [];
  let now = 0;
  let isFull = false;
  const kept = keptWrites({
    log,
    store: {
      write: (edits) =>
        isFull ? Promise.reject(new KodiakError({ kind: "unavailable", what: "disk full" })) : store.write(edits),
    },
    clock: {
      now: () => now,
      alarm(at, ring) {
        alarms.push({ at, ring });
        return () => {};
      },
    },
  });
  return {
    ...{ store, kept, alarms },
    full: (so: boolean) => {
      isFull = so;
    },
    said: () => log.lines.map(({ level, message }) => `${level} ${message}`),
    async pass(ms: number) {
      now += ms;
      for (const { ring } of alarms.splice(0).filter(({ at }) => at <= now)) ring();
      await turn();
    },
  };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));
const note = (key: string, after: string, before?: string): Edit => ({ kind: "note", key, before, after });

test("what a full disk does not take is said once, and written as it is when the disk takes it", async () => {
  const { store, kept, alarms, full, said, pass } = stage();
  full(true);
  let text = "first";
  kept.write("a", () => [note("a", text)]);
  kept.write("b", () => [note("b", "b")]);
  await turn();
  for (let i = 0; i < 3; i++) await pass(againAfterMs);
  assert.equal(alarms.length, 1, "one for all");
  const refused = (what: string) => `error ${what}: could not be written, and is tried again every 5 s`;
  assert.deepEqual(said(), [refused("a"), refused("b")]);
  text = "second";
  full(false);
  assert.equal(store.note("a"), undefined);
  await pass(againAfterMs);
  assert.deepEqual([store.note("a"), store.note("b")], ["second", "b"]);
  assert.deepEqual(said().slice(2), ["info a: written", "info b: written"]);
  assert.equal(alarms.length, 0);
});

test("what changes while it is written is written after that, as it is then", async () => {
  const { store, kept } = stage();
  let text = "first";
  const edits = () => [note("a", text, store.note("a"))];
  kept.write("a", edits);
  text = "second";
  kept.write("a", edits);
  text = "third";
  kept.write("a", edits);
  for (let i = 0; i < 5; i++) await turn();
  assert.equal(store.note("a"), "third");
});

test("what somebody else was faster with is nothing to try again, nor what there is no need for any more", async () => {
  const { store, kept, alarms, full, said, pass } = stage();
  for (const what of ["a", "b"]) kept.write(what, () => [note("same", "written")]);
  await turn();
  assert.deepEqual([store.note("same"), alarms.length, said()], ["written", 0, []]);
  full(true);
  let edits = [note("gone", "written")];
  kept.write("gone", () => edits);
  await turn();
  edits = [];
  await pass(againAfterMs);
  assert.deepEqual([store.note("gone"), alarms.length], [undefined, 0]);
});

test("nothing is tried again after the end", async () => {
  const { kept, alarms, full } = stage();
  full(true);
  kept.stop();
  kept.write("a", () => [note("a", "written")]);
  await turn();
  assert.equal(alarms.length, 0);
});

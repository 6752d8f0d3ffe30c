import assert from "node:assert/strict";
import { test } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import { againAfterMs, answersWithout, hostNames, unknownAgainAfterMs } from "#zone/host-names.ts";
import { recordingLog } from "../../test/agent/recording-log.ts";

/** `notes`: of the store, which outlives the control plane. */
function stage(notes = new Map<string, string | undefined>()) {
  const graph = incrementalGraph();
  const wanted = graph.source<true>("wanted");
  const addresses = graph.source<readonly string[]>("addresses");
  const known = new Map<string, readonly string[]>();
  const asked: string[] = [];
  const alarms = new Map<() => void, number>();
  const log = recordingLog();
  let [now, touched] = [1_000, 0];
  const names = hostNames({
    ...{ wanted: [wanted], addresses, log, touch: () => touched++ },
    network: {
      async lookup(name) {
        asked.push(name);
        return known.get(name) ?? assert.fail(`no ${name}`);
      },
    },
    store: {
      note: (key) => notes.get(key),
      async write(edits) {
        for (const edit of edits) if (edit.kind === "note") notes.set(edit.key, edit.after);
        return 1;
      },
    },
    clock: {
      now: () => now,
      alarm(atMs, ring) {
        alarms.set(ring, atMs);
        return () => void alarms.delete(ring);
      },
    },
  });
  const settled = () => new Promise((done) => setImmediate(done));
  return {
    ...{ known, asked, log, alarms, stop: names.stop },
    async want(name: string, isWanted: boolean) {
      wanted.set(name, isWanted || undefined);
      names.publish(graph.settle());
      await settled();
    },
    async pass(ms: number) {
      now += ms;
      for (const [ring, atMs] of alarms) if (atMs <= now && alarms.delete(ring)) ring();
      await settled();
    },
    found: () => Object.fromEntries([...addresses.keys()].map((name) => [name, addresses.get(name)])),
    touched: () => touched,
    said: () => log.lines.map(({ level, message }) => `${level}: ${message}`),
  };
}

test("a name is looked up at once and again, and the graph hears of it when it has changed", async () => {
  const { known, want, pass, found, asked, touched } = stage();
  known.set("lb", ["10.0.0.1"]);
  await want("lb", true);
  assert.deepEqual([found(), touched()], [{ lb: ["10.0.0.1"] }, 1]);
  await pass(againAfterMs - 1);
  assert.deepEqual(asked, ["lb"]);
  await pass(1);
  assert.deepEqual([asked, touched()], [["lb", "lb"], 1]);
  known.set("lb", ["10.0.0.0", "10.0.0.1"]);
  await pass(againAfterMs);
  assert.deepEqual([found(), touched()], [{ lb: ["10.0.0.1", "10.0.0.0"] }, 2], "who was known first comes first");
});

test("an address is kept for some answers without it, at its place", async () => {
  const { known, want, pass, found } = stage();
  known.set("lb", ["10.0.0.1"]);
  await want("lb", true);
  known.set("lb", ["10.0.0.2"]);
  for (let i = 1; i < answersWithout; i++) {
    await pass(againAfterMs);
    assert.deepEqual(found(), { lb: ["10.0.0.1", "10.0.0.2"] });
  }
  await pass(againAfterMs);
  assert.deepEqual(found(), { lb: ["10.0.0.2"] });
  for (const one of ["10.0.0.3", "10.0.0.2", "10.0.0.3", "10.0.0.2"]) {
    known.set("lb", [one]);
    await pass(againAfterMs);
    assert.deepEqual([...(found().lb ?? [])].sort(), ["10.0.0.2", "10.0.0.3"], "a name server that tells one of two");
  }
});

test("names are looked up one after the other", async () => {
  const { known, want, asked } = stage();
  const answer = Promise.withResolvers<readonly string[]>();
  known.set("slow", answer.promise as never).set("other", ["10.0.0.1"]);
  await want("slow", true);
  await want("other", true);
  assert.deepEqual(asked, ["slow"]);
  answer.resolve(["10.0.0.2"]);
  await want("other", true);
  assert.deepEqual(asked, ["slow", "other"]);
});

test("one that is not found is asked for sooner, one that is not found any more stays, and each is said once", async () => {
  const { known, want, pass, found, asked, said } = stage();
  await want("lb", true);
  await pass(unknownAgainAfterMs);
  assert.deepEqual([found(), asked.length], [{}, 2]);
  known.set("lb", ["10.0.0.1"]);
  await pass(unknownAgainAfterMs);
  known.delete("lb");
  await pass(againAfterMs);
  await pass(againAfterMs);
  assert.deepEqual([found(), asked.length], [{ lb: ["10.0.0.1"] }, 5]);
  assert.deepEqual(said(), [
    "warn: a host is not found: what is there is not reached until it is",
    "info: a host is found again",
    "warn: a host is not found any more: it is taken to be where it was",
  ]);
});

test("who is not wanted any more is forgotten, also while it is looked up, and nothing waits after the end", async () => {
  const { known, want, found, alarms, stop } = stage();
  known.set("lb", ["10.0.0.1"]);
  await want("lb", true);
  await want("lb", false);
  assert.deepEqual([found(), alarms.size], [{}, 0]);
  void want("lb", true);
  await want("lb", false);
  assert.deepEqual([found(), alarms.size], [{}, 0]);
  void want("lb", true);
  void want("lb", false);
  await want("lb", true);
  assert.deepEqual([found(), alarms.size], [{ lb: ["10.0.0.1"] }, 1], "one lookup waits, not two");
  stop();
  assert.equal(alarms.size, 0);
});

test("after a restart what was found holds until a lookup says otherwise, and what is not wanted any more goes", async () => {
  const notes = new Map<string, string | undefined>();
  const before = stage(notes);
  before.known.set("lb", ["10.0.0.1"]).set("old", ["10.0.0.9"]);
  await before.want("lb", true);
  await before.want("old", true);
  before.stop();
  const after = stage(notes);
  assert.deepEqual(after.found(), { lb: ["10.0.0.1"], old: ["10.0.0.9"] });
  await after.want("lb", true);
  assert.deepEqual(after.found(), { lb: ["10.0.0.1"] }, "its lookup fails, and nobody wants the other");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { label } from "#resources/resource.ts";
import { entranceElsewhere, isWithinShare, missedAfterMs, zoneProbesOf } from "#topology/probe.ts";
import { rememberedForMs, zoneEvidence } from "#zone/zone-evidence.ts";
import { recordingLog } from "../../test/agent/recording-log.ts";

/** `notes`: of the store, which outlives the control plane. */
function evidence(notes = new Map<string, string | undefined>(), startedAt = 1_000) {
  let now = startedAt;
  let [told, touched] = [0, 0];
  const alarms = new Map<() => void, number>();
  const left = incrementalGraph().source<true>("left");
  const { said, silent, stop } = zoneEvidence({
    store: {
      note: (key) => notes.get(key),
      async write(edits) {
        for (const edit of edits) if (edit.kind === "note") notes.set(edit.key, edit.after);
        return 1;
      },
    },
    log: recordingLog(),
    clock: {
      now: () => now,
      alarm(atMs, ring) {
        alarms.set(ring, atMs);
        return () => void alarms.delete(ring);
      },
    },
    left,
    touch: () => touched++,
    onChange: () => told++,
  });
  return {
    ...{ said, stop },
    at(ms: number) {
      now = ms;
      for (const [ring, atMs] of alarms) if (atMs <= ms && alarms.delete(ring)) ring();
    },
    waiting: () => alarms.size,
    /** Who is silent since when, who is left out, and how often each was said to have changed. */
    state: () => [Object.fromEntries(silent()), [...left.keys()].sort(), told, touched],
  };
}

test("a zone is silent, and left out, since none of its ingresses answers any of ours, and said to be when that changes", () => {
  const { said, at, state } = evidence();
  const one = (b1: boolean, b2: boolean) =>
    new Map([
      ["zone-b 10.1.0.1:1", b1],
      ["zone-b 10.1.0.2:1", b2],
      ["zone-c 10.2.0.1:1", true],
    ]);
  said("in-1", one(false, true));
  assert.deepEqual(state(), [{}, [], 0, 0]);
  said("in-1", one(false, false));
  at(2_000);
  said("in-1", one(false, false));
  assert.deepEqual(state(), [{ "zone-b": 1_000 }, ["zone-b"], 1, 1]);
  said("in-2", one(true, true));
  assert.deepEqual(state(), [{}, [], 2, 2]);
  said("in-2", undefined);
  assert.deepEqual(state(), [{ "zone-b": 2_000 }, ["zone-b"], 3, 3]);
  said("in-1", undefined);
  assert.deepEqual(state(), [{}, [], 4, 4]);
});

test("more than two thirds of the zones are not left out, this one counted: it is this one then", () => {
  const { said, state } = evidence();
  const answering = (...zones: readonly boolean[]) => new Map(zones.map((is, i) => [`zone-${i} 10.${i}.0.1:1`, is]));
  said("in", answering(true, true, true));
  said("in", answering(false, false, true));
  assert.deepEqual(state(), [{ "zone-0": 1_000, "zone-1": 1_000 }, ["zone-0", "zone-1"], 1, 1]);
  said("in", answering(false, false, false));
  assert.deepEqual(state(), [{ "zone-0": 1_000, "zone-1": 1_000, "zone-2": 1_000 }, [], 2, 2]);
  said("in", answering(true, false, false));
  assert.deepEqual(state(), [{ "zone-1": 1_000, "zone-2": 1_000 }, ["zone-1", "zone-2"], 3, 3]);
  const most = (others: number) => [...Array(others + 1).keys()].filter((n) => isWithinShare(n, others)).at(-1);
  assert.deepEqual([1, 2, 3, 4, 5, 8].map(most), [1, 2, 2, 3, 4, 6]);
});

test("a zone that has just joined is not silent before its probe must have been missed, by whoever asks it first", () => {
  const { said, at, state, waiting, stop } = evidence();
  const answers = (is: boolean) => new Map([["zone-b 10.1.0.1:1", is]]);
  said("in-1", answers(false));
  assert.deepEqual([...state(), waiting()], [{}, [], 0, 0, 1]);
  at(1_000 + missedAfterMs - 1);
  said("in-1", answers(true));
  assert.deepEqual([...state(), waiting()], [{}, [], 0, 0, 0], "it has answered");
  said("in-1", answers(false));
  assert.deepEqual(state(), [{ "zone-b": 5_999 }, ["zone-b"], 1, 1], "it did before");
  said("in-2", answers(false));
  assert.deepEqual(
    state(),
    [{ "zone-b": 5_999 }, ["zone-b"], 1, 1],
    "it is missed, whoever asks it for the first time",
  );
  said("in-1", undefined);
  assert.deepEqual(state(), [{ "zone-b": 5_999 }, ["zone-b"], 1, 1], "who is left has not said another thing");
  at(5_999 + missedAfterMs);
  assert.deepEqual(state(), [{ "zone-b": 5_999 }, ["zone-b"], 1, 1], "it never answered");
  said("in-3", answers(false));
  said("in-4", answers(false));
  said("in-4", undefined);
  assert.equal(waiting(), 1);
  stop();
  assert.equal(waiting(), 0);
});

test("what was left out before a restart of the control plane is until somebody says more, and not for ever", async () => {
  const notes = new Map<string, string>();
  const answers = (is: boolean) =>
    new Map([
      ["zone-b 10.1.0.1:1", is],
      ["zone-c 10.2.0.1:1", true],
    ]);
  const first = evidence(notes);
  first.said("in", answers(true));
  first.said("in", answers(false));
  first.stop();
  first.said("in", undefined);
  const left = [{ "zone-b": 1_000 }, ["zone-b"], 0, 0];
  const begins = () => {
    const again = evidence(notes, 9_000);
    assert.deepEqual(again.state(), left);
    // Envoy calls all unhealthy whom it has only begun to ask.
    again.said("in", new Map([...answers(false).keys()].map((probe) => [probe, false])));
    again.said("in", answers(false));
    assert.deepEqual(again.state(), left);
    return again;
  };
  const silent = begins();
  silent.at(9_000 + rememberedForMs);
  assert.deepEqual(silent.state(), left, "it was found so again");
  silent.stop();

  const answering = begins();
  answering.said("in", answers(true));
  assert.deepEqual(answering.state(), [{}, [], 1, 1]);
  answering.said("in", answers(false));
  await new Promise((written) => setImmediate(written));
  answering.stop();

  const unheard = evidence(notes, 9_000);
  unheard.at(9_000 + rememberedForMs);
  assert.deepEqual(unheard.state(), [{}, [], 1, 1]);
  await new Promise((written) => setImmediate(written));
  assert.deepEqual([...notes.values()], [undefined]);
});

test("each public ingress of other zones is asked, each once: by HTTP if it says that it answers, else by a connection", () => {
  const networking = { advertisedAddress: "10.1.0.1", advertisedPort: 1 };
  const of = (spec: ZoneIngressJson, labels: Readonly<Record<string, string>> = {}) =>
    entranceElsewhere({ spec, labels }, "zone-a");
  const all = [
    of({ zone: "zone-b", networking }, { [label.answersProbes]: "true" }),
    of({ zone: "zone-b", networking }, { [label.answersProbes]: "true" }),
    of({ zone: "zone-k", networking: { advertisedAddress: "10.2.0.1", advertisedPort: 1 } }),
    of({ zone: "zone-a", networking }),
    of({ networking }),
    of({ zone: "zone-c" }),
  ];
  assert.deepEqual(
    zoneProbesOf(all.flat()).map(({ name, at, host }) => [name, at, host]),
    [
      ["zone-b 10.1.0.1:1", { address: "10.1.0.1", port: 1 }, "zone-b.probe.kodiak"],
      ["zone-k 10.2.0.1:1", { address: "10.2.0.1", port: 1 }, undefined],
    ],
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { graceKeeper, graceMs } from "#store/grace-keeper.ts";
import { memoryStore } from "#store/memory.ts";

const log = openLog("silent");
const { clock, random } = realWorld({ log });
const id = { kind: "MeshService", mesh: "default", name: "backend" };

function stage(store = memoryStore(clock, random), start = Date.parse("2026-01-01T00:00:00Z")) {
  const graph = incrementalGraph();
  const abandoned = graph.source<Resource>("abandoned");
  let now = start;
  let alarm: { at: number; ring: () => void } | undefined;
  const own = {
    now: () => now,
    alarm(at: number, ring: () => void) {
      alarm = { at, ring };
      return () => {
        alarm = undefined;
      };
    },
  };
  const keeper = graceKeeper({ abandoned, store, clock: own, log });
  return {
    store,
    abandon() {
      abandoned.set("default/backend", store.get(id));
      keeper.publish(graph.settle());
    },
    use() {
      abandoned.set("default/backend", undefined);
      keeper.publish(graph.settle());
    },
    pass(ms: number) {
      now += ms;
      const due = alarm;
      if (!due || due.at > now) return;
      alarm = undefined;
      due.ring();
    },
    waits: () => alarm !== undefined,
    settled: () => store.write([{ kind: "note", key: "settled", before: store.note("settled"), after: `${now}` }]),
  };
}

test("what nobody provides says since when, and ends after its time, also when its control plane was restarted", async () => {
  const first = stage();
  const { store } = first;
  const times = { creationTime: zeroTime, modificationTime: zeroTime };
  await store.write([{ kind: "put", resource: { ...id, labels: { a: "b" }, spec: { state: "Available" }, ...times } }]);
  first.abandon();
  await first.settled();
  const marked = store.get(id);
  assert.equal(marked?.labels["kuma.io/deletion-grace-period-started-at"], "2026-01-01T00:00:00.000Z");

  const second = stage(store, Date.parse("2026-01-01T00:30:00Z"));
  second.abandon();
  second.pass(graceMs / 2 - 1);
  await second.settled();
  assert.ok(store.get(id));
  second.pass(1);
  await second.settled();
  assert.equal(store.get(id), undefined);
});

test("what is provided again is not ended", async () => {
  const on = stage();
  await on.store.write([
    { kind: "put", resource: { ...id, labels: {}, spec: {}, creationTime: zeroTime, modificationTime: zeroTime } },
  ]);
  on.abandon();
  await on.settled();
  on.abandon();
  assert.ok(on.waits());
  on.use();
  assert.ok(!on.waits());
  on.pass(graceMs);
  await on.settled();
  assert.ok(on.store.get(id));
});

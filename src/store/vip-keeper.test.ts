import assert from "node:assert/strict";
import { test } from "node:test";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { WantedVips } from "#owned/names.ts";
import { quarantineMs } from "#owned/vips.ts";
import type { Store } from "#resources/store.ts";
import { memoryStore } from "#store/memory.ts";
import { vipKeeper } from "#store/vip-keeper.ts";
import { serviceName, serviceOutbound, tableConfig, tableIn } from "#topology/vips.ts";

const log = openLog("silent");
const { clock, random } = realWorld({ log });
const id = { kind: "Config", mesh: "", name: tableConfig("default") };

function stage(store: Store = memoryStore(clock, random)) {
  const graph = incrementalGraph();
  const wanted = graph.source<WantedVips>("wanted");
  let now = clock.now();
  const keep = vipKeeper({ wanted, store, clock: { now: () => now }, log });
  let writes = 0;
  store.watch(({ changes }) => {
    writes += changes.length;
  });
  return {
    store,
    writes: () => writes,
    pass: (ms: number) => {
      now += ms;
    },
    want(...services: readonly string[]) {
      const names = new Map(services.map((one) => [serviceName(one), [serviceOutbound(one)]] as const));
      wanted.set("default", { names, exceptions: undefined });
      keep(graph.settle());
    },
    end() {
      wanted.set("default", undefined);
      keep(graph.settle());
    },
    table: () => tableIn(store.get(id)?.spec.config as string | undefined),
    /** Until a write of the test's own, made after all others, is through. */
    settled: () => store.write([{ kind: "note", key: "settled", before: store.note("settled"), after: `${writes}` }]),
  };
}

test("changes that follow each other while a table is written are all in it, and nothing is written twice", async () => {
  const { want, table, settled, writes, store } = stage();
  want("a");
  want("a", "b");
  want("a", "b", "c");
  await settled();
  await settled();
  assert.deepEqual([...table().keys()], ["0:a", "0:b", "0:c"]);
  assert.equal(writes(), 2);
  const again = stage(store);
  again.want("a", "b", "c");
  await again.settled();
  assert.equal(again.writes(), 0, "a restart changes nothing");
});

test("a name that goes leaves its address in quarantine, over restarts, and a mesh that goes leaves nothing", async () => {
  const { store, want, settled, table, ...first } = stage();
  want("a", "b");
  await settled();
  const address = table().get("0:a")?.address;
  want("b");
  await settled();
  const freed = table().get("0:a");
  assert.equal(freed?.address, address);
  assert.notEqual(freed?.freedAt, undefined);

  const second = stage(store);
  second.pass(quarantineMs - 1_000);
  second.want("b", "c");
  await second.settled();
  assert.equal(table().get("0:a")?.freedAt, freed?.freedAt);
  second.pass(2_000);
  second.want("b");
  await second.settled();
  assert.equal(table().get("0:a"), undefined);
  second.end();
  await second.settled();
  assert.equal(store.get(id), undefined);
  assert.equal(first.writes() > 0, true);
});

test("who writes the table meanwhile loses nobody an address: it is read again", async () => {
  const { store, want, settled, table } = stage();
  want("a");
  const config = { ...id, labels: {}, spec: { config: "{}" }, creationTime: "", modificationTime: "" };
  await store.write([{ kind: "put", resource: config }]);
  want("a", "b");
  await settled();
  await settled();
  assert.deepEqual([...table().keys()], ["0:a", "0:b"]);
});

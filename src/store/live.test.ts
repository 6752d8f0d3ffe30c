// The graph of a running control plane: what its first batch holds, and that what it writes itself ends in quiet.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Changes } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import type { ProxyStatus } from "#owned/proxy-insight.ts";
import { zoneOwned } from "#owned/zone-owned.ts";
import type { Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { live, resourceSources } from "#store/live.ts";
import { memoryStore } from "#store/memory.ts";
import { ownedWriter } from "#store/writer.ts";

const openStore = () => memoryStore({ now: () => Date.UTC(2026, 0, 2) }, { uuid: () => crypto.randomUUID() });

const resource = (kind: string, mesh: string, name: string, spec: JsonObject): Resource => ({
  kind,
  mesh,
  name,
  labels: {},
  spec,
  creationTime: zeroTime,
  modificationTime: zeroTime,
});
const backend = (name: string, address: string): Resource =>
  resource("Dataplane", "default", name, {
    networking: { address, inbound: [{ port: 80, tags: { "kuma.io/service": "backend" } }] },
  });
const put = (one: Resource) => ({ kind: "put", resource: one }) as const;
/** What can't be written fails the test. */
const strict: Log = {
  child: () => strict,
  debug() {},
  info() {},
  warn() {},
  error: (fields, message) => assert.fail(`${message}: ${JSON.stringify(fields)}`),
};
/** Nothing is due. */
const stopped: Clock = { now: () => 0, alarm: () => () => {} };
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("changes before start are part of the first batch", async () => {
  const store = openStore();
  await store.write([put(backend("b1", "10.0.0.1"))]);
  const graph = incrementalGraph();
  const sources = resourceSources(graph, store);
  const addresses = graph.derive(
    "addresses",
    sources.of<DataplaneJson>("Dataplane"),
    ({ spec }) => spec.networking?.address,
  );
  const running = live(graph, store, sources);
  await store.write([put(backend("b2", "10.0.0.2"))]);
  const batches: Changes[] = [];
  running.start((changes) => batches.push(changes));
  assert.deepEqual(
    batches.map((changes) => [...(changes.get(addresses) ?? [])].sort()),
    [["default/b1", "default/b2"]],
  );
  running.stop();
  await store.write([put(backend("b3", "10.0.0.3"))]);
  assert.equal(batches.length, 1);
});

test("the store is quiet after at most two rounds of owned writing", async () => {
  const store = openStore();
  const graph = incrementalGraph();
  const sources = resourceSources(graph, store);
  const served = graph.source<readonly string[]>("served");
  served.set("i1", ["default/backend"]);
  const owned = zoneOwned(graph, {
    zone: "zone-a",
    of: sources.of,
    marked: graph.source("marked"),
    served,
    ports: graph.source<number>("ports"),
    outside: graph.source<never>("outside"),
    statuses: graph.source<ProxyStatus>("statuses"),
  });
  const running = live(graph, store, sources);
  const writer = ownedWriter(store, stopped, strict, [{ wanted: owned.ingresses, deletes: false }]);
  running.start(writer.publish);
  const ingress = resource("ZoneIngress", "", "i1", { networking: { address: "10.1.0.1", port: 10001 } });
  const first = await store.write([put(ingress), put(backend("b1", "10.0.0.1"))]);
  for (let round = 0; round < 10; round++) await turn();
  const { spec } = store.get({ kind: "ZoneIngress", mesh: "", name: "i1" }) ?? {};
  assert.match(JSON.stringify(spec), /"backend"/);
  assert.ok(store.revision > first && store.revision <= first + 2, `${store.revision - first} commits after the first`);
  running.stop();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Commit } from "#resources/store.ts";
import { instancesOf, type Mark } from "#topology/provider.ts";
import { departedForMs, departures } from "#zone/departures.ts";

function stage() {
  const graph = incrementalGraph();
  const departed = graph.source<Resource<DataplaneJson>>("departed");
  const marked = graph.source<Mark>("marked");
  const alarms = new Map<number, () => void>();
  let tell: (commit: Commit) => void = () => {};
  let touched = 0;
  const { gone, stop } = departures({
    store: {
      watch(onCommit) {
        tell = onCommit;
        return () => {};
      },
    },
    clock: {
      now: () => 1_000,
      alarm(at, ring) {
        const id = alarms.size;
        assert.equal(at, 1_000 + departedForMs);
        alarms.set(id, ring);
        return () => void alarms.delete(id);
      },
    },
    marked,
    departed,
    touch: () => void touched++,
  });
  return {
    ...{ marked, alarms, gone, stop },
    change(before: Resource | undefined, after: Resource | undefined): void {
      const id = { kind: "Dataplane", mesh: "default", name: "web-1" };
      tell({ revision: 1, changes: [{ id, before, after }] });
    },
    /** Service, address and port of all that have departed. */
    departed: () =>
      [...departed.keys()].flatMap((key) =>
        [...providedBy(departed.get(key))].flatMap(([service, instances]) =>
          instances.map((one) => `${service} ${one.address}:${one.port}`),
        ),
      ),
    touched: () => touched,
  };
}

const providedBy = (dataplane: Resource<DataplaneJson> | undefined) =>
  dataplane ? instancesOf(dataplane, undefined) : [];

function web({ service = "web", port = 80, state = "Ready" } = {}): Resource {
  const inbound = [{ port, state, tags: { "kuma.io/service": service, version: "1" } }];
  const spec = { networking: { address: "10.0.0.1", inbound } } as unknown as JsonObject;
  const times = { creationTime: zeroTime, modificationTime: zeroTime };
  return { kind: "Dataplane", mesh: "default", name: "web-1", labels: {}, spec, ...times };
}

test("an instance that is deleted stays for as long as proxies drain, for what no other can take", () => {
  const { change, departed, alarms, touched } = stage();
  change(undefined, web());
  assert.deepEqual(departed(), []);
  change(web(), undefined);
  assert.deepEqual(departed(), ["default/web 10.0.0.1:80"]);
  assert.equal(touched(), 0);
  for (const ring of alarms.values()) ring();
  assert.deepEqual(departed(), []);
  assert.equal(touched(), 1);
});

test("so does what changes its service or its port, and nothing else of it", () => {
  const { change, departed } = stage();
  change(web(), web({ service: "shop" }));
  change(web({ service: "shop" }), web({ service: "shop", port: 81 }));
  assert.deepEqual(departed(), ["default/web 10.0.0.1:80", "default/shop 10.0.0.1:80"]);
});

test("what took no traffic does not: it left before, or its proxy is away", () => {
  const { change, departed, marked } = stage();
  change(web(), web({ state: "NotReady" }));
  change(web({ state: "NotReady" }), undefined);
  marked.set("default/web-1", "doubtful");
  change(web(), undefined);
  assert.deepEqual(departed(), []);
});

test("who has ended is behind an ingress no longer", () => {
  const { change, departed, alarms, gone, touched } = stage();
  change(web(), web({ service: "shop" }));
  change(web({ service: "shop" }), undefined);
  gone("default/another");
  assert.equal(touched(), 0);
  assert.equal(departed().length, 2);
  gone("default/web-1");
  assert.deepEqual(departed(), []);
  assert.equal(alarms.size, 0);
  assert.equal(touched(), 1);
});

test("its end cancels what waits", () => {
  const { change, alarms, stop } = stage();
  change(web(), undefined);
  assert.equal(alarms.size, 1);
  stop();
  assert.equal(alarms.size, 0);
});

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { serviceInsights } from "#owned/service-insight.ts";
import { keyOf, type Labels, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

const resource = (kind: string, name: string, spec: JsonObject, labels: Labels = {}): Resource => ({
  kind,
  mesh: kind === "Mesh" ? "" : "default",
  name,
  labels,
  spec,
  creationTime: zeroTime,
  modificationTime: zeroTime,
});
const inbound = (service: string, more: JsonObject = {}): JsonObject => ({
  port: 80,
  tags: { "kuma.io/service": service },
  ...more,
});
const online = (backend?: string): JsonObject => ({
  subscriptions: [{ id: "1", connectTime: "2026-11-24T05:00:00Z" }],
  ...(backend && { mTLS: { issuedBackend: backend } }),
});
const offline = {
  subscriptions: [{ id: "1", connectTime: "2026-11-24T05:00:00Z", disconnectTime: "2026-11-24T06:00:00Z" }],
};

function given(mesh: JsonObject = {}) {
  const graph = incrementalGraph();
  const dataplanes = graph.source<Resource>("Dataplane");
  const insights = graph.source<Resource>("DataplaneInsight");
  const meshes = graph.source<Resource>("Mesh");
  const computed = serviceInsights(graph, { dataplanes, insights, meshes });
  meshes.set("default", resource("Mesh", "default", mesh));
  return {
    graph,
    proxy(name: string, zone: string, networking: JsonObject, insight?: JsonObject) {
      const one = resource("Dataplane", name, { networking }, { "kuma.io/zone": zone });
      dataplanes.set(keyOf(one), one);
      insights.set(keyOf(one), insight && resource("DataplaneInsight", name, insight));
    },
    gone: (name: string) => dataplanes.set(`default/${name}`, undefined),
    services() {
      graph.settle();
      return computed.get("default")?.spec.services;
    },
  };
}

describe("the service insight of a mesh", () => {
  it("counts proxies online and offline in all zones, and certificates by backend", () => {
    const { proxy, services } = given();
    proxy("a", "zone-2", { inbound: [inbound("backend")] }, online("ca-1"));
    proxy("b", "zone-1", { inbound: [inbound("backend")] }, online("ca-1"));
    proxy("c", "zone-1", { inbound: [inbound("backend")] }, offline);
    proxy("d", "zone-1", { inbound: [inbound("frontend")] });
    assert.deepEqual(services(), {
      backend: {
        status: "partially_degraded",
        dataplanes: { online: 2, offline: 1 },
        issuedBackends: { "ca-1": 2 },
        zones: ["zone-1", "zone-2"],
      },
      frontend: { status: "offline", dataplanes: { offline: 1 }, zones: ["zone-1"] },
    });
  });

  it("counts a proxy once for each inbound, and what is not ready as offline", () => {
    const { proxy, services } = given();
    const networking = { inbound: [inbound("backend"), inbound("backend", { state: "NotReady" }), { port: 81 }] };
    proxy("a", "zone-1", networking, online("ca-1"));
    assert.deepEqual(services(), {
      backend: {
        status: "partially_degraded",
        dataplanes: { online: 1, offline: 1 },
        issuedBackends: { "ca-1": 2 },
        zones: ["zone-1"],
      },
    });
  });

  it("names gateways; where only MeshServices count, only delegated ones", () => {
    const gateways = (mesh: JsonObject) => {
      const { proxy, services } = given(mesh);
      proxy("a", "zone-1", { gateway: { tags: { "kuma.io/service": "edge" } } }, online());
      proxy("b", "zone-1", { gateway: { type: "BUILTIN", tags: { "kuma.io/service": "builtin" } } }, online());
      proxy("c", "zone-1", { inbound: [inbound("backend")] }, online());
      return services();
    };
    const edge = { status: "online", dataplanes: { online: 1 }, serviceType: "gateway_delegated", zones: ["zone-1"] };
    assert.deepEqual(gateways({ meshServices: { mode: "Exclusive" } }), { edge });
    assert.deepEqual(gateways({}), {
      backend: { status: "online", dataplanes: { online: 1 }, zones: ["zone-1"] },
      builtin: { ...edge, serviceType: "gateway_builtin" },
      edge,
    });
  });

  it("is there as long as the mesh has a proxy; one proxy's change counts one service anew", () => {
    const { graph, proxy, gone, services } = given();
    proxy("a", "zone-1", { inbound: [inbound("backend")] }, online());
    proxy("b", "zone-1", { inbound: [inbound("frontend")] }, online());
    services();
    const counted = () => graph.counts.recomputed.get("counts of a service") ?? 0;
    const before = counted();
    proxy("a", "zone-1", { inbound: [inbound("backend")] }, offline);
    services();
    assert.equal(counted() - before, 1);
    gone("a");
    gone("b");
    assert.equal(services(), undefined);
  });
});

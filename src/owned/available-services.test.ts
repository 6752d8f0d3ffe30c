import assert from "node:assert/strict";
import { test } from "node:test";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { zoneOwned } from "#owned/zone-owned.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Pinned } from "#topology/external.ts";
import type { Mark } from "#topology/provider.ts";

function stage(offered: readonly string[], portsBefore: readonly string[] = []) {
  const graph = incrementalGraph();
  const sources = new Map(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const marked = graph.source<Mark>("marked");
  const served = graph.source<readonly string[]>("served");
  const of = (kind: string) => sources.get(kind) as never;
  const statuses = graph.source<never>("statuses");
  const outside = graph.source<Pinned>("outside");
  const ports = graph.source<number>("ports");
  const owned = zoneOwned(graph, { zone: "zone-a", of, marked, served, ports, outside, statuses });
  const put = (kind: string, mesh: string, name: string, spec: JsonObject): void => {
    const one = { kind, mesh, name, labels: {}, spec, creationTime: zeroTime, modificationTime: zeroTime };
    sources.get(kind)?.set(keyOf(one), one);
  };
  const entry = (name: string) => ({ mesh: "default", instances: 1, tags: { "kuma.io/service": name } });
  put("ZoneIngress", "", "i1", {
    networking: { address: "10.0.0.1", port: 1 },
    availableServices: [...offered.map(entry), ...portsBefore.map((port) => ({ ...entry(port), mesh: "" }))],
  });
  return {
    marked,
    served,
    outside,
    ports,
    instance: (name: string, service: string) =>
      put("Dataplane", "default", name, {
        networking: { address: "10.0.0.2", inbound: [{ port: 80, tags: { "kuma.io/service": service } }] },
      }),
    /** Services that the ingress should offer, with their instances. */
    offers() {
      graph.settle();
      const spec = owned.ingresses.get("i1")?.spec as ZoneIngressJson | undefined;
      return (spec?.availableServices ?? []).map(
        ({ tags, instances, mesh, externalService = false }) =>
          `${tags?.["kuma.io/service"]} ${instances}${externalService ? " outside" : ""}${mesh ? "" : " of no mesh"}`,
      );
    },
  };
}

test("a service is offered when the ingress's Envoy leads to it", () => {
  const { served, instance, offers } = stage([]);
  instance("a-1", "a");
  instance("b-1", "b");
  assert.deepEqual(offers(), []);
  served.set("i1", ["default/a"]);
  assert.deepEqual(offers(), ["a 1"]);
  served.set("i1", ["default/a", "default/b"]);
  assert.deepEqual(offers(), ["a 1", "b 1"]);
});

test("until its Envoy has been heard, an ingress offers what it offered before, and nothing more", () => {
  const { instance, offers } = stage(["a", "gone"]);
  instance("a-1", "a");
  instance("a-2", "a");
  instance("b-1", "b");
  assert.deepEqual(offers(), ["a 2"]);
});

test("what is marked does not count", () => {
  const { marked, served, instance, offers } = stage([]);
  served.set("i1", ["default/a"]);
  instance("a-1", "a");
  instance("a-2", "a");
  marked.set("default/a-2", "doubtful");
  assert.deepEqual(offers(), ["a 1"]);
  marked.set("default/a-1", "doubtful");
  assert.deepEqual(offers(), []);
});

test("what is outside the mesh is offered beside the services of proxies, and as such", () => {
  const { served, outside, instance, offers } = stage([]);
  served.set("i1", ["default/a", "default/api"]);
  instance("a-1", "a");
  const tags = { "kuma.io/zone": "zone-a" };
  outside.set("default/api", { tags: [tags, tags], isResource: false });
  outside.set("default/db", { tags: [tags], isResource: false });
  assert.deepEqual(offers(), ["a 1", "api 2 outside"]);
  outside.set("default/api", undefined);
  assert.deepEqual(offers(), ["a 1"]);
});

test("a resource outside the mesh is offered without a mesh, once", () => {
  const { served, outside, offers } = stage([]);
  const key = "default/default_mes__zone-a_extsvc_9000";
  const tags = { "kuma.io/zone": "zone-a" };
  outside.set(key, { tags: [tags, tags], isResource: true });
  assert.deepEqual(offers(), []);
  served.set("i1", [key]);
  assert.deepEqual(offers(), ["default_mes__zone-a_extsvc_9000 1 outside of no mesh"]);
});

test("ports of services that are resources are listed without a mesh, when the ingress's Envoy leads to them", () => {
  const { served, ports, offers } = stage([]);
  ports.set("default/default_a__zone-a_msvc_80", 2);
  ports.set("default/default_all___mzsvc_80", 3);
  served.set("i1", ["default/default_all___mzsvc_80"]);
  assert.deepEqual(offers(), ["default_all___mzsvc_80 3 of no mesh"]);
  served.set("i1", ["default/default_a__zone-a_msvc_80", "default/default_all___mzsvc_80"]);
  assert.deepEqual(offers(), ["default_a__zone-a_msvc_80 2 of no mesh", "default_all___mzsvc_80 3 of no mesh"]);
});

test("until it has been heard it lists the ports of before", () => {
  const { ports, offers } = stage([], ["default_a__zone-a_msvc_80"]);
  ports.set("default/default_a__zone-a_msvc_80", 1);
  ports.set("default/default_b__zone-a_msvc_80", 1);
  assert.deepEqual(offers(), ["default_a__zone-a_msvc_80 1 of no mesh"]);
});

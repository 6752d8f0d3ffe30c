import assert from "node:assert/strict";
import { test } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import { probesOfProxies, reporterKey } from "#proxy/probes.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";

test("ingresses and egresses of this zone probe other zones, also where they have one name, and those of others nobody", () => {
  const graph = incrementalGraph();
  const kinds = ["Dataplane", "ZoneIngress", "ZoneEgress"];
  const sources = new Map(kinds.map((kind) => [kind, graph.source<Resource>(kind)]));
  const probes = probesOfProxies(graph, (kind) => sources.get(kind) as never, "zone-a");
  const put = (kind: string, name: string, zone: string, networking: object) =>
    sources.get(kind)?.set(name, fromRest(kindNamed(kind), { type: kind, name, zone, networking } as never).resource);
  const at = { address: "10.0.0.9", port: 10_001 };
  put("ZoneIngress", "edge", "", at);
  put("ZoneEgress", "edge", "zone-a", at);
  put("ZoneEgress", "edge-b", "zone-b", at);
  put("ZoneIngress", "edge-b", "zone-b", { ...at, advertisedAddress: "10.1.0.9", advertisedPort: 10_001 });
  graph.settle();
  const [ingress, egress] = ["ZoneIngress", "ZoneEgress"].map((kind) => reporterKey({ kind, mesh: "", name: "edge" }));
  assert.deepEqual([...probes.keys()].sort(), [egress, ingress].sort());
  for (const key of [ingress, egress])
    assert.deepEqual(
      probes.get(key ?? "")?.map(({ name }) => name),
      ["zone-b 10.1.0.9:10001"],
    );
});

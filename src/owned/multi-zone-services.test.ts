import assert from "node:assert/strict";
import { test } from "node:test";
import { incrementalGraph } from "#incremental/graph.ts";
import { multiZoneServices } from "#owned/multi-zone-services.ts";
import { multiZoneSelections } from "#policies/multi-zone-selections.ts";
import { keyOf, type Labels, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

test("the status of a service of all zones lists those that it is made of, sorted, and keeps what else it says", () => {
  const graph = incrementalGraph();
  const kinds = new Map(
    ["MeshService", "MeshMultiZoneService"].map((kind) => [kind, graph.source<Resource>(kind)] as const),
  );
  const of = (kind: string) => kinds.get(kind) as never;
  const made = multiZoneServices(graph, of, multiZoneSelections(graph, of));
  const put = (kind: string, name: string, more: Partial<Resource>) => {
    const times = { creationTime: zeroTime, modificationTime: zeroTime };
    const one = { kind, mesh: "default", name, labels: {}, spec: {}, ...times, ...more };
    kinds.get(kind)?.set(keyOf(one), one);
    graph.settle();
  };
  const service = (name: string, zone: string, labels: Labels) =>
    put("MeshService", name, { labels: { "kuma.io/zone": zone, "kuma.io/display-name": "backend", ...labels } });
  const all = (status: Resource["status"]) =>
    put("MeshMultiZoneService", "all", {
      spec: { selector: { meshService: { matchLabels: { team: "shop" } } }, ports: [{ port: 80 }] },
      ...(status && { status }),
    });
  service("backend-x", "zone-b", { team: "shop" });
  service("backend", "zone-a", { team: "shop" });
  service("other", "zone-a", { team: "bank" });
  all({ vips: [{ ip: "243.0.0.1" }] });
  const member = (zone: string) => ({ name: "backend", namespace: "", zone, mesh: "default" });
  const status = { vips: [{ ip: "243.0.0.1" }], meshServices: [member("zone-a"), member("zone-b")] };
  assert.deepEqual(made.get("default/all")?.status, status);
  all(status);
  assert.equal(made.get("default/all"), undefined, "as it is stored");
  service("backend-x", "zone-b", {});
  assert.deepEqual(made.get("default/all")?.status, { ...status, meshServices: [member("zone-a")] });
  const before = graph.counts.recomputed.get("MeshMultiZoneServices with status");
  put("MeshService", "other", { labels: {}, status: { dataplaneProxies: {} } });
  assert.equal(graph.counts.recomputed.get("MeshMultiZoneServices with status"), before);
});

// Which MeshMultiZoneServices each MeshService is a part of (interop 3.5).

import type { Collection, Graph } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { meshMultiZoneServiceIn } from "#policies/mesh-multi-zone-service.ts";
import { type Key, keyOf, type Resource } from "#resources/resource.ts";
import { isSubset } from "#topology/provider.ts";

/** Keys of MeshMultiZoneServices, by key of the MeshService; absent: none. */
export function multiZoneSelections(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
): Collection<readonly Key[]> {
  const selectors = graph.derive(
    "selectors of MeshMultiZoneServices",
    of<JsonObject>("MeshMultiZoneService"),
    (one) => {
      const spec = meshMultiZoneServiceIn(one);
      return spec && { mesh: one.mesh, key: keyOf(one), labels: spec.selector.meshService.matchLabels ?? {} };
    },
  );
  const byMesh = graph.group("MeshMultiZoneServices by mesh", selectors, (one) => [[one.mesh, one] as const]);
  return graph.derive("MeshMultiZoneServices of MeshServices", of("MeshService"), ({ mesh, labels }, read) => {
    const all = [...(read.one(byMesh, mesh)?.values() ?? [])].filter((one) => isSubset(one.labels, labels));
    return all.length > 0 ? all.map(({ key }) => key).sort() : undefined;
  });
}

// What a global control plane keeps itself, as collections: what is known of its zones, and the services of each mesh.

import type { DataplaneInsightJson } from "#gen/kuma/mesh/v1alpha1/dataplane_insight_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import { serviceInsights } from "#owned/service-insight.ts";
import { type ZoneStatus, zoneInsight } from "#owned/zone-insight.ts";
import type { Resource } from "#resources/resource.ts";

export interface GlobalOwnedInput {
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** By zone. */
  readonly statuses: Collection<ZoneStatus>;
}

/** Each to be put and deleted. */
export interface GlobalOwned {
  readonly zoneInsights: Collection<Resource>;
  readonly serviceInsights: Collection<Resource>;
}

export function globalOwned(graph: Graph, { of, statuses }: GlobalOwnedInput): GlobalOwned {
  const stored = of("ZoneInsight") as Collection<Resource>;
  const zones = of("Zone");
  return {
    // What was stored is read as it is, not as it becomes: an insight is written because a status changed. A zone that was
    // deleted has none.
    zoneInsights: graph.derive("zone insights", statuses, (status, read, zone) =>
      read.one(zones, zone) ? zoneInsight(status, stored.get(zone)) : undefined,
    ),
    serviceInsights: serviceInsights(graph, {
      dataplanes: of<DataplaneJson>("Dataplane"),
      insights: of<DataplaneInsightJson>("DataplaneInsight"),
      meshes: of<MeshJson>("Mesh"),
    }),
  };
}

// What Envoys of this zone are asked to find out: those beside applications whether these accept connections, those of ingresses whether
// other zones' ingresses do.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import type { Resource } from "#resources/resource.ts";
import { entranceElsewhere, type Probe, probesOf, zoneProbesOf } from "#topology/probe.ts";

/** By key of the Dataplane, or name of the ingress, which is no key of a Dataplane: that has a mesh. */
export function probesOfProxies(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
  zone: string,
): Collection<readonly Probe[]> {
  const ingresses = of<ZoneIngressJson>("ZoneIngress");
  const elsewhere = graph.group("ingresses elsewhere", ingresses, ({ spec }) =>
    entranceElsewhere(spec, zone).map((entrance) => [together, entrance] as const),
  );
  const ofApplications = graph.derive("probes of applications", of<DataplaneJson>("Dataplane"), ({ spec }) =>
    probesOf(spec),
  );
  const ofZones = graph.derive("probes of zones", ingresses, ({ spec }, read) =>
    (spec.zone || zone) === zone ? zoneProbesOf(read.one(elsewhere, together)?.values() ?? []) : undefined,
  );
  return graph.union("probes", ofApplications, ofZones);
}

const together = "all";

// What Envoys of this zone are asked to find out: those beside applications whether these accept connections, those of ingresses and egresses
// whether other zones' ingresses answer.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { ZoneEgressJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import type { Collection, Graph, Read } from "#incremental/collection.ts";
import { egressMarkKey } from "#proxy/egress-collections.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";
import { keyOf } from "#resources/resource.ts";
import { entranceElsewhere, type Probe, probesOf, zoneProbesOf } from "#topology/probe.ts";

/** By `reporterKey`. */
export function probesOfProxies(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
  zone: string,
): Collection<readonly Probe[]> {
  const ingresses = of<ZoneIngressJson>("ZoneIngress");
  const elsewhere = graph.group("ingresses elsewhere", ingresses, (ingress) =>
    entranceElsewhere(ingress, zone).map((entrance) => [together, entrance] as const),
  );
  const ofApplications = graph.derive("probes of applications", of<DataplaneJson>("Dataplane"), ({ spec }) =>
    probesOf(spec),
  );
  const ofZones = ({ spec }: Resource<ZoneIngressJson | ZoneEgressJson>, read: Read) =>
    (spec.zone || zone) === zone ? zoneProbesOf(read.one(elsewhere, together)?.values() ?? []) : undefined;
  const byIngresses = graph.derive("probes of zones by ingresses", ingresses, ofZones);
  const egresses = graph.group("egresses that report", of<ZoneEgressJson>("ZoneEgress"), (egress) => [
    [reporterKey(egress), egress],
  ]);
  const byEgresses = graph.derive("probes of zones by egresses", egresses, (group, read) => {
    const egress = group.values().next().value;
    return egress && ofZones(egress, read);
  });
  return graph.union("probes", ofApplications, graph.union("probes of zones", byIngresses, byEgresses));
}

/** Who reports. The name of an ingress is no key of a Dataplane: that has a mesh. */
export const reporterKey = (id: ResourceId): string => (id.kind === "ZoneEgress" ? egressMarkKey(id.name) : keyOf(id));

const together = "all";

// Which MeshServices each MeshMultiZoneService is made of, as its status says in this zone (interop 3.5).

import type { Collection, Graph } from "#incremental/collection.ts";
import { isEqual, type JsonObject } from "#lib/json.ts";
import { meshMultiZoneServiceIn } from "#policies/mesh-multi-zone-service.ts";
import { identityOf } from "#policies/reference.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { isSubset } from "#topology/provider.ts";

type Of = <Spec>(kind: string) => Collection<Resource<Spec>>;

/** As they are stored, with the status that they should have, where it is another. To be put, never deleted. */
export function multiZoneServices(graph: Graph, of: Of): Collection<Resource> {
  const stored = of<JsonObject>("MeshMultiZoneService");
  const selectors = graph.derive("selectors of services of all zones", stored, (one) => {
    const labels = meshMultiZoneServiceIn(one)?.selector.meshService.matchLabels ?? {};
    return { mesh: one.mesh, key: keyOf(one), labels };
  });
  const byMesh = graph.group("services of all zones by mesh", selectors, (one) => [[one.mesh, one] as const]);
  const identities = graph.derive("identities of MeshServices", of<JsonObject>("MeshService"), (one) => ({
    ...{ mesh: one.mesh, ...identityOf(one) },
  }));
  const selected = graph.derive("services selected by those of all zones", identities, (service, read) => {
    const { mesh, name, namespace, zone, labels } = service;
    const wanting = [...(read.one(byMesh, mesh)?.values() ?? [])].filter((one) => isSubset(one.labels, labels));
    return wanting.map(({ key }) => [key, { name, namespace, zone, mesh }] as const);
  });
  const members = graph.group("members of services of all zones", selected, (all) => all);
  return graph.derive("MeshMultiZoneServices with status", stored, (service, read, key): Resource | undefined => {
    const all = [...(read.one(members, key)?.values() ?? [])];
    const { meshServices: before = [], ...others } = service.status ?? {};
    const meshServices = all.sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
    return isEqual(before, meshServices) ? undefined : { ...service, status: { ...others, meshServices } };
  });
}

const orderOf = (one: { readonly name: string; readonly namespace: string; readonly zone: string }): string =>
  `${one.name} ${one.namespace} ${one.zone}`;

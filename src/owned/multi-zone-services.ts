// Which MeshServices each MeshMultiZoneService is made of, as its status says in this zone (interop 3.5).

import type { Collection, Graph } from "#incremental/collection.ts";
import { isEqual, type JsonObject } from "#lib/json.ts";
import { identityOf } from "#policies/reference.ts";
import type { Key, Resource } from "#resources/resource.ts";

type Of = <Spec>(kind: string) => Collection<Resource<Spec>>;

/** As they are stored, with the status that they should have, where it is another. To be put, never deleted. `selections`: as `multiZoneSelections`. */
export function multiZoneServices(graph: Graph, of: Of, selections: Collection<readonly Key[]>): Collection<Resource> {
  const stored = of<JsonObject>("MeshMultiZoneService");
  const identities = graph.derive("identities of MeshServices", of<JsonObject>("MeshService"), (one) => {
    const { name, namespace, zone } = identityOf(one);
    return { name, namespace, zone, mesh: one.mesh };
  });
  const selected = graph.derive("services selected by those of all zones", identities, (service, read, key) =>
    read.one(selections, key)?.map((one) => [one, service] as const),
  );
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

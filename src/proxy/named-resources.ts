// Services as proxies call them that are not in the table of names: resources, by the address and the names that their status says, and
// ExternalServices at their own IP addresses.

import type { ExternalServiceJson } from "#gen/kuma/mesh/v1alpha1/externalservice_pb.ts";
import type { Collection, Graph, Group } from "#incremental/collection.ts";
import type { CalledResources } from "#proxy/called-resources.ts";
import type { NamedResource } from "#proxy/transparent.ts";
import { isIp } from "#resources/address.ts";
import { externalAddress } from "#resources/external-service.ts";
import { type Resource, tag } from "#resources/resource.ts";
import { resourceAddressIn } from "#topology/vips.ts";

/** By mesh, sorted. */
export function namedResources(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
  called: CalledResources,
) {
  const named = (kind: keyof CalledResources) => {
    const addresses = graph.derive(`addresses of ${kind}`, of(kind), ({ status }) => resourceAddressIn(status));
    const own = graph.derive(`named ${kind}`, called[kind], (resource, read, key) => {
      const at = read.one(addresses, key);
      return at && { mesh: resource.mesh, named: { ...at, ports: resource.ports, resource } };
    });
    return graph.group(`named ${kind} by mesh`, own, ({ mesh, named }) => [[mesh, named]]);
  };
  const atIps = graph.derive("external services at IP addresses", of<ExternalServiceJson>("ExternalService"), (one) => {
    const service = one.spec.tags?.[tag.service];
    const { address, port } = externalAddress(one.spec.networking?.address ?? "") ?? {};
    if (service === undefined || address === undefined || port === undefined || !isIp(address)) return undefined;
    return { mesh: one.mesh, named: { address, domains: [], ports: [{ port, service }] } };
  });
  // They may have one name.
  const all: readonly Collection<Group<NamedResource>>[] = [
    named("MeshExternalService"),
    named("MeshService"),
    named("MeshMultiZoneService"),
    graph.group("named addresses", atIps, ({ mesh, named }) => [[mesh, named]]),
  ];
  const meshes = all
    .map((one, i) => graph.derive(`meshes with names ${i}`, one, (): true => true))
    .reduce((a, b) => graph.union("meshes with named resources", a, b));
  return graph.derive("named resources by mesh", meshes, (_, read, mesh): readonly NamedResource[] =>
    all.flatMap((from) => [...(read.one(from, mesh) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one)),
  );
}

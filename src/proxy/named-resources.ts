// Services as proxies call them that are not in the table of names: resources, by the address and the names that their status says, and
// ExternalServices at their own IP addresses.

import type { ExternalServiceJson } from "#gen/kuma/mesh/v1alpha1/externalservice_pb.ts";
import type { Collection, Graph, Group } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { meshExternalServiceIn } from "#policies/mesh-external-service.ts";
import { resourceServiceName } from "#proxy/names.ts";
import type { NamedResource } from "#proxy/transparent.ts";
import { isIp } from "#resources/address.ts";
import { externalAddress } from "#resources/external-service.ts";
import { type Resource, tag } from "#resources/resource.ts";
import { resourceAddressIn } from "#topology/vips.ts";

/** By mesh, sorted. */
export function namedResources(graph: Graph, of: <Spec>(kind: string) => Collection<Resource<Spec>>) {
  const external = graph.derive("named external services", of<JsonObject>("MeshExternalService"), (resource) => {
    const at = resourceAddressIn(resource.status);
    const spec = meshExternalServiceIn(resource);
    if (!at || !spec) return undefined;
    const { port } = spec.match;
    const ports = [{ port, service: resourceServiceName(resource, port) }];
    return { mesh: resource.mesh, named: { ...at, ports } };
  });
  const atIps = graph.derive("external services at IP addresses", of<ExternalServiceJson>("ExternalService"), (one) => {
    const service = one.spec.tags?.[tag.service];
    const { address, port } = externalAddress(one.spec.networking?.address ?? "") ?? {};
    if (service === undefined || address === undefined || port === undefined || !isIp(address)) return undefined;
    return { mesh: one.mesh, named: { address, domains: [], ports: [{ port, service }], isByTags: true } };
  });
  // The two may have one name.
  const resources = graph.group("named resources", external, ({ mesh, named }) => [[mesh, named]]);
  const addresses = graph.group("named addresses", atIps, ({ mesh, named }) => [[mesh, named]]);
  const meshes = graph.union<true>(
    "meshes with named resources",
    graph.derive("meshes with resources", resources, () => true),
    graph.derive("meshes with addresses", addresses, () => true),
  );
  return graph.derive("named resources by mesh", meshes, (_, read, mesh): readonly NamedResource[] =>
    [resources, addresses].flatMap((from) =>
      [...(read.one<Group<NamedResource>>(from, mesh) ?? [])]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, one]) => one),
    ),
  );
}

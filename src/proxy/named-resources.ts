// Services that are resources as proxies call them: by the address and the names that their status says.

import type { Collection, Graph } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { meshExternalServiceIn } from "#policies/mesh-external-service.ts";
import { resourceServiceName } from "#proxy/names.ts";
import type { NamedResource } from "#proxy/transparent.ts";
import type { Resource } from "#resources/resource.ts";
import { resourceAddressIn } from "#topology/vips.ts";

/** By mesh, sorted. */
export function namedResources(graph: Graph, of: <Spec>(kind: string) => Collection<Resource<Spec>>) {
  const external = graph.derive("named external services", of<JsonObject>("MeshExternalService"), (resource) => {
    const at = resourceAddressIn(resource.status);
    const spec = meshExternalServiceIn(resource);
    if (!at || !spec) return undefined;
    const { port } = spec.match;
    const ports = [{ port, service: resourceServiceName(resource, port) }];
    return { mesh: resource.mesh, named: { ...at, ports } satisfies NamedResource };
  });
  const byMesh = graph.group("named resources", external, ({ mesh, named }) => [[mesh, named]]);
  return graph.derive("named resources by mesh", byMesh, (group): readonly NamedResource[] =>
    [...group].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, named]) => named),
  );
}

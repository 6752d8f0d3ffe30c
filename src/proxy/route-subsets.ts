// The parts of services that routes lead to, over HTTP and TCP.

import type { Collection, Graph, Group } from "#incremental/collection.ts";
import { backendOf } from "#policies/mesh-http-route/http-rule.ts";
import type { MeshHTTPRoute, Rule } from "#policies/mesh-http-route/schema.ts";
import type { MeshTCPRoute } from "#policies/mesh-tcp-route/schema.ts";
import type { Resource } from "#resources/resource.ts";
import { serviceKey, type Tags } from "#topology/provider.ts";

/** By service key, of each route; two of different kinds may have one name. */
export function routeSubsets(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
): Collection<ReadonlyMap<string, readonly Tags[]>> {
  const named = <Spec>(kind: string) =>
    graph.group(`${kind} by kind`, of<Spec>(kind), (route, key) => [[`${kind}:${key}`, route] as const]);
  const routes = graph.union<Group<Resource<MeshHTTPRoute | MeshTCPRoute>>>(
    "routes",
    named<MeshHTTPRoute>("MeshHTTPRoute"),
    named<MeshTCPRoute>("MeshTCPRoute"),
  );
  return graph.derive("route subsets", routes, (group) => {
    const route = group.values().next().value;
    return route && subsetsOf(route);
  });
}

/** The parts of services that a route leads to, by service key: other zones may ask for them by SNI. */
function subsetsOf(route: Resource<MeshHTTPRoute | MeshTCPRoute>): Map<string, readonly Tags[]> {
  const subsets = new Map<string, readonly Tags[]>();
  const confs: readonly Pick<Rule["default"], "backendRefs" | "filters">[] = (route.spec.to ?? []).flatMap(
    ({ rules }) => rules.map((rule) => rule.default),
  );
  const refs = confs.flatMap(({ backendRefs = [], filters = [] }) => [
    ...backendRefs,
    ...filters.flatMap(({ requestMirror }) => (requestMirror ? [requestMirror.backendRef] : [])),
  ]);
  for (const ref of refs) {
    const backend = backendOf(ref, route);
    if (backend.kind !== "service" || Object.keys(backend.tags).length === 0) continue;
    const key = serviceKey(route.mesh, backend.service);
    subsets.set(key, [...(subsets.get(key) ?? []), backend.tags]);
  }
  return subsets;
}

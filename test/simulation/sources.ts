// A graph's sources, filled with the resources of a store.

import type { Graph, Source } from "#incremental/collection.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";

export function sourcesFrom(graph: Graph, resources: Iterable<Resource>) {
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  for (const resource of resources) sources.get(resource.kind)?.set(keyOf(resource), resource);
  // The kind says what the spec is, as in store/live.ts.
  return <Spec>(kind: string) => sources.get(kind) as unknown as Source<Resource<Spec>>;
}

// What agents say of themselves, by key of the Dataplane. The node says so; its insight says it, too, for a proxy that has not come back
// yet since its control plane started, and would else be configured in another way for a moment.

import type { Collection, Graph } from "#incremental/collection.ts";
import { isObject } from "#lib/json.ts";
import type { ProxyStatus } from "#owned/proxy-insight.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { type NodeFacts, nodeFactsOf } from "#topology/node.ts";

export function nodesOf(
  graph: Graph,
  statuses: Collection<ProxyStatus>,
  insights: Collection<Resource>,
): Collection<NodeFacts> {
  const said = graph.group("nodes", statuses, ({ id, metadata }) =>
    id.kind === "Dataplane" ? [[keyOf(id), nodeFactsOf(metadata)] as const] : [],
  );
  const now = graph.derive("nodes as said", said, (group) => group.values().next().value);
  const before = graph.derive("nodes as noted", insights, ({ spec: { metadata } }) =>
    isObject(metadata) ? nodeFactsOf(metadata) : undefined,
  );
  return graph.union("nodes at all", now, before);
}

// Whose Envoys have the listener that leads to egresses, by key of the Dataplane. The node says so; its insight says it, too, for a proxy
// that has not come back yet since its control plane started, and would else be configured in another way for a moment.

import { internalListenersKey } from "#envoy/egress.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import type { ProxyStatus } from "#owned/proxy-insight.ts";
import { keyOf, type Resource } from "#resources/resource.ts";

export function internalListenersOf(
  graph: Graph,
  statuses: Collection<ProxyStatus>,
  insights: Collection<Resource>,
): Collection<true> {
  const said = graph.group("nodes with internal listeners", statuses, ({ id, metadata }) =>
    id.kind === "Dataplane" ? [[keyOf(id), isSaidIn(metadata)] as const] : [],
  );
  const now = graph.derive("internal listeners as said", said, (group): boolean => [...group.values()].includes(true));
  const before = graph.derive("internal listeners as noted", insights, ({ spec }) => isSaidIn(spec.metadata));
  return graph.derive("internal listeners", graph.union("internal listeners at all", now, before), (has) =>
    has ? true : undefined,
  );
}

const isSaidIn = (metadata: JsonValue | JsonObject | undefined): boolean =>
  isObject(metadata) && metadata[internalListenersKey] === "true";

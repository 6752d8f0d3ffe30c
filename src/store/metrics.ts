// What Prometheus hears of the store and of what is computed from it.

import type { Metrics } from "#host/metrics.ts";
import type { Graph } from "#incremental/collection.ts";
import type { Store } from "#resources/store.ts";

export function storeMetrics(
  { counter, gauge }: Pick<Metrics, "counter" | "gauge">,
  store: Store,
  { counts }: Pick<Graph, "counts">,
): void {
  gauge({
    name: "kodiak_store_revision",
    help: "Revision of the store: one more with each commit",
    read: () => store.revision,
  });
  gauge({
    name: "kodiak_store_resources",
    help: "Resources in the store",
    labels: ["kind"],
    read() {
      const byKind = new Map<string, number>();
      for (const { kind } of store.all()) byKind.set(kind, (byKind.get(kind) ?? 0) + 1);
      return [...byKind].map(([kind, value]) => ({ labels: { kind }, value }));
    },
  });
  counter({
    name: "kodiak_recomputed_keys_total",
    help: "Keys of what is computed from the store that were computed again",
    labels: ["collection"],
    read: () => [...counts.recomputed].map(([collection, value]) => ({ labels: { collection }, value })),
  });
}

// What Prometheus hears of objects that are refused, and of zones that conclude nothing of their proxies for now.

import type { Metrics } from "#host/metrics.ts";
import type { LinkView } from "#resources/links.ts";

export interface Refusal {
  readonly kind: string;
  /** Who refuses it, or that it is too large to be sent. */
  readonly reason: "proxy" | LinkView["refused"][number]["where"];
}

export interface Trouble {
  readonly refused: () => readonly Refusal[];
  /** Of a zone: itself. */
  readonly frozenZones: () => number;
}

export const refusalsOfLinks = (links: readonly LinkView[]): readonly Refusal[] =>
  links.flatMap(({ refused }) => refused.map(({ kind, where }) => ({ kind, reason: where })));

export function troubleMetrics({ gauge }: Pick<Metrics, "gauge">, { refused, frozenZones }: Trouble): void {
  gauge({
    name: "kodiak_refused_objects",
    help: "Objects that somebody refuses: a proxy, this control plane (here), another one (there), or as they are too large",
    labels: ["kind", "reason"],
    read: () => [...Map.groupBy(refused(), ({ kind, reason }) => `${kind} ${reason}`).values()].map(samplesOf),
  });
  gauge({
    name: "kodiak_frozen_zones",
    help: "Zones that conclude nothing of their proxies, as most of them went away together",
    read: frozenZones,
  });
}

const samplesOf = ([first, ...rest]: readonly Refusal[]) => ({
  labels: { kind: first?.kind ?? "", reason: first?.reason ?? "" },
  value: 1 + rest.length,
});

// Zones whose control planes have lost all of their own ingresses: what these lead to stays as it is.

import { presenceIn } from "#owned/online.ts";
import type { View } from "#resources/store.ts";
import { asZoneIngress } from "#resources/zone-ingress.ts";

export interface IngressesAway {
  readonly zone: string;
  /** Since the last of them went: RFC 3339. */
  readonly since: string;
}

/** Sorted. One that never came counts for nothing. `own`: the zone that an ingress belongs to that does not say. */
export function ingressesAway(view: Pick<View, "get" | "list">, own = ""): readonly IngressesAway[] {
  const found = new Map<string, string>();
  const alive = new Set<string>();
  for (const ingress of view.list("ZoneIngress")) {
    const zone = asZoneIngress(ingress).spec.zone || own;
    const insight = view.get({ kind: "ZoneIngressInsight", mesh: "", name: ingress.name });
    const { isOnline, since } = presenceIn(insight?.spec);
    if (isOnline) alive.add(zone);
    else if (since !== undefined && since > (found.get(zone) ?? "")) found.set(zone, since);
  }
  return [...found]
    .filter(([zone]) => !alive.has(zone))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([zone, since]) => ({ zone, since }));
}

// What a MeshLoadBalancingStrategy says of where endpoints are.

import type { Failover, LocalityAwareness } from "#policies/mesh-load-balancing-strategy/schema.ts";
import { type AffinityTag, type Locality, localFirst, type Tier, together } from "#topology/locality.ts";

/** Kuma's where no policy says otherwise. */
const usualThreshold = 50;

/** With any strategy for a destination the client's zone comes first, unless that is disabled and nothing else is said of zones. */
export function localityOf({ disabled = false, localZone, crossZone }: LocalityAwareness): Locality {
  if (disabled && !localZone && !crossZone) return together;
  const threshold = Number(crossZone?.failoverThreshold?.percentage ?? usualThreshold);
  return {
    others: crossZone?.failover?.map(tierOf) ?? localFirst.others,
    affinity: affinityOf(localZone?.affinityTags),
    // Rounded up: exactly the threshold is enough to keep all.
    overprovisioningFactor: Math.ceil((100 * 100) / threshold),
  };
}

const takes = { None: "none", Only: "only", Any: "any", AnyExcept: "except" } as const;

const tierOf = ({ from, to: { type, zones = [] } }: Failover): Tier => ({
  ...(from && { from: from.zones }),
  takes: takes[type],
  zones,
});

/** Without weights each tag gets nine in ten of what those before it leave. */
const affinityOf = (tags: NonNullable<LocalityAwareness["localZone"]>["affinityTags"]): readonly AffinityTag[] =>
  (tags ?? []).map(({ key, weight }, i, all) => ({ key, weight: weight ?? 9 * 10 ** Math.min(all.length - i - 1, 8) }));

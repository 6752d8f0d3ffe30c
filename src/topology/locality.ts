// Which endpoints a client prefers by where they are: those near it in its zone, then other zones in an order (interop 7.7, decision 18).

import { sha256Hex } from "#lib/hash.ts";
import type { Tags } from "#topology/provider.ts";

export interface Locality {
  /** Other zones: like the own one, or after it, tier by tier; one that no tier takes gets nothing. */
  readonly others: "together" | readonly Tier[];
  /** Of the own zone, those that share the client's value of a tag get this weight together; the first tag that fits counts. The rest
   * has weight 1. Empty: all alike. */
  readonly affinity: readonly AffinityTag[];
  /** Percent. Below 100 % of healthy endpoints divided by it a tier passes on what it cannot take; absent: Envoy's 140. */
  readonly overprovisioningFactor?: number;
}

export interface Tier {
  /** Zones for whose clients it is; absent: for all. */
  readonly from?: readonly string[];
  readonly takes: "any" | "none" | "only" | "except";
  /** Of `only` and `except`. */
  readonly zones: readonly string[];
}

export interface AffinityTag {
  readonly key: string;
  readonly weight: number;
}

export const together: Locality = { others: "together", affinity: [] };
/** Others take what this zone cannot. */
export const localFirst: Locality = { others: [{ takes: "any", zones: [] }], affinity: [] };

/** Of another zone, seen from this one; `undefined`: it gets nothing. What stands for several zones, joined by commas, is as preferred
 * as the first of them. */
export function priorityOf({ others }: Locality, localZone: string, zone: string): number | undefined {
  if (others === "together") return 0;
  const own = others.filter(({ from }) => from === undefined || from.includes(localZone));
  const places = zone.split(",").flatMap((one) => {
    const place = own.findIndex((tier) => tier.takes === "none" || takes(tier, one));
    return own[place] === undefined || own[place].takes === "none" ? [] : [place + 1];
  });
  return places.length === 0 ? undefined : Math.min(...places);
}

const takes = ({ takes: which, zones }: Tier, zone: string): boolean =>
  which === "any" || (which === "only" && zones.includes(zone)) || (which === "except" && !zones.includes(zone));

/** Where in its zone an endpoint is, as the client sees it. `own`: the client's tags. */
export function nearness({ affinity }: Locality, own: Tags, tags: Tags): { subZone: string; weight: number } {
  const near = affinity.find(({ key }) => own[key] !== undefined && own[key] === tags[key]);
  return near ? { subZone: `${near.key}=${own[near.key]}`, weight: near.weight } : { subZone: "", weight: 1 };
}

/** What of a client's tags its endpoints depend on. */
export const relevantTags = (locality: Locality | undefined, own: Tags): Tags =>
  Object.fromEntries(
    (locality?.affinity ?? []).flatMap(({ key }) => (own[key] === undefined ? [] : [[key, own[key]] as const])),
  );

/** Equal for equal ones. */
export const localityKey = (locality: Locality, own: Tags): string =>
  sha256Hex(JSON.stringify([locality, own])).slice(0, 16);

// The egresses of this zone as its proxies meet them, and what stands for other zones behind them (decision 17).

import { type HostPort, hostPortText } from "#lib/address.ts";
import { sha256Hex } from "#lib/hash.ts";
import type { Endpoint } from "#topology/service.ts";
import type { RemoteZone } from "#topology/weights.ts";

/** What an egress leads to. */
export interface Ways {
  /** By SNI: service keys, sorted. */
  readonly services: readonly string[];
  /** By ALPN: zones, and the addresses of their ingresses, as `hostPortText`. */
  readonly zones: Readonly<Record<string, readonly string[]>>;
}

export interface Egress {
  readonly at: HostPort;
  /** It may have ended: used as long as there is no other. */
  readonly isMarked: boolean;
  readonly ways: Ways;
}

/** Those that are used, sorted. */
export function usedEgresses(egresses: Iterable<Egress>): readonly Egress[] {
  const all = [...egresses].sort((a, b) => (hostPortText(a.at) < hostPortText(b.at) ? -1 : 1));
  const alive = all.filter(({ isMarked }) => !isMarked);
  return alive.length > 0 ? alive : all;
}

/** How a proxy reaches other zones through egresses: `zones`, each by a way of its own; `addresses`, all of them at the egresses. */
export type EgressForm = "zones" | "addresses";

/**
 * `egresses`: those that are used. `service`: as `serviceKey`. What not all of them lead to is not there. `ingressesOf`: of a zone, as
 * `hostPortText`, whether or not they lead to the service.
 */
export function throughEgresses(
  form: EgressForm,
  egresses: readonly Egress[],
  service: string,
  ingressesOf: (zone: string) => readonly string[],
): (zones: readonly RemoteZone[]) => readonly RemoteZone[] {
  if (egresses.length === 0 || !egresses.every(({ ways }) => ways.services.includes(service))) return () => [];
  return form === "zones"
    ? (zones) => zones.flatMap((zone) => wayTo(zone, egresses, ingressesOf(zone.zone)))
    : (zones) => together(zones, egresses);
}

/** Egresses that lead to a service outside the mesh. */
export const leadingOut = (zone: string, egresses: readonly Egress[], service: string): readonly Endpoint[] =>
  egresses
    .filter(({ ways }) => ways.services.includes(service))
    .map(({ at }) => ({ ...at, zone, weight: 1, tags: {}, isMarked: false, priority: 0 }));

function wayTo(
  { addresses, ...zone }: RemoteZone,
  egresses: readonly Egress[],
  there: readonly string[],
): readonly RemoteZone[] {
  const leading = new Set(addresses.map(hostPortText));
  const behind = egresses.map(({ ways }) => ways.zones[zone.zone] ?? []);
  // A connection may end at each of these, and each must lead to the service; but who is not there any more is no place to end at.
  const elsewhere = new Set(there.filter((at) => !leading.has(at)));
  if (
    !behind.every((ingresses) => ingresses.some((at) => leading.has(at)) && !ingresses.some((at) => elsewhere.has(at)))
  )
    return [];
  const revision = sha256Hex(JSON.stringify(egresses.map(({ at }, i) => [hostPortText(at), behind[i]]))).slice(0, 8);
  return [{ ...zone, addresses: [{ address: zone.zone, port: 0, way: `${zone.zone}/${revision}` }] }];
}

/** As Kuma does it. */
function together(zones: readonly RemoteZone[], egresses: readonly Egress[]): readonly RemoteZone[] {
  const instances = zones.reduce((sum, zone) => sum + zone.instances, 0);
  if (instances === 0) return [];
  const zone = zones.map(({ zone }) => zone).join(",");
  const isDrained = zones.every((one) => one.isDrained);
  return [{ zone, instances, isDrained, addresses: egresses.map(({ at }) => at) }];
}

/** In the collections of certificates, where Dataplanes are, too: an egress has one in each mesh. */
export const egressCertificateKey = (egress: string, mesh: string): string => `ZoneEgress ${egress} ${mesh}`;

// A service as its clients see it: what it speaks, where it is, and each endpoint with its weight.

import { type HostPort, hostPortText } from "#lib/address.ts";
import { tag } from "#resources/resource.ts";
import { type Instance, isSubset, type RemoteOffer, type Tags } from "#topology/provider.ts";
import { type RemoteZone, weightsOf } from "#topology/weights.ts";

/** What of a service its clients' clusters and routes depend on; endpoints are not in it. */
export interface ServiceFacts {
  readonly protocol: string;
  /** Reached through another zone's ingress, too. */
  readonly isRemote: boolean;
}

export type Instances = Iterable<readonly Instance[]>;
export type Offers = Iterable<RemoteOffer>;

export function serviceFactsOf(instances: Instances, offers: Offers): ServiceFacts | undefined {
  const protocols = new Set<string>();
  let isRemote = false;
  for (const own of instances) for (const { tags } of own) protocols.add(tags[tag.protocol] ?? "tcp");
  for (const { entries } of offers) {
    isRemote = true;
    for (const { tags } of entries) protocols.add(tags[tag.protocol] ?? "tcp");
  }
  if (protocols.size === 0) return undefined;
  // Providers that disagree have only bytes in common.
  return { protocol: protocols.size === 1 ? [...protocols][0]! : "tcp", isRemote };
}

/** The zones that offer instances with these tags. Ingresses of a zone lead to the same instances: they count once. */
export function remoteZonesOf(offers: Offers, subset: Tags): readonly RemoteZone[] {
  const zones = new Map<string, { addresses: Map<string, { address: string; port: number }>; instances: number }>();
  for (const { zone, address, port, entries } of offers) {
    const instances = entries
      .filter((entry) => isSubset(subset, entry.tags))
      .reduce((sum, entry) => sum + entry.instances, 0);
    if (instances === 0) continue;
    const known = zones.get(zone) ?? { addresses: new Map(), instances: 0 };
    known.addresses.set(hostPortText({ address, port }), { address, port });
    zones.set(zone, { ...known, instances: Math.max(known.instances, instances) });
  }
  return [...zones]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([zone, { addresses, instances }]) => ({
      zone,
      instances,
      addresses: [...addresses].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, address]) => address),
    }));
}

export interface Endpoint extends HostPort {
  readonly zone: string;
  readonly weight: number;
  readonly tags: Tags;
}

export interface EndpointsInput {
  readonly localZone: string;
  readonly subset: Tags;
  readonly instances: Instances;
  /** Empty where other zones may not be used: a mesh without mTLS, or at an ingress. */
  readonly offers: Offers;
}

/** Local instances and other zones' ingresses, weighted by instances: local ones first, then zones by name. */
export function endpointsOf({ localZone, subset, instances, offers }: EndpointsInput): readonly Endpoint[] {
  const local = [...instances].flat().filter((instance) => isSubset(subset, instance.tags));
  const remote = remoteZonesOf(offers, subset);
  const weights = weightsOf(local.length, remote);
  return [
    ...local
      .map(({ address, port, tags }) => ({ address, port, tags, zone: localZone, weight: weights.local }))
      .sort((a, b) => (hostPortText(a) < hostPortText(b) ? -1 : 1)),
    ...remote.flatMap(({ zone, addresses }) =>
      addresses.map((at) => ({ ...at, zone, weight: weights.remote.get(zone) ?? 1, tags: { [tag.zone]: zone } })),
    ),
  ];
}

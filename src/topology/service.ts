// A service as its clients see it: what it speaks, where it is, and each endpoint with its weight.

import { hostPortText } from "#lib/address.ts";
import { tag } from "#resources/resource.ts";
import { type ExternalReach, type ExternalResource, withoutMtls } from "#topology/external.ts";
import { type Locality, nearness, priorityOf, together } from "#topology/locality.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import type { ServiceResource } from "#topology/mesh-service.ts";
import { type Instance, isSubset, type RemoteOffer, type Tags } from "#topology/provider.ts";
import { byKey } from "#topology/vips.ts";
import { type RemoteAddress, type RemoteZone, weightsOf } from "#topology/weights.ts";

/** What of a service its clients' clusters and routes depend on; endpoints are not in it. */
export interface ServiceFacts {
  readonly protocol: string;
  /** The other zones whose ingresses lead to it, too; sorted. */
  readonly zones: readonly string[];
  /** Outside the mesh, where it is then altogether. */
  readonly external?: ExternalReach;
  /** Outside the mesh, behind the egresses of this zone, which know it by its tags, or as a resource. */
  readonly behindEgress?: { readonly resource?: ExternalResource };
  /** A port of one that is a resource. */
  readonly resource?: ServiceResource;
}

export type Instances = Iterable<readonly Instance[]>;
export type Offers = Iterable<RemoteOffer>;

export const factsOfInstances = (instances: Instances): ServiceFacts => ({
  protocol: protocolOfAll([...instances].flat()),
  zones: [],
});

export function factsOfOffers(offers: Offers): ServiceFacts {
  const all = [...offers];
  return {
    protocol: protocolOfAll(all.flatMap(({ entries }) => entries)),
    zones: [...new Set(all.map(({ zone }) => zone))].sort(),
  };
}

export function mergeFacts(a: ServiceFacts | undefined, b: ServiceFacts | undefined): ServiceFacts | undefined {
  if (!a || !b) return a ?? b;
  return { protocol: a.protocol === b.protocol ? a.protocol : "tcp", zones: [...a.zones, ...b.zones] };
}

/** In a mesh that leaves its zone through egresses, these lead there; to what is a resource, always. `isOffered`: by other zones. */
export function factsOutside(mesh: MeshFacts, reach: ExternalReach, isOffered: boolean): ServiceFacts {
  const { protocol, endpoints, resource } = reach;
  const facts = { protocol, zones: [] };
  if (resource && !mesh.mtls) return { ...facts, external: { ...reach, endpoints: [], missing: withoutMtls } };
  const isThroughEgress = resource !== undefined || (mesh.mtls !== undefined && mesh.usesEgress);
  // What cannot be used at all says why, wherever it would be called from.
  if (!isThroughEgress || (endpoints.length === 0 && !isOffered)) return { ...facts, external: reach };
  return { ...facts, behindEgress: resource ? { resource } : {} };
}

/** Providers that disagree have only bytes in common. */
function protocolOfAll(providers: readonly { readonly tags: Tags }[]): string {
  const protocols = new Set(providers.map(({ tags }) => tags[tag.protocol] ?? "tcp"));
  const [first] = protocols;
  return protocols.size === 1 && first !== undefined ? first : "tcp";
}

/**
 * The zones that offer instances with these tags. Ingresses of a zone lead to the same instances: they count once. What one ingress offers
 * several times, for each of a zone's services that are parts of this one, is the sum.
 */
export function remoteZonesOf(offers: Offers, subset: Tags): readonly RemoteZone[] {
  const serving = [...offers].flatMap((offer) => {
    const instances = sum(offer.entries.filter(({ tags }) => isSubset(subset, tags)).map((entry) => entry.instances));
    return instances > 0 ? [{ ...offer, instances }] : [];
  });
  return [...Map.groupBy(serving, ({ zone }) => zone)].sort(byKey).map(([zone, of]) => {
    const addresses = new Map(of.map(({ address, port }) => [hostPortText({ address, port }), { address, port }]));
    const byIngress = [...Map.groupBy(of, ({ ingress }) => ingress).values()];
    return {
      zone,
      instances: Math.max(...byIngress.map((own) => sum(own.map(({ instances }) => instances)))),
      isDrained: of.some(({ isDrained }) => isDrained),
      addresses: [...addresses].sort(byKey).map(([, address]) => address),
    };
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

export interface Endpoint extends RemoteAddress {
  readonly zone: string;
  readonly weight: number;
  readonly tags: Tags;
  /** Envoy chooses others as long as there are any. */
  readonly isMarked: boolean;
  /** Envoy chooses a higher number as far as those with lower ones are not healthy. */
  readonly priority: number;
  /** Of its zone; absent: all of it alike. */
  readonly near?: Nearness;
}

/** A part of a zone, and the share that it gets among all of its priority. */
export interface Nearness {
  readonly subZone: string;
  readonly weight: number;
}

export interface EndpointsInput {
  readonly localZone: string;
  readonly subset: Tags;
  readonly instances: Instances;
  /** Empty where other zones may not be used: a mesh without mTLS, or at an ingress. */
  readonly offers: Offers;
  /** Absent: all zones alike. */
  readonly locality?: Locality;
  /** The client's tags that the locality looks at. */
  readonly own?: Tags;
  /** What stands for other zones instead; absent: their ingresses. */
  readonly through?: (zones: readonly RemoteZone[]) => readonly RemoteZone[];
}

/** Local instances and other zones' ingresses, weighted by instances: local ones first, then zones by name. */
export function endpointsOf(input: EndpointsInput): readonly Endpoint[] {
  const { localZone, subset, instances, offers, locality = together, own = {}, through = (zones) => zones } = input;
  const isWeighted = locality.affinity.length > 0;
  const local = [...instances].flat().filter((instance) => instance.isHealthy && isSubset(subset, instance.tags));
  const remote = through(
    remoteZonesOf(offers, subset).filter(({ zone }) => priorityOf(locality, localZone, zone) !== undefined),
  );
  const weights = weightsOf(local.length, remote);
  return [
    ...local
      .map(({ address, port, tags, isMarked }) => ({
        ...{ address, port, tags, isMarked },
        ...{ zone: localZone, weight: weights.local, priority: 0 },
        ...(isWeighted && { near: nearness(locality, own, tags) }),
      }))
      .sort(byAddress),
    ...remote.flatMap(({ zone, addresses, isDrained }) => {
      const weight = weights.remote.get(zone) ?? 1;
      return addresses.map((at) => ({
        ...{ ...at, zone, weight, isMarked: isDrained, priority: priorityOf(locality, localZone, zone) ?? 0 },
        tags: { [tag.zone]: zone },
        ...(isWeighted && { near: { subZone: "", weight: weight * addresses.length } }),
      }));
    }),
  ];
}

/** Two proxies that claim one address are told apart by the rest, so that the order never depends on who came first. */
const byAddress = (a: Endpoint, b: Endpoint): number => (orderText(a) < orderText(b) ? -1 : 1);
const orderText = (endpoint: Endpoint): string =>
  `${hostPortText(endpoint)} ${endpoint.isMarked} ${JSON.stringify(endpoint.tags)}`;

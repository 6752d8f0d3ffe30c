// A zone egress: connections of this zone's proxies, led to the ingresses of other zones by the zone that their ALPN names, or by their
// SNI (decision 17), and to services outside the mesh. It ends no TLS but that of the latter.

import { any } from "#envoy/any.ts";
import { egressName, wayMatcher } from "#envoy/egress.ts";
import { type Chain, listener } from "#envoy/listener.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { ZoneEgress_NetworkingJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";
import { assignment } from "#proxy/assignment.ts";
import type { Draft } from "#proxy/bundle.ts";
import { type ExternalTarget, externalChain, externalTargetName, externalTargetSni } from "#proxy/egress-externals.ts";
import { hopCluster, toProxies } from "#proxy/evidence.ts";
import { chainTo, type IngressTarget, ingressClusterName, ingressSni, throughTo } from "#proxy/ingress.ts";
import { inboundListenerName } from "#proxy/names.ts";
import type { Resource } from "#resources/resource.ts";
import { offersOf, portsBehind, publicIngress } from "#topology/provider.ts";

/** No service is called so. */
export const zoneClusterName = (zone: string): string => `kodiak:zone:${zone}`;

const hopDrafts = (name: string, zone: string, addresses: readonly HostPort[]): readonly Draft[] => {
  const endpoints = addresses.map((at) => ({ ...at, zone, weight: 1, tags: {}, isMarked: false, priority: 0 }));
  return [
    { type: "cluster", name, json: hopCluster(name, toProxies) },
    { type: "endpoint", name, json: assignment(name, endpoints) },
  ];
};

/** On an egress: the ingresses of a zone. */
export const zoneDrafts = (zone: string, ingresses: readonly HostPort[]): readonly Draft[] =>
  hopDrafts(zoneClusterName(zone), zone, ingresses);

/** On a client: the egresses of its own zone. */
export const egressesDrafts = (zone: string, egresses: readonly HostPort[]): readonly Draft[] =>
  hopDrafts(egressName, zone, egresses);

export interface EgressLeads {
  readonly services: readonly IngressTarget[];
  readonly zones: readonly string[];
  readonly outside: readonly ExternalTarget[];
}

export function egressListenerDraft(
  name: string,
  zone: string,
  networking: ZoneEgress_NetworkingJson,
  { services: targets, zones, outside }: EgressLeads,
): Draft {
  const at = { address: networking.address ?? "", port: networking.port ?? 0 };
  const listenerName = inboundListenerName(at);
  const services = targets.map((target) => [ingressSni(target), ingressClusterName(target)] as const);
  const ways = zones.map((other) => [other, zoneClusterName(other)] as const);
  const external = outside.map((target) => [externalTargetSni(target), externalTargetName(target)] as const);
  const clusters = [...services, ...ways, ...external].map(([, cluster]) => cluster);
  const chains = [
    // The matcher goes by names alone; what Kuma's would match is there to be read.
    ...targets.map((target) => ({ name: ingressClusterName(target), ...chainTo(target) })),
    ...ways.map(([, cluster]) => ({ name: cluster, filters: [throughTo(cluster)] })),
    ...outside.map(externalChain),
  ];
  return {
    type: "listener",
    name: listenerName,
    refers: clusters,
    json: listener({
      ...{ name: listenerName, at, direction: "INBOUND", inspectTls: true },
      ...(chains.length === 0
        ? { chains: [nowhere(name, zone)] }
        : { chains, matcher: wayMatcher(new Map(ways), new Map([...services, ...external])) }),
    }),
  };
}

/** Of one ingress: where it is, and for how many services it says it leads there. */
export interface Entrance extends HostPort {
  readonly services: number;
}

/**
 * The ingresses of a zone that lead to as much as any of them does: who has just come and leads to less must not be met by a connection
 * that asks for the rest. Sorted, each address once.
 */
export function completeIngresses(entrances: Iterable<Entrance>): readonly HostPort[] {
  const all = [...entrances];
  const most = Math.max(0, ...all.map(({ services }) => services));
  const byText = new Map(
    all
      .filter(({ services }) => services === most)
      .map(({ address, port }) => [hostPortText({ address, port }), { address, port }]),
  );
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, at]) => at);
}

/** By zone; none of one of this zone, or one that isn't public. One of Kuma says nothing of a mesh that has MeshServices only. */
export function entranceOf(
  ingress: Resource<ZoneIngressJson>,
  localZone: string,
): Iterable<readonly [string, Entrance]> {
  const found = publicIngress(ingress, localZone);
  if (!found) return [];
  const { zone, address, port } = found;
  return [
    [zone, { address, port, services: offersOf(ingress, localZone).size + portsBehind(ingress, localZone).size }],
  ];
}

/** A listener needs a chain; with nothing to lead to, it says who it is and closes. */
const nowhere = (name: string, zone: string): Chain => ({
  filters: [
    {
      name: "envoy.filters.network.direct_response",
      typedConfig: any("envoy.extensions.filters.network.direct_response.v3.Config", {
        response: { inlineString: JSON.stringify({ proxy: `.${name}`, zone }) },
      }),
    },
  ],
});

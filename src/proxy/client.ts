// A data plane proxy as its policies see it, what it calls, and the view that it shares with proxies that call alike.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";
import { sha256Hex } from "#lib/hash.ts";
import { findPolicy } from "#policies/all.ts";
import { matchedPolicies, type ProxyFacts } from "#policies/match.ts";
import { identityOf } from "#policies/reference.ts";
import type { PolicySpec } from "#policies/schema.ts";
import type { Reachable, ServiceRef } from "#proxy/called-resources.ts";
import { displayNameOf, type Key, keyOf, type Resource, tag } from "#resources/resource.ts";
import type { EgressForm } from "#topology/egress.ts";
import { listenersOf, type MeshGateway } from "#topology/gateway.ts";
import { sectionOf } from "#topology/inbound.ts";
import type { Tags } from "#topology/provider.ts";

/** A policy that is for a proxy, by reference: what it says is read where it is used. */
export interface PolicyRef {
  readonly kind: string;
  readonly key: Key;
  /** The inbounds that it is for, or listeners of a gateway; empty in `toPolicies` of others, which are for the proxy as a whole. */
  readonly sections: readonly string[];
}

export interface Client {
  readonly mesh: string;
  /** How it reaches other zones; absent: directly. */
  readonly egress?: EgressForm;
  /** As `callsOf`. */
  readonly calls: string;
  /** Its tags that policies look at; absent: none. */
  readonly own?: Tags;
  /** Those with a `to` part, by kind, ascending. */
  readonly toPolicies: readonly PolicyRef[];
  /** Those with a `from` or `rules` part. */
  readonly inboundPolicies: readonly PolicyRef[];
  /** Those that say one thing of the proxy as a whole. */
  readonly ownPolicies: readonly PolicyRef[];
}

/** What proxies of a view call, and where. Often it is the same for many, who then share all that follows from it. */
export interface Reach {
  readonly mesh: string;
  readonly egress?: EgressForm;
  readonly own?: Tags;
  readonly outbounds: readonly Outlet[];
  readonly toPolicies: readonly PolicyRef[];
}

export interface Outlet {
  readonly at: HostPort;
  readonly service: string;
  /** Of the service: instances with these tags only; absent: all. */
  readonly subset?: Tags;
  /** The address of a name: connections to it come in by the redirect. */
  readonly isVirtual?: boolean;
}

/** A service that proxies of a view call: what clusters and routes depend on, beside the topology. */
export interface Need {
  readonly mesh: string;
  readonly egress?: EgressForm;
  readonly service: string;
  readonly subset?: Tags;
  readonly toPolicies: readonly PolicyRef[];
}

export interface Candidates {
  readonly kind: string;
  /** Of the proxy's mesh. */
  readonly policies: readonly Resource<PolicySpec>[];
}

export function clientOf(
  dataplane: Resource<DataplaneJson>,
  zone: string,
  calls: string,
  candidates: readonly Candidates[],
  egress?: EgressForm,
  gateway?: MeshGateway,
): Client {
  const facts = proxyFacts(dataplane, zone, gateway);
  const routes = candidates.find(({ kind }) => kind === "MeshHTTPRoute")?.policies ?? [];
  const toPolicies: PolicyRef[] = [];
  const inboundPolicies: PolicyRef[] = [];
  const ownPolicies: PolicyRef[] = [];
  const tags = new Set<string>();
  for (const { kind, policies } of candidates) {
    for (const { policy, sections } of matchedPolicies(policies, facts, routes)) {
      const { to = [], from = [], rules = [] } = policy.spec;
      if (to.length > 0) toPolicies.push({ kind, key: keyOf(policy), sections: gateway ? sections : [] });
      for (const name of findPolicy(kind)?.translate.clientTags?.(policy.spec) ?? []) tags.add(name);
      if (from.length + rules.length > 0) inboundPolicies.push({ kind, key: keyOf(policy), sections });
      if (policy.spec.default !== undefined) ownPolicies.push({ kind, key: keyOf(policy), sections: [] });
    }
  }
  const own = firstValues(facts, [...tags].sort());
  const { mesh } = dataplane;
  return { mesh, ...(egress && { egress }), ...(own && { own }), calls, toPolicies, inboundPolicies, ownPolicies };
}

/** Of several inbounds the first that has a tag says its value. Listeners of a gateway say nothing of the proxy. */
function firstValues({ inbounds, gateway, gatewayTags = {} }: ProxyFacts, names: readonly string[]): Tags | undefined {
  const all = [...(gateway ? [] : inbounds.map(({ tags }) => tags)), gatewayTags];
  const found = names.flatMap((name) => {
    const value = all.find((tags) => tags[name] !== undefined)?.[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return found.length === 0 ? undefined : Object.fromEntries(found);
}

/** Equal for proxies that call the same services at the same addresses. `outlets`: as `outboundsOf`; `transparent`: what they may call by name, if they do. */
export const callsOf = (outlets: readonly Outlet[], transparent: Reachable | undefined): string => {
  const { reachable = "all", backends = "all" } = transparent ?? {};
  const said = [outlets, ...(transparent ? [reachable, backends] : [])];
  return sha256Hex(Buffer.from(JSON.stringify(said)));
};

/** None of a builtin gateway: Envoy itself calls what its routes say (interop 2.9). `find`: the service that is a resource, if there is one. */
export function outboundsOf(
  { networking }: DataplaneJson,
  find: (ref: ServiceRef) => string | undefined,
): readonly Outlet[] {
  if (networking?.gateway?.type === "BUILTIN") return [];
  return (networking?.outbound ?? []).flatMap(({ address = "127.0.0.1", port = 0, tags = {}, backendRef }) => {
    const service = backendRef ? find(backendRef) : tags[tag.service];
    return service === undefined ? [] : [{ at: { address, port }, service }];
  });
}

function proxyFacts(dataplane: Resource<DataplaneJson>, zone: string, builtin: MeshGateway | undefined): ProxyFacts {
  const { inbound = [], gateway } = dataplane.spec.networking ?? {};
  return {
    mesh: dataplane.mesh,
    name: displayNameOf(dataplane),
    zone,
    labels: dataplane.labels,
    isGateway: gateway !== undefined,
    inbounds: builtin
      ? listenersOf(builtin, gateway?.tags ?? {})
      : inbound.map((one) => ({ section: sectionOf(one), tags: one.tags ?? {} })),
    ...(builtin && { gateway: identityOf(builtin) }),
    ...(gateway?.tags && { gatewayTags: gateway.tags }),
  };
}

export type View = Pick<Client, "mesh" | "egress" | "toPolicies">;

/** Proxies of one view share clusters and routes. */
export const viewKey = (view: View): string =>
  [placeKey(view), ...view.toPolicies.map(({ kind, key }) => `${kind}:${key}`)].join("|");

/** Proxies of one mesh that reach other zones in one way share endpoints. */
export const placeKey = ({ mesh, egress }: Pick<Client, "mesh" | "egress">): string =>
  egress ? `${mesh}|egress ${egress}` : mesh;

export function needKey(view: View, { service, subset }: Pick<Outlet, "service" | "subset">): string {
  const part = subset ? ` ${JSON.stringify(Object.entries(subset).sort())}` : "";
  return `${viewKey(view)}|${service}${part}`;
}

export const reachKey = (client: Client): string =>
  [viewKey(client), client.calls, ...(client.own ? [JSON.stringify(client.own)] : [])].join("|");

export function* needsOf(reach: Reach): Iterable<readonly [string, Need]> {
  const { outbounds, own: _, ...view } = reach;
  for (const outlet of outbounds) {
    const { service, subset } = outlet;
    yield [needKey(view, outlet), { ...view, service, ...(subset && { subset }) }];
  }
}

/** A listener that proxies of a view have in common: the same service at the same address. */
export interface Entrance {
  readonly need: Key;
  readonly at: HostPort;
  readonly isVirtual: boolean;
}

/** By key. Of two at one address the first is the one that the proxy has. */
export function entrancesOf(reach: Reach): ReadonlyMap<Key, Entrance> {
  const byAddress = new Map<string, Entrance>();
  for (const outlet of reach.outbounds) {
    const { at, isVirtual = false } = outlet;
    const address = hostPortText(at);
    if (!byAddress.has(address)) byAddress.set(address, { need: needKey(reach, outlet), at, isVirtual });
  }
  return new Map(
    [...byAddress].map(([address, entrance]) => {
      const { need, isVirtual } = entrance;
      return [`${need}|${isVirtual ? "virtual " : ""}${address}`, entrance];
    }),
  );
}

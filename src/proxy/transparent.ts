// A proxy to which the machine redirects an application's connections (interop 7.9): where they come in, what takes those that
// are for no service of the mesh, and what may be called by name.

import { originalDestination } from "#envoy/cluster.ts";
import { listener, tcpProxy } from "#envoy/listener.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { PassthroughConf } from "#policies/mesh-passthrough/schema.ts";
import type { Draft } from "#proxy/bundle.ts";
import { type CalledResource, isMeant, type Reachable } from "#proxy/called-resources.ts";
import type { Outlet } from "#proxy/client.ts";
import type { DnsRecord } from "#proxy/dns.ts";
import { matchedChains } from "#proxy/passthrough.ts";
import { tag } from "#resources/resource.ts";
import type { DnsWay, NodeFacts, RedirectPorts } from "#topology/node.ts";
import { serviceKey, type Tags } from "#topology/provider.ts";
import { mappedAddress, type Named, type ResourceAddress } from "#topology/vips.ts";

export interface Transparent extends RedirectPorts, Reachable {
  readonly isStrict: boolean;
  readonly dns?: DnsWay;
}

/** Absent where nothing is redirected. What the node says goes before what the Dataplane says. `onlyNamed`: the mesh wants resources to be named. */
export function transparentOf(
  { networking }: DataplaneJson,
  node: NodeFacts | undefined,
  onlyNamed = false,
): Transparent | undefined {
  // A builtin gateway has no application beside it whose calls could be redirected.
  if (networking?.gateway?.type === "BUILTIN") return undefined;
  const said = networking?.transparentProxying;
  const ports = node?.redirect ?? {
    inbound: said?.redirectPortInbound ?? 0,
    outbound: said?.redirectPortOutbound ?? 0,
    ipv6: (node?.ipv6 ?? true) && said?.ipFamilyMode !== "IPv4",
  };
  if (ports.outbound === 0 || node?.bindsOutbounds) return undefined;
  const reachable = said?.reachableServices ?? [];
  const backends = said?.reachableBackends ? (said.reachableBackends.refs ?? []) : onlyNamed ? [] : undefined;
  return {
    ...ports,
    isStrict: node?.isStrict ?? true,
    ...(reachable.length > 0 && { reachable: [...new Set(reachable)].sort() }),
    ...(backends && { backends }),
    ...(node?.dns && { dns: node.dns }),
  };
}

const isReachable = (reachable: readonly string[] | undefined, service: string | undefined): service is string =>
  service !== undefined && (reachable === undefined || reachable.includes(service));

/** What is called by address: each port of each name that leads to a service which may be called. */
export const virtualOutlets = (named: readonly Named[], reachable: readonly string[] | undefined): readonly Outlet[] =>
  named.flatMap(({ address, outlets }) =>
    outlets.flatMap(({ port, tags }) => {
      const service = tags[tag.service];
      if (!isReachable(reachable, service)) return [];
      const subset = partOf(tags);
      return [{ at: { address, port }, service, ...(subset && { subset }), isVirtual: true }];
    }),
  );

/** What is called at an address of its own: a service that is a resource, or an ExternalService at its IP address. */
export interface NamedResource extends ResourceAddress {
  /** Absent: it is a service by its tag. */
  readonly resource?: CalledResource;
  readonly ports: readonly { readonly port: number; readonly service: string }[];
}

/** What a proxy with these settings may call of it. */
function portsFor({ resource, ports }: NamedResource, { reachable, backends }: Called, zone: string) {
  if (!resource) return ports.filter(({ service }) => isReachable(reachable, service));
  if (backends === undefined) return ports;
  const refs = backends.filter((ref) => isMeant(ref, zone, resource));
  return ports.filter(({ port }) => refs.some((ref) => ref.port === undefined || ref.port === port));
}
type Called = Pick<Transparent, "reachable" | "backends">;

export const resourceOutlets = (named: readonly NamedResource[], called: Called, zone: string): readonly Outlet[] =>
  named.flatMap((one) =>
    portsFor(one, called, zone).map(({ port, service }) => ({
      ...{ at: { address: one.address, port }, service, isVirtual: true },
    })),
  );

/** Those that have a port which may be called. */
export const calledResources = (named: readonly NamedResource[], called: Called, zone: string) =>
  named.filter((one) => portsFor(one, called, zone).length > 0);

/** What tells some instances of a service apart; absent: nothing. */
function partOf(tags: Tags): Tags | undefined {
  const { [tag.service]: _, ...rest } = tags;
  return Object.keys(rest).length > 0 ? rest : undefined;
}

/** The parts of services that names lead to, by service key: other zones ask for them by SNI. */
export function namedSubsets(mesh: string, named: readonly Named[]): Map<string, readonly Tags[]> {
  const subsets = new Map<string, readonly Tags[]>();
  for (const { tags } of named.flatMap(({ outlets }) => outlets)) {
    const part = partOf(tags);
    const key = serviceKey(mesh, tags[tag.service] ?? "");
    if (part) subsets.set(key, [...(subsets.get(key) ?? []), part]);
  }
  return subsets;
}

/** Of the same names, sorted. Of two that are equal a service's by tags counts. */
export function dnsRecords(
  named: readonly Named[],
  { reachable, ipv6 }: Pick<Transparent, "reachable" | "ipv6">,
  resources: readonly ResourceAddress[] = [],
): readonly DnsRecord[] {
  const called = named.filter(({ outlets }) => outlets.some(({ tags }) => isReachable(reachable, tags[tag.service])));
  const all = [...called, ...resources].flatMap(({ domains, address }) =>
    domains.map((name) => [name, { name, addresses: ipv6 ? [address, mappedAddress(address)] : [address] }] as const),
  );
  return [...new Map(all.toReversed()).values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

const families = (ipv6: boolean): readonly ("ipv4" | "ipv6")[] => (ipv6 ? ["ipv4", "ipv6"] : ["ipv4"]);
const anyAddress = { ipv4: "0.0.0.0", ipv6: "::" } as const;
/** Connections to the application come from here, so that the redirect knows them and leaves them alone. */
export const inboundSource = { ipv4: "127.0.0.6", ipv6: "::6" } as const;

/** What an application calls that has no name in the mesh: it passes, or is closed. The same for all proxies with these ports. */
export function outboundPassthrough(
  { outbound: port, ipv6 }: Pick<RedirectPorts, "outbound" | "ipv6">,
  { passthroughMode, appendMatch = [] }: PassthroughConf,
): readonly Draft[] {
  const matches = passthroughMode === "Matched" ? appendMatch : [];
  const drafts = families(ipv6).flatMap((family): readonly Draft[] => {
    const name = `outbound:passthrough:${family}`;
    const matched = matchedChains(matches, family);
    const passesAll = passthroughMode === "All";
    const all = passesAll ? [{ type: "cluster" as const, name, json: originalDestination(name) }] : [];
    const clusters = [...all, ...matched.clusters];
    const options = {
      name,
      at: { address: anyAddress[family], port },
      direction: "OUTBOUND",
      takesRedirected: true,
    } as const;
    // A listener needs a chain: without the cluster it closes what comes.
    const chains = [{ filters: [tcpProxy(statPrefix(name), { cluster: name })] }];
    const json =
      matched.chains.length > 0
        ? { ...listener({ ...options, chains: matched.chains }), listenerFilters: [...matched.listenerFilters] }
        : listener({ ...options, chains });
    return [...clusters, { type: "listener", name, refers: clusters.map((cluster) => cluster.name), json }];
  });
  return [...new Map(drafts.map((draft) => [`${draft.type} ${draft.name}`, draft])).values()];
}

/** Of a cluster that there is not: it closes what comes. */
const closed = "closed";

/**
 * What comes to an address of the machine that no inbound listens at. `ports`: those of inbounds. `isMutual`: they take nothing without
 * mTLS, and so nothing comes to what listens there by way of another address.
 */
export function inboundPassthrough(
  { inbound: port, ipv6, isStrict }: Transparent,
  ports: readonly number[],
  isMutual: boolean,
): readonly Draft[] {
  if (port === 0) return [];
  return families(ipv6).flatMap((family): readonly Draft[] => {
    const name = `inbound:passthrough:${family}`;
    const to = (cluster: string) => ({ filters: [tcpProxy(statPrefix(name), { cluster })] });
    const atPorts = [...new Set(ports)].map((destinationPort) => ({
      ...{ match: { destinationPort }, ...to(isMutual ? closed : name) },
    }));
    const others = isStrict && ports.length > 0 ? [] : [to(name)];
    const chains = isMutual || others.length === 0 ? [...atPorts, ...others] : others;
    const at = { address: anyAddress[family], port };
    return [
      { type: "cluster", name, json: originalDestination(name, { source: inboundSource[family] }) },
      {
        ...{ type: "listener", name, refers: [name] },
        json: listener({ ...{ name, at, chains }, direction: "INBOUND", takesRedirected: true }),
      },
    ];
  });
}

const statPrefix = (name: string): string => name.replaceAll(":", "_");

// The outbound side: for a view and a service, the clusters and routes that all proxies of the view share; and each
// proxy's own listener, which names them.

import {
  behindEgressCluster,
  type ClusterPiece,
  externalCluster,
  serviceCluster,
  withoutLocalities,
} from "#envoy/cluster.ts";
import { alpnThrough } from "#envoy/egress.ts";
import { closing, httpConnections, listener, tcpProxy } from "#envoy/listener.ts";
import { egressService, externalTls, serviceIdentity, serviceSni, upstreamTls } from "#envoy/tls.ts";
import type { ClusterJson } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { RouteActionJson, RouteJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { HostPort } from "#lib/address.ts";
import type { Backend, HttpRule, Share } from "#policies/mesh-http-route/http-rule.ts";
import type { Pieces } from "#policies/policy.ts";
import type { BackendRef, PolicySpec } from "#policies/schema.ts";
import type { Destination } from "#policies/to.ts";
import type { Applied } from "#proxy/applied.ts";
import type { Draft } from "#proxy/bundle.ts";
import { withEvidence } from "#proxy/evidence.ts";
import { outboundListenerName, outboundRouteName, subsetClusterName } from "#proxy/names.ts";
import { isIp } from "#resources/address.ts";
import { type Resource, tag } from "#resources/resource.ts";
import type { EgressForm } from "#topology/egress.ts";
import { type ExternalEndpoint, externalPart } from "#topology/external.ts";
import { isHttp } from "#topology/inbound.ts";
import type { Locality } from "#topology/locality.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import type { ServiceResource } from "#topology/mesh-service.ts";
import type { Tags } from "#topology/provider.ts";
import type { ServiceFacts } from "#topology/service.ts";

/** What a view's proxies send to one service. */
export interface Outbound {
  readonly view: string;
  readonly mesh: string;
  readonly egress?: EgressForm;
  readonly service: string;
  readonly subset: Tags;
  readonly protocol: string;
  /** None for a service that is not HTTP. */
  readonly routes: readonly Draft[];
  /** Where its connections go, if it is not HTTP; none: nowhere that is known. */
  readonly connections: readonly ClusterShare[];
  /** Where its traffic goes. Others of the view may send there, too: what a cluster is depends on the view and the target alone. */
  readonly clusters: readonly OutboundCluster[];
  /** For the listeners. */
  readonly pieces: Pieces;
}

/** Whoever sends to clusters: the proxies of a view, or a gateway. */
export interface Sending extends Pick<Outbound, "view" | "mesh" | "egress" | "clusters"> {
  /** Its tags that policies look at; those of a view's proxies come with each reach. */
  readonly own?: Tags;
}

export interface ClusterTarget {
  readonly name: string;
  readonly service: string;
  readonly subset: Tags;
}

/** At least 1 of the sum of all. */
export interface ClusterShare {
  readonly name: string;
  readonly weight: number;
}

export interface OutboundCluster {
  readonly target: ClusterTarget;
  /** Absent: as the mesh says. */
  readonly locality?: Locality;
  readonly draft: Draft;
  /** Its endpoints are in it. */
  readonly isComplete: boolean;
}

export interface OutboundInput {
  /** As `viewKey`. */
  readonly view: string;
  readonly mesh: MeshFacts;
  readonly egress?: EgressForm;
  readonly service: string;
  /** Of the service, where nothing says otherwise; absent: all of it. */
  readonly subset?: Tags;
  /** Of any service of the mesh; `undefined` for one that nobody provides. */
  readonly factsOf: (service: string) => ServiceFacts | undefined;
  /** The service that a policy means by a reference to a resource; `undefined`: there is none. */
  readonly findResource: FindResource;
  readonly policies: Applied;
  /** Why a part of a service cannot be reached at all; absent: it can, as far as is known. */
  readonly cutOff?: (service: string, subset: Tags) => string | undefined;
}

export type FindResource = (ref: BackendRef, policy: Resource<PolicySpec>) => string | undefined;

/** As policies call it. */
export function destination(service: string, tags: Tags, facts: ServiceFacts | undefined): Destination {
  const { resource: external } = facts?.behindEgress ?? {};
  if (external) return { ...external, kind: "resource", resource: "MeshExternalService" };
  const { resource } = facts ?? {};
  return resource ? { ...resource, kind: "resource", resource: resource.kind } : { kind: "service", service, tags };
}

export function outboundOf(input: OutboundInput): Outbound {
  const { view, mesh, egress, service, subset = {}, factsOf, policies } = input;
  const own = destination(service, {}, factsOf(service));
  const split = policies.split(own);
  // A MeshTCPRoute makes connections of requests where no MeshHTTPRoute leads these.
  const isTcp = split !== undefined && policies.routes(own).every(({ origins }) => origins.length === 0);
  const protocol = isTcp ? "tcp" : protocolIn(factsOf(service));
  const clusters = clusterCollector(input);
  const usual = { service, tags: subset };
  const routes = isHttp(protocol) ? [routeDraft(service, protocol, input, clusters.clusterOf)] : [];
  const connections = isHttp(protocol) ? [] : sharesOf(backendsOf(usual, split), clusters.clusterOf);
  return {
    view,
    mesh: mesh.name,
    ...(egress && { egress }),
    service,
    subset,
    protocol,
    clusters: clusters.all(),
    pieces: policies.to(own, { protocol }),
    routes,
    connections,
  };
}

/** Nobody provides it: a 503 says so better than a connection that closes, and if it comes to be HTTP, the listener stays. */
export const protocolIn = (facts: ServiceFacts | undefined): string => facts?.protocol ?? "http";

export type ClusterInput = Pick<OutboundInput, "mesh" | "egress" | "factsOf" | "findResource" | "policies">;

/** The service by its tag or as `resourceServiceName`, and which part of it. */
export function usualOf(backend: Backend, findResource: FindResource): Usual | undefined {
  if (backend.kind === "service") return backend;
  const service = findResource(backend.ref, backend.from);
  return service === undefined ? undefined : { service, tags: {} };
}

/**
 * Where traffic goes, as it is found out: names first, then a cluster for each. `mark`: at the end of each name, of clusters that are not as those of
 * the same services without it.
 */
export function clusterCollector({ mesh, egress, factsOf, findResource, policies }: ClusterInput, mark = "") {
  const targets = new Map<string, ClusterTarget>();
  return {
    clusterOf(backend: Backend): string | undefined {
      const found = usualOf(backend, findResource);
      if (!found) return undefined;
      const name = `${subsetClusterName(found.service, found.tags)}${mark}`;
      targets.set(name, { name, service: found.service, subset: found.tags });
      return name;
    },
    all(): readonly OutboundCluster[] {
      const sorted = [...targets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      return sorted.map((target) => {
        const facts = factsOf(target.service);
        const said = policies.to(destination(target.service, target.subset, facts), { protocol: protocolIn(facts) });
        // Nobody provides it: if another zone comes to do so, the cluster stays as it is.
        const { zones, external, behindEgress, resource } = facts ?? {};
        const outside = withoutLocalities(said.cluster);
        if (behindEgress) {
          const json = behindEgressJson(mesh, target, protocolIn(facts), behindEgress.resource?.sni, outside);
          return { target, draft: { type: "cluster", name: target.name, json }, isComplete: false };
        }
        if (external) {
          const { endpoints } = externalPart(external, target.subset);
          const hosts = endpoints.map(externalHost);
          const json = externalCluster(target.name, hosts, external.protocol, { ...balanced, ...outside });
          return { target, draft: { type: "cluster", name: target.name, json }, isComplete: true };
        }
        const isRemote = zones ? zones.length > 0 : mesh.mtls !== undefined;
        const ways = egress === "zones" ? (zones ?? []) : [];
        const piece = withEvidence(said.cluster ?? {}, isRemote ? (egress ?? "ingresses") : "zone");
        const json = clusterJson(mesh, target, resource ?? taggedPeer(mesh, target), { isRemote, piece, ways });
        const draft: Draft = { type: "cluster", name: target.name, json };
        return { target, ...(said.locality && { locality: said.locality }), draft, isComplete: false };
      });
    },
  };
}

/** Behind a TCP ingress an HTTP/2 connection stays with one instance: renewed after this many requests, load spreads evenly. */
const maxRequestsAcrossZones = 50;

const balanced = { lbPolicy: "ROUND_ROBIN" } as const;

export function externalHost({ address, port, tags, tls, priority = 0 }: ExternalEndpoint) {
  const transportSocket = tls && externalTls({ ...tls, isAddress: isIp(tls.serverName) });
  return { address, port, tags, priority, isName: !isIp(address), ...(transportSocket && { transportSocket }) };
}

/** The egress ends TLS: it is the egress that must be one of the mesh. */
const behindEgressJson = (
  mesh: MeshFacts,
  { name, service, subset }: ClusterTarget,
  protocol: string,
  sni: string | undefined,
  piece: ClusterPiece,
): ClusterJson =>
  behindEgressCluster(name, protocol, {
    ...balanced,
    ...piece,
    transportSocket: upstreamTls(
      mesh.name,
      [serviceIdentity(mesh.name, egressService)],
      sni ?? serviceSni(mesh.name, service, subset),
    ),
  });

/** Whom a connection is for, and by which name other zones and egresses lead it there. */
type Peer = Pick<ServiceResource, "sni" | "identities">;

const taggedPeer = ({ name: mesh }: MeshFacts, { service, subset }: ClusterTarget): Peer => ({
  ...{ sni: serviceSni(mesh, service, subset), identities: [serviceIdentity(mesh, service)] },
});

interface Within {
  /** Other zones may have endpoints of it. */
  readonly isRemote: boolean;
  readonly piece: ClusterPiece;
  /** Zones that an endpoint may name, for its connections to say so to the egress. */
  readonly ways: readonly string[];
}

function clusterJson(
  mesh: MeshFacts,
  { name }: ClusterTarget,
  { sni, identities }: Peer,
  { isRemote, piece, ways }: Within,
): ClusterJson {
  return serviceCluster(name, {
    ...balanced,
    ...piece,
    http: { ...piece.http, ...(isRemote && { maxRequestsPerConnection: maxRequestsAcrossZones }) },
    ...(mesh.mtls && { transportSocket: upstreamTls(mesh.name, identities, sni) }),
    ...(ways.length > 0 && {
      transportSocketMatches: ways.map((zone) => ({
        name: zone,
        match: { [tag.zone]: zone },
        transportSocket: upstreamTls(mesh.name, identities, sni, alpnThrough(zone)),
      })),
    }),
  });
}

function routeDraft(service: string, protocol: string, input: OutboundInput, clusterOf: ClusterOf): Draft {
  const { subset = {}, policies, factsOf } = input;
  const name = outboundRouteName(subsetClusterName(service, subset));
  const used = new Set<string>();
  const ways = routeWays(input, clusterOf, used);
  const own = destination(service, {}, factsOf(service));
  const routes = policies.routes(own).map((rule) => {
    const said = policies.to(own, { protocol, routes: rule.origins }).route;
    return routeJson({ ...rule, split: backendsOf({ service, tags: subset }, rule.split) }, said, ways);
  });
  return {
    type: "route",
    name,
    refers: [...used].sort(),
    json: { name, validateClusters: false, virtualHosts: [{ name: service, domains: ["*"], routes }] },
  };
}

/** The name of its cluster; `undefined` if it is not known. */
export type ClusterOf = (backend: Backend) => string | undefined;

/** A service, or a part of it. */
interface Usual {
  readonly service: string;
  readonly tags: Tags;
}

/** Where none is said, what is called. */
const backendsOf = (usual: Usual, split: readonly Share[] = []): readonly Share[] =>
  split.length > 0 ? split : [{ kind: "service", ...usual, weight: 1 }];

/** Those that are known and have a weight. */
export const sharesOf = (backends: readonly Share[], cluster: ClusterOf): readonly ClusterShare[] =>
  backends.flatMap((backend) => {
    const name = backend.weight > 0 ? cluster(backend) : undefined;
    return name === undefined ? [] : [{ name, weight: backend.weight }];
  });

/** All of it at one place, or in shares. */
export const shared = (shares: readonly ClusterShare[]) =>
  shares.length === 1 && shares[0]
    ? { cluster: shares[0].name }
    : { weightedClusters: { clusters: shares.map((share) => ({ ...share })) } };

const answer = (status: number, why: string) => ({ directResponse: { status, body: { inlineString: why } } });

/** What a route answers that leads to nothing that is known. */
const noBackend = answer(500, "no backend of this route is known");

export interface RouteWays {
  cluster(backend: Backend): string | undefined;
  /** Why there is no way to it. */
  cutOff(backend: Backend): string | undefined;
  isExternal(backend: Backend): boolean;
}

/** `used`: gets the clusters that were asked for. */
export function routeWays(
  { factsOf, findResource, cutOff = () => undefined }: Pick<OutboundInput, "factsOf" | "findResource" | "cutOff">,
  clusterOf: ClusterOf,
  used: Set<string>,
): RouteWays {
  const usual = (backend: Backend): Usual => usualOf(backend, findResource) ?? { service: "", tags: {} };
  return {
    cluster(backend) {
      const found = clusterOf(backend);
      if (found !== undefined) used.add(found);
      return found;
    },
    isExternal: (backend) => factsOf(usual(backend).service)?.external !== undefined,
    cutOff(backend) {
      const { service, tags } = usual(backend);
      const { external } = factsOf(service) ?? {};
      if (!external) return cutOff(service, tags);
      const { endpoints, missing } = externalPart(external, tags);
      return endpoints.length === 0 && missing.length > 0 ? missing.map(({ why }) => why).join("; ") : undefined;
    },
  };
}

/** `split` says all of where requests go: nothing there leads nowhere. */
export function routeJson(
  rule: HttpRule,
  said: RouteActionJson | undefined,
  { cluster, cutOff, isExternal }: RouteWays,
): RouteJson {
  const base = { name: rule.name, match: rule.match, ...rule.piece };
  if (rule.piece.redirect || rule.piece.directResponse) return base;
  const backends = rule.split;
  const to = sharesOf(backends, cluster);
  if (to.length === 0) return { ...base, ...noBackend };
  // The clusters stay: they are used again when there is a way.
  const whys = backends.map(cutOff);
  const why = whys.every((one) => one !== undefined) ? whys[0] : undefined;
  if (why !== undefined) return { ...base, ...answer(503, why) };
  const mirrors = rule.mirrors.flatMap(({ backend, fraction }) => {
    const name = cluster(backend);
    return name === undefined ? [] : [{ cluster: name, ...(fraction && { runtimeFraction: fraction }) }];
  });
  const action: RouteActionJson = {
    ...shared(to),
    // A server outside the mesh knows itself by its own name; Envoy has that of hosts that it looked up only.
    ...(backends.some(isExternal) && { autoHostRewrite: true }),
    ...said,
    ...rule.action,
    ...(mirrors.length > 0 && { requestMirrorPolicies: mirrors }),
  };
  return { ...base, route: action };
}

/** What of an outbound its listeners depend on. */
export type OutboundEntry = Pick<Outbound, "service" | "subset" | "protocol" | "connections"> & {
  readonly pieces: Pick<Pieces, "connection" | "tcp">;
};

export const entryOf = ({ service, subset, protocol, connections, pieces }: Outbound): OutboundEntry => {
  const { connection = {}, tcp = {} } = pieces;
  return { service, subset, protocol, connections, pieces: { connection, tcp } };
};

export function outboundListenerDraft(
  { at, isVirtual }: { readonly at: HostPort; readonly isVirtual: boolean },
  { service, subset, protocol, connections, pieces }: OutboundEntry,
): Draft {
  const name = outboundListenerName(at);
  const filter = isHttp(protocol)
    ? httpConnections(service, outboundRouteName(subsetClusterName(service, subset)), {
        normalizePath: true,
        ...pieces.connection,
      })
    : connections.length === 0
      ? closing
      : tcpProxy(service, { ...shared(connections), ...pieces.tcp });
  return {
    type: "listener",
    name,
    refers: connections.map((share) => share.name).sort(),
    json: listener({ name, at, direction: "OUTBOUND", chains: [{ filters: [filter] }], isVirtual }),
  };
}

// A builtin gateway: the listeners of its MeshGateway, the routes that MeshHTTPRoutes give them, and the clusters where those lead.

import { httpConnections, listener } from "#envoy/listener.ts";
import { edgeTls, gatewayCertificateName } from "#envoy/tls.ts";
import type { VirtualHostJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { HttpConnectionManagerJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { Match } from "#policies/match.ts";
import type { HttpRule } from "#policies/mesh-http-route/http-rule.ts";
import type { MeshHTTPRoute } from "#policies/mesh-http-route/schema.ts";
import { httpRules } from "#policies/mesh-http-route/translate.ts";
import type { Draft } from "#proxy/bundle.ts";
import {
  type ClusterOf,
  clusterCollector,
  type OutboundInput,
  protocolIn,
  routeJson,
  routeWays,
  type Sending,
} from "#proxy/outbound.ts";
import { tag } from "#resources/resource.ts";
import {
  bySpecificity,
  covers,
  type GatewayListener,
  listenersOf,
  type MeshGateway,
  narrowed,
} from "#topology/gateway.ts";
import type { Tags } from "#topology/provider.ts";

export interface GatewayInput extends Omit<OutboundInput, "service"> {
  readonly gateway: MeshGateway;
  /** Where the proxy listens. */
  readonly address: string;
  /** Of the proxy. */
  readonly tags: Tags;
  /** Those that policies look at; absent: none. */
  readonly own?: Tags;
  /** Those that are for this gateway; `sections` are its listeners. */
  readonly routes: readonly Match<MeshHTTPRoute>[];
}

export interface Gateway extends Sending {
  readonly listeners: readonly Draft[];
  readonly routes: readonly Draft[];
}

export function gatewayOf(input: GatewayInput): Gateway {
  const { view, mesh, egress, own, gateway, tags } = input;
  const clusters = clusterCollector(input);
  const ports = Map.groupBy(listenersOf(gateway, tags), ({ port }) => port);
  const made = [...ports].flatMap(([port, all]) => portOf(input, port, all, clusters.clusterOf));
  return {
    ...{ view, mesh: mesh.name, ...(egress && { egress }), ...(own && { own }) },
    listeners: made.map(({ listener }) => listener),
    routes: made.flatMap(({ routes }) => routes),
    clusters: clusters.all(),
  };
}

/** Listeners of one port are one to Envoy. Of two protocols there the first listener's counts (validation refuses the other). */
function portOf(
  input: GatewayInput,
  port: number,
  all: readonly GatewayListener[],
  clusterOf: ClusterOf,
): { readonly listener: Draft; readonly routes: readonly Draft[] }[] {
  const { gateway, address } = input;
  const [first] = all;
  if (first?.protocol !== "HTTP" && first?.protocol !== "HTTPS") return [];
  const name = `${gateway.name}:${first.protocol}:${port}`;
  const own = all.filter(({ protocol }) => protocol === first.protocol);
  const connections = ({ section, hostname }: GatewayListener) =>
    httpConnections(input.tags[tag.service] ?? gateway.name, `${name}:${hostname}`, {
      ...asAtAnEdge,
      ...input.policies.inbound({ mesh: gateway.mesh, section }).connection,
    });
  const at = { address, port };
  if (first.protocol === "HTTP") {
    // The Host header decides, whatever listener a name belongs to.
    const any = { ...first, hostname: "*" };
    const json = listener({ name, at, direction: "INBOUND", chains: [{ filters: [connections(any)] }] });
    return [{ listener: { type: "listener", name, json }, routes: [routeDraft(`${name}:*`, input, own, clusterOf)] }];
  }
  // The SNI does; who sends none gets the listener for any name, if there is one.
  const secure = own.filter(({ certificates }) => certificates.length > 0);
  if (secure.length === 0) return [];
  const chains = secure.map((one) => ({
    ...(one.hostname !== "*" && { match: { serverNames: [one.hostname] } }),
    transportSocket: edgeTls(one.certificates.map((secret) => gatewayCertificateName(gateway.mesh, secret))),
    filters: [connections(one)],
  }));
  const json = listener({ name, at, direction: "INBOUND", chains, inspectTls: true });
  const routes = secure.map((one) => routeDraft(`${name}:${one.hostname}`, input, [one], clusterOf));
  return [{ listener: { type: "listener", name, json }, routes }];
}

/** Who calls is a stranger: as Kuma's gateways do. */
const asAtAnEdge: HttpConnectionManagerJson = {
  serverName: "Kuma Gateway",
  useRemoteAddress: true,
  normalizePath: true,
  mergeSlashes: true,
  pathWithEscapedSlashesAction: "UNESCAPE_AND_REDIRECT",
  commonHttpProtocolOptions: { headersWithUnderscoresAction: "REJECT_REQUEST" },
  http2ProtocolOptions: {
    maxConcurrentStreams: 100,
    initialStreamWindowSize: 65_536,
    initialConnectionWindowSize: 1_048_576,
    allowConnect: true,
  },
};

function routeDraft(
  name: string,
  input: GatewayInput,
  listeners: readonly GatewayListener[],
  clusterOf: ClusterOf,
): Draft {
  const used = new Set<string>();
  const virtualHosts = hostsOf(input.routes, listeners).map(
    ({ hostname, rules }): VirtualHostJson => ({
      name: hostname,
      domains: [hostname],
      routes: rules.map((rule) => ruleJson(input, rule, clusterOf, used)),
    }),
  );
  return {
    ...{ type: "route", name },
    refers: [...used].sort(),
    json: { name, validateClusters: false, ignorePortInHostMatching: true, virtualHosts },
  };
}

function ruleJson(input: GatewayInput, rule: HttpRule, clusterOf: ClusterOf, used: Set<string>) {
  const { factsOf, policies } = input;
  const first = rule.split.find(({ kind }) => kind === "service");
  const said =
    first?.kind === "service"
      ? policies.to(
          { kind: "service", service: first.service, tags: first.tags },
          { protocol: protocolIn(factsOf(first.service)), routes: rule.origins },
        ).route
      : undefined;
  return routeJson(rule, said, routeWays(input, clusterOf, used));
}

interface Host {
  readonly hostname: string;
  readonly rules: readonly HttpRule[];
}

/** A name belongs to the listener that says it most exactly; what routes say of a name comes before what they say of names that cover it. */
function hostsOf(matches: readonly Match<MeshHTTPRoute>[], listeners: readonly GatewayListener[]): readonly Host[] {
  const exact = [...listeners].sort((a, b) => bySpecificity(a.hostname, b.hostname));
  const hosts = new Map<string, Host>();
  for (const one of exact) {
    const byHost = new Map(hostnamesOf(matches, one).map((hostname) => [hostname, rulesFor(matches, one, hostname)]));
    for (const hostname of byHost.keys()) {
      if (hosts.has(hostname) || exact.find((other) => covers(other.hostname, hostname)) !== one) continue;
      const covering = [...byHost].filter(([other]) => covers(other, hostname));
      const rules = covering.sort(([a], [b]) => bySpecificity(a, b)).flatMap(([, own]) => own);
      hosts.set(hostname, { hostname, rules });
    }
  }
  return [...hosts.values()].sort((a, b) => bySpecificity(a.hostname, b.hostname));
}

type ToEntry = NonNullable<MeshHTTPRoute["to"]>[number];

/** As far as they are the listener's. */
const namesOf = ({ hostnames = [] }: ToEntry, { hostname }: GatewayListener): readonly string[] =>
  hostnames.length === 0 ? [hostname] : hostnames.flatMap((one) => narrowed(hostname, one) ?? []);

const isFor = ({ section }: GatewayListener, { sections }: Match<MeshHTTPRoute>): boolean => sections.includes(section);

const hostnamesOf = (matches: readonly Match<MeshHTTPRoute>[], one: GatewayListener): readonly string[] => [
  ...new Set(
    matches
      .filter((match) => isFor(one, match))
      .flatMap(({ policy }) => (policy.spec.to ?? []).flatMap((entry) => namesOf(entry, one))),
  ),
];

/** Without the route that takes all the rest: a gateway has no destination of its own, and says 404. */
function rulesFor(matches: readonly Match<MeshHTTPRoute>[], one: GatewayListener, hostname: string) {
  const own = matches
    .filter((match) => isFor(one, match))
    .map(({ policy, sections }) => {
      const to = (policy.spec.to ?? []).filter((entry) => namesOf(entry, one).includes(hostname));
      return { sections, policy: { ...policy, spec: { ...policy.spec, to } } };
    });
  const anything = { kind: "service", service: "*", tags: {} } as const;
  return httpRules(own, anything).filter(({ origins }) => origins.length > 0);
}

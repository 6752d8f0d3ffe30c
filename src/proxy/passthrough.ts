// What a MeshPassthrough lets through, as filter chains of the listener that takes redirected connections (interop 7.9).
//
// Envoy narrows chains down one criterion at a time and never goes back: by port, then by the longest prefix of the address, then by
// the name in TLS, then by what the first bytes are. A chain for all ports is not looked at where another has the port. So there are
// chains for each port and each network that a match has, and each holds all that applies there.

import { any } from "#envoy/any.ts";
import { originalDestination } from "#envoy/cluster.ts";
import type { Chain } from "#envoy/listener.ts";
import { routerFilter, tcpProxy } from "#envoy/listener.ts";
import type {
  FilterChainMatchJson,
  ListenerFilterChainMatchPredicateJson,
  ListenerFilterJson,
} from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { VirtualHostJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import { type IpNetwork, isWithin, networkIn } from "#lib/network.ts";
import { isHttp } from "#policies/mesh-passthrough/check.ts";
import type { PassthroughMatch } from "#policies/mesh-passthrough/schema.ts";
import type { Draft } from "#proxy/bundle.ts";

export interface MatchedChains {
  readonly chains: readonly Chain[];
  readonly clusters: readonly Draft[];
  /** What looks at the first bytes, where it matters: an application that waits for the other side to begin would wait for it. */
  readonly listenerFilters: readonly ListenerFilterJson[];
}

interface Rule {
  readonly match: PassthroughMatch;
  readonly network?: IpNetwork;
  readonly cluster: string;
}

/** One port, or all others; one network, or all others. */
interface Place {
  readonly port: number | undefined;
  readonly network: IpNetwork | undefined;
  readonly rules: readonly Rule[];
}

/** For connections over one IP family. */
export function matchedChains(matches: readonly PassthroughMatch[], family: "ipv4" | "ipv6"): MatchedChains {
  const rules = matches.map(ruleOf).filter(({ network }) => network === undefined || network.family === family);
  const places = placesOf(rules);
  return {
    chains: places.flatMap(chainsAt),
    clusters: [...new Set(rules.map(({ cluster }) => cluster))].map((name) => {
      return { type: "cluster", name, json: originalDestination(name, { http: true }) };
    }),
    listenerFilters: inspectors(places),
  };
}

function ruleOf(match: PassthroughMatch): Rule {
  const { type, value, port, protocol } = match;
  const cluster = `meshpassthrough_${protocol}_${value}_${port ?? "*"}`;
  const network = type === "Domain" ? undefined : networkIn(value);
  return { match, cluster, ...(network && { network }) };
}

function placesOf(rules: readonly Rule[]): readonly Place[] {
  const ports = [...new Set(rules.map(({ match }) => match.port)).add(undefined)];
  return ports.flatMap((port): readonly Place[] => {
    const atPort = rules.filter(({ match }) => match.port === undefined || match.port === port);
    const networks = atPort.flatMap(({ network }) => (network && network.prefix > 0 ? [network] : []));
    // However they are written.
    const distinct = new Map(networks.map((network) => [`${network.bits}/${network.prefix}`, network]));
    return [undefined, ...distinct.values()].flatMap((network) => {
      const here = atPort.filter(({ network: own }) => !own || own.prefix === 0 || (network && isWithin(network, own)));
      return here.length === 0 ? [] : [{ port, network, rules: here.toSorted(closerFirst) }];
    });
  });
}

/** Of two that apply, the smaller network is meant, and the one that names the port. */
const closerFirst = (a: Rule, b: Rule): number =>
  (b.network?.prefix ?? -1) - (a.network?.prefix ?? -1) ||
  Number(b.match.port !== undefined) - Number(a.match.port !== undefined);

function chainsAt(place: Place): readonly Chain[] {
  const { rules } = place;
  const tls = rules.filter(({ match }) => match.protocol === "tls");
  const any = rules.find(({ match }) => match.protocol === "tcp" || match.protocol === "mysql");
  const http = rules.filter(({ match }) => isHttp(match));
  const domains = new Map(tls.flatMap((rule) => (rule.network ? [] : [[rule.match.value, rule] as const])).reverse());
  // `*` is any name, and none.
  const anyTls = tls.find(({ network }) => network !== undefined) ?? domains.get("*");
  domains.delete("*");
  return [
    ...[...domains]
      .reverse()
      .map(([domain, rule]) =>
        passing(place, `tls_${domain}`, rule, { transportProtocol: "tls", serverNames: [domain] }),
      ),
    ...(anyTls ? [passing(place, "tls", anyTls, { transportProtocol: "tls" })] : []),
    ...(http.length > 0 ? [httpChain(place, http, any)] : []),
    ...(any ? [passing(place, "tcp", any, {})] : []),
  ];
}

const nameAt = ({ port, network }: Place, what: string): string =>
  `meshpassthrough_${what}${network ? `_${network.address}/${network.prefix}` : ""}_${port ?? "*"}`;

const matchAt = ({ port, network }: Place): FilterChainMatchJson => ({
  ...(port !== undefined && { destinationPort: port }),
  ...(network && { prefixRanges: [{ addressPrefix: network.address, prefixLen: network.prefix }] }),
});

const passing = (place: Place, what: string, { cluster }: Rule, more: FilterChainMatchJson): Chain => ({
  name: nameAt(place, what),
  match: { ...matchAt(place), ...more },
  filters: [tcpProxy(statPrefix(cluster), { cluster })],
});

/** Requests to hosts that nobody has named go on where all of TCP may, and are told so elsewhere. */
function httpChain(place: Place, rules: readonly Rule[], all: Rule | undefined): Chain {
  const name = nameAt(place, "http");
  const hosts = new Map(rules.map((rule) => [hostOf(rule), rule] as const).reverse());
  const others = hosts.get("*") ?? all;
  hosts.delete("*");
  const virtualHosts: VirtualHostJson[] = [...hosts].reverse().map(([host, { cluster }]) => ({
    name: host,
    domains: [host],
    routes: [{ match: { prefix: "/" }, route: { cluster } }],
  }));
  const rest = others
    ? { route: { cluster: others.cluster } }
    : {
        directResponse: {
          status: 503,
          body: { inlineString: "no MeshPassthrough lets requests to this host through\n" },
        },
      };
  return {
    name,
    match: { ...matchAt(place), transportProtocol: "raw_buffer", applicationProtocols: ["http/1.1", "h2c"] },
    filters: [
      {
        name: "envoy.filters.network.http_connection_manager",
        typedConfig: any("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
          statPrefix: statPrefix(name),
          routeConfig: {
            name,
            ignorePortInHostMatching: true,
            virtualHosts: [
              ...virtualHosts,
              { name: "*", domains: ["*"], routes: [{ match: { prefix: "/" }, ...rest }] },
            ],
          },
          httpFilters: [routerFilter],
        }),
      },
    ],
  };
}

/** Of what is said of an address all hosts are meant: it is where the connection goes. */
const hostOf = ({ match, network }: Rule): string => (network ? "*" : match.value);

const statPrefix = (name: string): string => name.replaceAll(/[^A-Za-z0-9_-]/g, "_");

/** Where only addresses count, nothing looks at first bytes: the server may be who begins. */
const isPlain = ({ rules }: Place): boolean =>
  rules.every(({ match }) => match.protocol === "tcp" || match.protocol === "mysql");

function inspectors(places: readonly Place[]): readonly ListenerFilterJson[] {
  const looked = places.filter((place) => !isPlain(place));
  // What is said of all ports is said of each.
  const isEverywhere = looked.some(({ port }) => port === undefined);
  const ports = [...new Set(looked.flatMap(({ port }) => port ?? []))];
  const named = (name: string, message: string): ListenerFilterJson => ({
    name: `envoy.filters.listener.${name}`,
    typedConfig: any(`envoy.extensions.filters.listener.${name}.v3.${message}`, {}),
    ...(!isEverywhere && { filterDisabled: { notMatch: portsMatch(ports) } }),
  });
  const looking = [named("tls_inspector", "TlsInspector"), named("http_inspector", "HttpInspector")];
  return [originalDst, ...(looked.length > 0 ? looking : [])];
}

const originalDst: ListenerFilterJson = {
  name: "envoy.filters.listener.original_dst",
  typedConfig: any("envoy.extensions.filters.listener.original_dst.v3.OriginalDst", {}),
};

function portsMatch(ports: readonly number[]): ListenerFilterChainMatchPredicateJson {
  const rules = ports.map((port) => ({ destinationPortRange: { start: port, end: port + 1 } }));
  const [first] = rules;
  return first && rules.length === 1 ? first : { orMatch: { rules } };
}

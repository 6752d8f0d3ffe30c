// A builtin gateway: the listeners of its MeshGateway, where MeshHTTPRoutes and MeshTCPRoutes lead what comes in there, and the clusters
// for that.

import { type Chain, connectionLimit, httpConnections, listener } from "#envoy/listener.ts";
import { edgeTls, gatewayCertificateName } from "#envoy/tls.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { HttpConnectionManagerJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { Draft } from "#proxy/bundle.ts";
import { type GatewayConnectionsInput, gatewayConnections } from "#proxy/gateway-connections.ts";
import { type GatewayRoutesInput, gatewayRoutes } from "#proxy/gateway-routes.ts";
import { type SendingOf, sendingOf } from "#proxy/gateway-sending.ts";
import type { OutboundInput, Sending } from "#proxy/outbound.ts";
import { tag } from "#resources/resource.ts";
import { type GatewayListener, listenersOf, type MeshGateway } from "#topology/gateway.ts";
import type { Tags } from "#topology/provider.ts";

export interface GatewayInput extends Omit<OutboundInput, "service">, GatewayRoutesInput, GatewayConnectionsInput {
  readonly gateway: MeshGateway;
  /** Where the proxy listens. */
  readonly address: string;
  /** Of the proxy. */
  readonly tags: Tags;
  /** Those that policies look at; absent: none. */
  readonly own?: Tags;
}

export interface Gateway extends Sending {
  readonly listeners: readonly Draft[];
  readonly routes: readonly Draft[];
}

export function gatewayOf(input: GatewayInput): Gateway {
  const { view, mesh, egress, own, gateway, tags } = input;
  const sending = sendingOf(input);
  const ports = Map.groupBy(listenersOf(gateway, tags), ({ port }) => port);
  const made = [...ports].flatMap(([port, all]) => portOf(input, port, all, sending.of));
  return {
    ...{ view, mesh: mesh.name, ...(egress && { egress }), ...(own && { own }) },
    listeners: made.map(({ listener }) => listener),
    routes: made.flatMap(({ routes }) => routes),
    clusters: sending.clusters(),
  };
}

/** Listeners of one port are one to Envoy. Of two protocols there the first listener's counts (validation refuses the other). */
function portOf(
  input: GatewayInput,
  port: number,
  all: readonly GatewayListener[],
  sending: SendingOf,
): { readonly listener: Draft; readonly routes: readonly Draft[] }[] {
  const { gateway, address } = input;
  const protocol = all[0]?.protocol ?? "NONE";
  if (protocol === "NONE") return [];
  const name = `${gateway.name}:${protocol}:${port}`;
  const own = all.filter((one) => one.protocol === protocol);
  const made = chainsOf(protocol, name, input, own, sending);
  if (made.chains.length === 0) return [];
  const json = listener({
    ...{ name, at: { address, port }, direction: "INBOUND", chains: made.chains },
    ...((protocol === "HTTPS" || protocol === "TLS") && { inspectTls: true }),
  });
  return [{ listener: { type: "listener", name, refers: made.refers, json }, routes: made.routes }];
}

interface Chains {
  readonly chains: readonly Chain[];
  /** Of HTTP. */
  readonly routes: readonly Draft[];
  /** Clusters that chains lead to by name. */
  readonly refers: readonly string[];
}

function chainsOf(
  protocol: Exclude<GatewayListener["protocol"], "NONE">,
  name: string,
  input: GatewayInput,
  listeners: readonly GatewayListener[],
  sending: SendingOf,
): Chains {
  const used = new Set<string>();
  const requests = (one: GatewayListener) => httpFilter(input, `${name}:${one.hostname}`, one);
  const connections = (one: GatewayListener) => gatewayConnections(statPrefix(input), input, one, sending(one), used);
  const routesOf = (one: GatewayListener, of: readonly GatewayListener[] = [one]) =>
    gatewayRoutes(`${name}:${one.hostname}`, input, of, sending);
  switch (protocol) {
    case "HTTP": {
      const [first] = listeners;
      if (!first) return { chains: [], routes: [], refers: [] };
      // The Host header decides, whatever listener a name belongs to.
      const any = { ...first, hostname: "*" };
      const filters = [...limited(name, listeners), requests(any)];
      return { chains: [{ filters }], routes: [routesOf(any, listeners)], refers: [] };
    }
    case "HTTPS": {
      const secure = listeners.filter(isTerminated);
      const chains = secure.map((one) => chainOf(input, name, one, requests(one), httpAlpn));
      return { chains, routes: secure.map((one) => routesOf(one)), refers: [] };
    }
    case "TLS": {
      const told = listeners.filter((one) => one.tls === "PASSTHROUGH" || isTerminated(one));
      const chains = told.map((one) => chainOf(input, name, one, connections(one)));
      return { chains, routes: [], refers: [...used].sort() };
    }
    case "TCP": {
      // Nothing tells its connections apart: validation refuses a second listener.
      const chains = listeners.slice(0, 1).map((one) => ({ filters: [...limited(name, [one]), connections(one)] }));
      return { chains, routes: [], refers: [...used].sort() };
    }
  }
}

/** The SNI decides; who sends none gets the listener for any name, if there is one. */
function chainOf(
  { gateway }: GatewayInput,
  name: string,
  one: GatewayListener,
  filter: FilterJson,
  alpn: readonly string[] = [],
): Chain {
  const certificates = one.certificates.map((secret) => gatewayCertificateName(gateway.mesh, secret));
  return {
    match: { transportProtocol: "tls", ...(one.hostname !== "*" && { serverNames: [one.hostname] }) },
    ...(one.tls === "TERMINATE" && { transportSocket: edgeTls(certificates, alpn) }),
    filters: [...limited(`${name}:${one.hostname}`, [one]), filter],
  };
}

const isTerminated = ({ tls, certificates }: GatewayListener): boolean =>
  tls === "TERMINATE" && certificates.length > 0;

const httpAlpn = ["h2", "http/1.1"];

const statPrefix = ({ tags, gateway }: GatewayInput): string => tags[tag.service] ?? gateway.name;

const httpFilter = (input: GatewayInput, routes: string, { section }: GatewayListener): FilterJson =>
  httpConnections(statPrefix(input), routes, {
    ...asAtAnEdge,
    ...input.policies.inbound({ mesh: input.gateway.mesh, section }).connection,
  });

/** Counts what it is before; of several limits of a port the least holds (validation refuses the others). */
function limited(name: string, listeners: readonly GatewayListener[]): readonly FilterJson[] {
  const limits = listeners.flatMap(({ connectionLimit }) => connectionLimit ?? []);
  return limits.length === 0 ? [] : [connectionLimit(name, Math.min(...limits))];
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

// The inbound side of a data plane proxy: a listener for each inbound, the application behind it, who may call.
//
// Permissions and routes come over RDS, so that a change applies to the next request of open connections; the filter of
// the listener itself denies everything, should the route say nothing.

import type { AnyJson } from "@bufbuild/protobuf/wkt";
import { deniedConnections, deniedRequests } from "#envoy/access-log.ts";
import { forwardClientIdentity, fromClient } from "#envoy/client-identity.ts";
import { type ClusterPiece, localCluster } from "#envoy/cluster.ts";
import { type Chain, httpConnections, listener, tcpProxy } from "#envoy/listener.ts";
import { denyAllHttp, httpPermissions, tcpPermissions } from "#envoy/rbac.ts";
import { downstreamTls, meshAlpn } from "#envoy/tls.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { HostPort } from "#lib/address.ts";
import type { Pieces } from "#policies/policy.ts";
import type { Draft } from "#proxy/bundle.ts";
import { inboundListenerName } from "#proxy/names.ts";
import { inboundSource } from "#proxy/transparent.ts";
import { tag } from "#resources/resource.ts";
import { applicationAddress, type Inbound, inboundAddress, isHttp, protocolOf } from "#topology/inbound.ts";
import type { MeshFacts } from "#topology/mesh.ts";

/** An inbound and what the policies say of it. */
export interface InboundCase {
  readonly at: HostPort;
  readonly application: HostPort;
  readonly protocol: string;
  /** For people: the service, or the listener's name where there is none. */
  readonly service: string;
  readonly pieces: Pieces;
  /** Connections come in by a redirect. */
  readonly isRedirected: boolean;
}

export function inboundCase(spec: DataplaneJson, inbound: Inbound, pieces: Pieces, isRedirected: boolean): InboundCase {
  const at = inboundAddress(spec, inbound);
  return {
    at,
    application: applicationAddress(spec, inbound),
    protocol: protocolOf(inbound),
    service: inbound.tags?.[tag.service] ?? inboundListenerName(at),
    pieces,
    isRedirected,
  };
}

// Permissions change more often than listeners, so each half is made, and encoded, for itself.

/** What the routes of an inbound depend on; `undefined`: it has none. */
export function routedHalf(one: InboundCase): InboundCase | undefined {
  const { route = {}, ofClients = [], permissions = { rules: {} } } = one.pieces;
  return isHttp(one.protocol) ? { ...one, pieces: { route, ofClients, permissions } } : undefined;
}

/** What its listener and cluster depend on. */
export function listeningHalf(one: InboundCase): InboundCase {
  const { cluster = {}, connection = {}, tcp = {}, permissions = { rules: {} } } = one.pieces;
  return { ...one, pieces: { cluster, connection, tcp, ...(!isHttp(one.protocol) && { permissions }) } };
}

const clusterName = ({ application }: InboundCase): string => `localhost:${application.port}`;

export function inboundListenerDrafts(mesh: MeshFacts, one: InboundCase): readonly Draft[] {
  const { at, application, protocol, pieces, isRedirected } = one;
  const name = inboundListenerName(at);
  const cluster = clusterName(one);
  const source = inboundSource[application.address.includes(":") ? "ipv6" : "ipv4"];
  const clusterPiece: ClusterPiece = {
    ...pieces.cluster,
    ...(isRedirected && { upstreamBindConfig: { sourceAddress: { address: source, portValue: 0 } } }),
  };
  const statPrefix = `localhost_${application.port}`;
  const filters = (isMutual: boolean): readonly FilterJson[] => {
    if (!isHttp(protocol)) {
      const permissions = pieces.permissions ?? { rules: {} };
      return [
        ...(isMutual ? [tcpPermissions(`${name.replace(/[:.]/g, "_")}.`, permissions)] : []),
        tcpProxy(statPrefix, { cluster, ...pieces.tcp }),
      ];
    }
    // Chains with and without mTLS differ in permissions, which sit in the routes: hence a route configuration for each.
    const mutual = { ...forwardClientIdentity, accessLog: [deniedRequests] };
    const connection = { ...pieces.connection, ...(isMutual && mutual) };
    return [httpConnections(statPrefix, isMutual ? name : openRoutes(name), connection, isMutual ? [denyAllHttp] : [])];
  };
  return [
    { type: "cluster", name: cluster, json: localCluster(cluster, application, protocol, clusterPiece) },
    {
      type: "listener",
      name,
      refers: [cluster],
      json: listener({
        ...{ name, at, direction: "INBOUND", isVirtual: isRedirected },
        chains: chainsOf(mesh, filters),
        inspectTls: mesh.mtls !== undefined,
        ...(mesh.mtls && { accessLog: deniedConnections }),
      }),
    },
  ];
}

export function inboundRouteDrafts(mesh: MeshFacts, one: InboundCase): readonly Draft[] {
  const { at, service, pieces } = one;
  const { permissions = { rules: {} }, ofClients = [] } = pieces;
  const name = inboundListenerName(at);
  const cluster = clusterName(one);
  // Only behind mTLS is it known who calls.
  const clientRoutes = ofClients.map(({ client, route }) => ({
    match: { prefix: "/", headers: [fromClient(client.type, client.value)] },
    route: { cluster, ...pieces.route, ...route },
  }));
  const route = (routes: string, perFilter: Readonly<Record<string, AnyJson>> | undefined): Draft => ({
    type: "route",
    name: routes,
    refers: [cluster],
    json: {
      name: routes,
      validateClusters: false,
      requestHeadersToRemove: ["x-kuma-tags"],
      virtualHosts: [
        {
          name: service,
          domains: ["*"],
          ...(perFilter && { typedPerFilterConfig: perFilter }),
          routes: [...(perFilter ? clientRoutes : []), { match: { prefix: "/" }, route: { cluster, ...pieces.route } }],
        },
      ],
    },
  });
  return [
    ...(mesh.mtls ? [route(name, httpPermissions(permissions))] : []),
    ...(mesh.mtls?.mode !== "STRICT" ? [route(openRoutes(name), undefined)] : []),
  ];
}

const openRoutes = (listenerName: string): string => `${listenerName}:plaintext`;

/** No mTLS: one open chain. STRICT: one mutual chain. PERMISSIVE: plaintext, the application's own TLS, mutual (interop 7.3). */
function chainsOf(mesh: MeshFacts, filters: (isMutual: boolean) => readonly FilterJson[]): readonly Chain[] {
  const mutual = { filters: filters(true), transportSocket: downstreamTls(mesh.name) };
  switch (mesh.mtls?.mode) {
    case undefined:
      return [{ filters: filters(false) }];
    case "STRICT":
      return [mutual];
    case "PERMISSIVE":
      return [
        { match: { transportProtocol: "raw_buffer" }, filters: filters(false) },
        { match: { transportProtocol: "tls" }, filters: filters(false) },
        { match: { transportProtocol: "tls", applicationProtocols: [meshAlpn] }, ...mutual },
      ];
  }
}

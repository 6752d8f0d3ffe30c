// The inbound side of a data plane proxy: a listener for each inbound, the application behind it, who may call.
//
// Permissions and routes come over RDS, so that a change applies to the next request of open connections; the filter of
// the listener itself denies everything, should the route say nothing.

import type { AnyJson } from "@bufbuild/protobuf/wkt";
import { forwardClientIdentity, fromClient } from "#envoy/client-identity.ts";
import { localCluster } from "#envoy/cluster.ts";
import { type Chain, httpConnections, listener, tcpProxy } from "#envoy/listener.ts";
import { denyAllHttp, httpPermissions, tcpPermissions } from "#envoy/rbac.ts";
import { downstreamTls, meshAlpn } from "#envoy/tls.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Pieces } from "#policies/policy.ts";
import type { Draft } from "#proxy/bundle.ts";
import { inboundListenerName } from "#proxy/names.ts";
import { tag } from "#resources/resource.ts";
import { applicationAddress, type Inbound, inboundAddress, isHttp, protocolOf } from "#topology/inbound.ts";
import type { MeshFacts } from "#topology/mesh.ts";

export function inboundDrafts(
  mesh: MeshFacts,
  spec: DataplaneJson,
  inbound: Inbound,
  pieces: Pieces,
): readonly Draft[] {
  const at = inboundAddress(spec, inbound);
  const application = applicationAddress(spec, inbound);
  const protocol = protocolOf(inbound);
  const name = inboundListenerName(at);
  const cluster = `localhost:${application.port}`;
  const permissions = pieces.permissions ?? { rules: {} };
  const service = inbound.tags?.[tag.service] ?? name;

  const filters = (isMutual: boolean): readonly FilterJson[] => {
    const statPrefix = `localhost_${application.port}`;
    if (!isHttp(protocol)) {
      return [
        ...(isMutual ? [tcpPermissions(`${name.replace(/[:.]/g, "_")}.`, permissions)] : []),
        tcpProxy(statPrefix, { cluster, ...pieces.tcp }),
      ];
    }
    // Chains with and without mTLS differ in permissions, which sit in the routes: hence a route configuration for each.
    const connection = { ...pieces.connection, ...(isMutual && forwardClientIdentity) };
    return [httpConnections(statPrefix, isMutual ? name : openRoutes(name), connection, isMutual ? [denyAllHttp] : [])];
  };
  const chains = chainsOf(mesh, filters);
  // Only behind mTLS is it known who calls.
  const clientRoutes = (pieces.ofClients ?? []).map(({ client, route }) => ({
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
    { type: "cluster", name: cluster, json: localCluster(cluster, application, protocol, pieces.cluster ?? {}) },
    {
      type: "listener",
      name,
      refers: [cluster],
      json: listener({ name, at, direction: "INBOUND", chains, inspectTls: mesh.mtls !== undefined }),
    },
    ...(isHttp(protocol) && mesh.mtls ? [route(name, httpPermissions(permissions))] : []),
    ...(isHttp(protocol) && mesh.mtls?.mode !== "STRICT" ? [route(openRoutes(name), undefined)] : []),
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

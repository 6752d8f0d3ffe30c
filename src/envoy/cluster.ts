// Clusters: where requests go. Endpoints of services come over EDS; what is fixed is written inside.

import { socketAddress } from "#envoy/address.ts";
import { any } from "#envoy/any.ts";
import { overAds } from "#envoy/tls.ts";
import type { ClusterJson } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { TransportSocketJson } from "#gen/envoy/config/core/v3/base_pb.ts";
import type { HttpProtocolOptionsJson, KeepaliveSettingsJson } from "#gen/envoy/config/core/v3/protocol_pb.ts";
import type { HttpProtocolOptionsJson as UpstreamHttpJson } from "#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";

/** What policies may say of a cluster. */
export interface ClusterPiece extends ClusterJson {
  /** Options of its HTTP connections, whatever the version. */
  readonly http?: HttpProtocolOptionsJson;
  /** Of its HTTP/2 connections. */
  readonly keepalive?: KeepaliveSettingsJson;
}

/** Of endpoints outside the mesh no locality has a weight: ring hash and maglev, which then go by nothing else, would have none of them. */
export function withoutLocalities({ commonLbConfig, ...piece }: ClusterPiece = {}): ClusterPiece {
  const { localityWeightedLbConfig: _, ...rest } = commonLbConfig ?? {};
  return { ...piece, ...(Object.keys(rest).length > 0 && { commonLbConfig: rest }) };
}

/** Characters that metrics can't have become `_` (interop 7.1). */
const statName = (name: string): { altStatName?: string } =>
  /[^A-Za-z0-9_-]/.test(name) ? { altStatName: name.replace(/[^A-Za-z0-9_-]/g, "_") } : {};

function cluster(name: string, piece: ClusterPiece, upstream: UpstreamHttpJson): ClusterJson {
  const { http, keepalive: _, ...rest } = piece;
  const options: UpstreamHttpJson = { ...upstream, ...(http && { commonHttpProtocolOptions: http }) };
  return {
    name,
    ...statName(name),
    ...rest,
    ...(Object.keys(options).length > 0 && {
      typedExtensionProtocolOptions: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": any(
          "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
          options.explicitHttpConfig || options.useDownstreamProtocolConfig
            ? options
            : { ...options, explicitHttpConfig: { httpProtocolOptions: {} } },
        ),
      },
    }),
  };
}

const http2: UpstreamHttpJson = { explicitHttpConfig: { http2ProtocolOptions: {} } };
const http2With = (connectionKeepalive: KeepaliveSettingsJson | undefined): UpstreamHttpJson =>
  connectionKeepalive ? { explicitHttpConfig: { http2ProtocolOptions: { connectionKeepalive } } } : http2;
const upstreamFor = (protocol: string): UpstreamHttpJson => (protocol === "http2" || protocol === "grpc" ? http2 : {});

/** Endpoints over EDS. Those that are marked unhealthy get nothing while there are others, however few, and all when there are none. */
const discovered = (piece: ClusterPiece): ClusterPiece => ({
  type: "EDS",
  edsClusterConfig: { edsConfig: overAds },
  ...piece,
  commonLbConfig: { healthyPanicThreshold: { value: 1 }, ...piece.commonLbConfig },
});

/** A service's cluster on a client: inside the mesh always HTTP/2 (interop 7.9). */
export const serviceCluster = (name: string, piece: ClusterPiece): ClusterJson =>
  cluster(name, discovered(piece), http2With(piece.keepalive));

/** What is outside the mesh, behind an egress: in the version of HTTP that it speaks itself (interop 7.9). */
export const behindEgressCluster = (name: string, protocol: string, piece: ClusterPiece): ClusterJson =>
  cluster(name, discovered(piece), upstreamFor(protocol));

/** A cluster for bytes, not requests: at an ingress. */
export const tcpCluster = (name: string, piece: ClusterPiece): ClusterJson => cluster(name, discovered(piece), {});

const asDownstream: UpstreamHttpJson = {
  useDownstreamProtocolConfig: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
};
/** Where a redirected connection was going before. `source`: from which address it goes there; `http`: its requests, in the version they have. */
export const originalDestination = (name: string, { source, http = false }: OriginalOptions = {}): ClusterJson =>
  cluster(
    name,
    {
      ...{ type: "ORIGINAL_DST", lbPolicy: "CLUSTER_PROVIDED", connectTimeout: "5s" },
      circuitBreakers: { thresholds: [{ trackRemaining: true }] },
      ...(source !== undefined && { upstreamBindConfig: { sourceAddress: { address: source, portValue: 0 } } }),
    },
    http ? asDownstream : {},
  );
export interface OriginalOptions {
  readonly source?: string;
  readonly http?: boolean;
}

/** The application behind an inbound. */
export const localCluster = (name: string, target: HostPort, protocol: string, piece: ClusterPiece): ClusterJson =>
  cluster(
    name,
    {
      type: "STATIC",
      loadAssignment: {
        clusterName: name,
        endpoints: [{ lbEndpoints: [{ endpoint: { address: socketAddress(target) } }] }],
      },
      ...piece,
    },
    upstreamFor(protocol),
  );

/** Outside the mesh. */
export interface ExternalHost extends HostPort {
  readonly tags: Readonly<Record<string, string>>;
  /** Envoy looks it up, and says it as the host of requests. */
  readonly isName: boolean;
  /** Absent: plaintext. */
  readonly transportSocket?: TransportSocketJson;
  /** Absent: 0, which is the first. */
  readonly priority?: number;
}

/** Servers outside the mesh, written inside: names are not for EDS. HTTP/1.1, but for who speaks HTTP/2 (interop 7.9). */
export function externalCluster(
  name: string,
  hosts: readonly ExternalHost[],
  protocol: string,
  piece: ClusterPiece,
): ClusterJson {
  // Each has a TLS of its own.
  const place = (host: HostPort) => ({ address: hostPortText(host) });
  const matches = hosts.flatMap(({ transportSocket, ...host }) =>
    transportSocket ? [{ name: hostPortText(host), match: place(host), transportSocket }] : [],
  );
  const type = hosts.some(({ isName }) => isName)
    ? ({ type: "STRICT_DNS", dnsLookupFamily: "V4_PREFERRED" } as const)
    : ({ type: "STATIC" } as const);
  return cluster(
    name,
    {
      ...type,
      loadAssignment: {
        clusterName: name,
        // Envoy's priorities have no gaps.
        endpoints: [...new Set(hosts.map(({ priority = 0 }) => priority))]
          .sort((a, b) => a - b)
          .map((said, priority) => ({
            ...(priority > 0 && { priority }),
            lbEndpoints: hosts
              .filter((host) => (host.priority ?? 0) === said)
              .map((host) => ({
                endpoint: { address: socketAddress(host) },
                loadBalancingWeight: 1,
                metadata: {
                  filterMetadata: {
                    "envoy.lb": { ...host.tags },
                    ...(host.transportSocket && { "envoy.transport_socket_match": place(host) }),
                  },
                },
              })),
          })),
      },
      ...piece,
      ...(matches.length > 0 && { transportSocketMatches: matches }),
    },
    upstreamFor(protocol),
  );
}

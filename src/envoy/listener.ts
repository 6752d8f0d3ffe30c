// Listeners and their filters. Routes come over RDS, so that a change of routes or permissions replaces no listener and
// drains no connection.

import { socketAddress } from "#envoy/address.ts";
import { any } from "#envoy/any.ts";
import { overAds } from "#envoy/tls.ts";
import type { AccessLogJson } from "#gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import type { TransportSocketJson } from "#gen/envoy/config/core/v3/base_pb.ts";
import type {
  FilterChainJson,
  FilterChainMatchJson,
  FilterJson,
} from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { ListenerJson } from "#gen/envoy/config/listener/v3/listener_pb.ts";
import type { ConnectionLimitJson } from "#gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.ts";
import type {
  HttpConnectionManagerJson,
  HttpFilterJson,
} from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { TcpProxyJson } from "#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import type { MatcherJson } from "#gen/xds/type/matcher/v3/matcher_pb.ts";
import type { HostPort } from "#lib/address.ts";

export interface Chain {
  /** For a matcher; absent: none. */
  readonly name?: string;
  readonly match?: FilterChainMatchJson;
  readonly filters: readonly FilterJson[];
  readonly transportSocket?: TransportSocketJson;
}

export interface ListenerOptions {
  readonly name: string;
  readonly at: HostPort;
  readonly direction: "INBOUND" | "OUTBOUND";
  readonly chains: readonly Chain[];
  /** Chooses chains by name; absent: their own matches do. */
  readonly matcher?: MatcherJson;
  /** Looks at the first bytes to find TLS and its SNI: nothing else tells them to chains, nor the SNI to permissions. */
  readonly inspectTls?: boolean;
  /** Of its connections. */
  readonly accessLog?: AccessLogJson;
  /** It has the address, but not the socket: what comes in at a listener that takes redirected connections is handed to it. */
  readonly isVirtual?: boolean;
  /** Hands connections to the listener that has the address which they were for, and keeps those that none has. */
  readonly takesRedirected?: boolean;
}

export const listener = ({
  name,
  at,
  direction,
  chains,
  matcher,
  inspectTls = false,
  accessLog,
  isVirtual = false,
  takesRedirected = false,
}: ListenerOptions): ListenerJson => ({
  name,
  address: socketAddress(at),
  trafficDirection: direction,
  // Of inbound and zone listeners, so that a restarted proxy can bind while the old one drains (interop 6.5).
  ...(direction === "INBOUND" && { enableReusePort: true }),
  ...(isVirtual && { bindToPort: false }),
  ...(takesRedirected && { useOriginalDst: true }),
  filterChains: chains.map(chain),
  ...(matcher && { filterChainMatcher: matcher }),
  ...(accessLog && { accessLog: [accessLog] }),
  ...(inspectTls && {
    listenerFilters: [
      {
        name: "envoy.filters.listener.tls_inspector",
        typedConfig: any("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", {}),
      },
    ],
  }),
});

const chain = ({ name, match, filters, transportSocket }: Chain): FilterChainJson => ({
  ...(name !== undefined && { name }),
  ...(match && { filterChainMatch: match }),
  ...(transportSocket && { transportSocket }),
  filters: [...filters],
});

export const routerFilter: HttpFilterJson = {
  name: "envoy.filters.http.router",
  typedConfig: any("envoy.extensions.filters.http.router.v3.Router", {}),
};

/** HTTP, with the route configuration `routes` over RDS; `filters` stand before the router. */
export const httpConnections = (
  statPrefix: string,
  routes: string,
  piece: HttpConnectionManagerJson,
  filters: readonly HttpFilterJson[] = [],
): FilterJson => ({
  name: "envoy.filters.network.http_connection_manager",
  typedConfig: any("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
    statPrefix,
    rds: { routeConfigName: routes, configSource: overAds },
    ...piece,
    httpFilters: [...filters, routerFilter],
  }),
});

export const tcpProxy = (statPrefix: string, piece: TcpProxyJson): FilterJson => ({
  name: "envoy.filters.network.tcp_proxy",
  typedConfig: any("envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", { statPrefix, ...piece }),
});

/** Closes what it is given. */
export const closing: FilterJson = {
  name: "envoy.filters.network.direct_response",
  typedConfig: any("envoy.extensions.filters.network.direct_response.v3.Config", {}),
};

/** Closes new connections while there are so many that have passed it: `limit` ≥ 1. */
export const connectionLimit = (statPrefix: string, limit: number): FilterJson => ({
  name: "envoy.filters.network.connection_limit",
  typedConfig: any("envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit", {
    statPrefix,
    maxConnections: String(limit),
  } satisfies ConnectionLimitJson),
});

// What permissions deny, and would deny, told to the agent beside Envoy: over the access log service, as that cluster is in every
// bootstrap, Kuma's too, and nothing is lost where nobody listens. What is allowed costs a look at the filter, no more.

import { any } from "#envoy/any.ts";
import type { AccessLogFilterJson, AccessLogJson } from "#gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import type { ExpressionFilterJson } from "#gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts";
import type {
  CommonGrpcAccessLogConfigJson,
  HttpGrpcAccessLogConfigJson,
  TcpGrpcAccessLogConfigJson,
} from "#gen/envoy/extensions/access_loggers/grpc/v3/als_pb.ts";

/** A static cluster of the bootstrap. An Envoy that has none of this name takes the configuration, and tells nobody. */
export const accessLogCluster = "access_log_sink";

/** One for all, so that Envoy has one stream for all listeners of a kind. */
const commonConfig: CommonGrpcAccessLogConfigJson = {
  logName: "denied",
  transportApiVersion: "V3",
  grpcService: { envoyGrpc: { clusterName: accessLogCluster } },
};
const http: HttpGrpcAccessLogConfigJson = { commonConfig };
const tcp: TcpGrpcAccessLogConfigJson = { commonConfig };

/** What the filters say of a request or connection, as dynamic metadata under their names. */
const says = (filter: string, key: string): AccessLogFilterJson => ({
  metadataFilter: {
    matcher: { filter, path: [{ key }], value: { stringMatch: { exact: "denied" } } },
    matchIfKeyNotFound: false,
  },
});
const holds = (expression: string): AccessLogFilterJson => {
  const filter: ExpressionFilterJson = { expression };
  return {
    extensionFilter: {
      name: "envoy.access_loggers.extension_filters.cel",
      typedConfig: any("envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", filter),
    },
  };
};
const anyOf = (...filters: AccessLogFilterJson[]): AccessLogFilterJson => ({ orFilter: { filters } });

/** Requests, of an HTTP connection manager. */
export const deniedRequests: AccessLogJson = {
  name: "envoy.access_loggers.http_grpc",
  filter: anyOf(
    says("envoy.filters.http.rbac", "enforced_engine_result"),
    says("envoy.filters.http.rbac", "shadow_engine_result"),
  ),
  typedConfig: any("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig", http),
};

/**
 * Connections, of a listener, when they end: those that permissions denied or would deny, and those whose TLS failed. The network
 * filter leaves what it enforces in the termination details only.
 */
export const deniedConnections: AccessLogJson = {
  name: "envoy.access_loggers.tcp_grpc",
  filter: anyOf(
    says("envoy.filters.network.rbac", "shadow_engine_result"),
    holds("connection.termination_details.startsWith('rbac_access_denied')"),
    holds("connection.transport_failure_reason != ''"),
  ),
  typedConfig: any("envoy.extensions.access_loggers.grpc.v3.TcpGrpcAccessLogConfig", tcp),
};

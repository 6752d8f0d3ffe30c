// MeshHealthCheck as Envoy's health check of a cluster: which of its parts counts depends on what the destination speaks.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/health_checking

import { any } from "#envoy/any.ts";
import type { ClusterPiece } from "#envoy/cluster.ts";
import type { Cluster_CommonLbConfigJson } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { HealthCheckJson } from "#gen/envoy/config/core/v3/health_check_pb.ts";
import { goToProto } from "#lib/duration.ts";
import { definedOf } from "#lib/json.ts";
import { headerOptions } from "#policies/header-change.ts";
import { checkHealthChecks } from "#policies/mesh-health-check/check.ts";
import {
  type CheckConf,
  type GrpcCheck,
  type HttpCheck,
  schema,
  type TcpCheck,
} from "#policies/mesh-health-check/schema.ts";
import { definePolicy } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";
import { toConf } from "#policies/to.ts";

const top: readonly TargetKind[] = [
  "Mesh",
  "MeshSubset",
  "MeshGateway",
  "MeshService",
  "MeshServiceSubset",
  "Dataplane",
];

export const meshHealthCheck = definePolicy({
  kind: "MeshHealthCheck",
  schema,
  targets: {
    top: { system: top, namespaced: top },
    listenerTags: true,
    parts: ["to"],
    needsPart: false,
    to: () => ["Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService"],
  },
  check: checkHealthChecks,
  translate: {
    outbound: (matches, destination, { protocol }) => {
      const conf = toConf<CheckConf>(matches, destination)?.conf;
      return conf ? { cluster: clusterPiece(conf, protocol) } : {};
    },
  },
});

function clusterPiece(conf: CheckConf, protocol: string): ClusterPiece {
  const commonLbConfig = panicOf(conf);
  const kind = checkOf(conf, protocol);
  return {
    ...(Object.keys(commonLbConfig).length > 0 && { commonLbConfig }),
    ...(kind && {
      healthChecks: [{ ...common(conf), ...kind }],
      // Or who leaves would be kept for as long as its checks pass, and lose what is under way when it ends.
      ignoreHealthOnHostRemoval: true,
    }),
  };
}

const panicOf = ({ healthyPanicThreshold: panic, failTrafficOnPanic }: CheckConf): Cluster_CommonLbConfigJson =>
  definedOf({
    healthyPanicThreshold: panic === undefined ? undefined : { value: Number(panic) },
    zoneAwareLbConfig: failTrafficOnPanic ? { failTrafficOnPanic } : undefined,
  });

/** What no policy says has Kuma's values. */
const common = (conf: CheckConf): HealthCheckJson => {
  const { eventLogPath } = conf;
  return {
    interval: goToProto(conf.interval ?? "1m"),
    timeout: goToProto(conf.timeout ?? "15s"),
    unhealthyThreshold: conf.unhealthyThreshold ?? 5,
    healthyThreshold: conf.healthyThreshold ?? 1,
    ...definedOf({
      initialJitter: conf.initialJitter && goToProto(conf.initialJitter),
      intervalJitter: conf.intervalJitter && goToProto(conf.intervalJitter),
      intervalJitterPercent: conf.intervalJitterPercent,
      noTrafficInterval: conf.noTrafficInterval && goToProto(conf.noTrafficInterval),
      reuseConnection: conf.reuseConnection,
      alwaysLogHealthCheckFailures: conf.alwaysLogHealthCheckFailures,
      eventLogger: eventLogPath === undefined ? undefined : [fileSink(eventLogPath)],
    }),
  };
};

const fileSink = (path: string) => ({
  name: "envoy.health_check.event_sinks.file",
  typedConfig: any("envoy.extensions.health_check.event_sinks.file.v3.HealthCheckEventFileSink", {
    eventLogPath: path,
  }),
});

type Checked = Pick<HealthCheckJson, "httpHealthCheck" | "tcpHealthCheck" | "grpcHealthCheck">;

function checkOf({ http, tcp, grpc }: CheckConf, protocol: string): Checked | undefined {
  switch (protocol) {
    case "http":
    case "http2":
      return http && !http.disabled ? { httpHealthCheck: httpCheck(http) } : undefined;
    case "grpc":
      return grpc && !grpc.disabled ? { grpcHealthCheck: grpcCheck(grpc) } : undefined;
    default:
      return tcp && !tcp.disabled ? { tcpHealthCheck: tcpCheck(tcp) } : undefined;
  }
}

function httpCheck({ path = "/", requestHeadersToAdd, expectedStatuses = [] }: HttpCheck) {
  const headers = headerOptions(requestHeadersToAdd);
  return {
    path,
    ...(headers.length > 0 && { requestHeadersToAdd: headers }),
    ...(expectedStatuses.length > 0 && {
      expectedStatuses: expectedStatuses.map((status) => ({ start: String(status), end: String(status + 1) })),
    }),
  };
}

const tcpCheck = ({ send, receive = [] }: TcpCheck) => ({
  ...(send !== undefined && { send: payload(send) }),
  ...(receive.length > 0 && { receive: receive.map(payload) }),
});
/** Texts as they are written, in hexadecimal. */
const payload = (text: string) => ({ text: Buffer.from(text).toString("hex") });

const grpcCheck = ({ serviceName, authority }: GrpcCheck) => definedOf({ serviceName, authority });

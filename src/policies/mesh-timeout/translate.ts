// MeshTimeout as Envoy's timeouts. `0s` is no limit, as Envoy reads it, and so do we. What no policy says has the values
// below, which are Kuma's without a policy (interop 7.3, 7.9, 11.4), not Envoy's own.

import { parseGoDuration, protoDuration } from "#lib/duration.ts";
import { inboundRules } from "#policies/inbound.ts";
import { mergeConfs } from "#policies/merge.ts";
import { checkTimeouts } from "#policies/mesh-timeout/check.ts";
import { type MeshTimeout, schema, type TimeoutConf } from "#policies/mesh-timeout/schema.ts";
import { definePolicy, type Pieces } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";
import { toConf } from "#policies/to.ts";

const system: readonly TargetKind[] = [
  "Mesh",
  "MeshSubset",
  "Dataplane",
  "MeshGateway",
  "MeshService",
  "MeshServiceSubset",
  "MeshHTTPRoute",
];
const namespaced: readonly TargetKind[] = ["Mesh", "Dataplane", "MeshSubset", "MeshService", "MeshServiceSubset"];
const isAttached = (top: TargetKind): boolean => top === "MeshGateway" || top === "MeshHTTPRoute";

export const meshTimeout = definePolicy({
  kind: "MeshTimeout",
  schema,
  targets: {
    top: { system, namespaced },
    listenerTags: true,
    parts: ["from", "to", "rules"],
    needsPart: true,
    from: (top) => (isAttached(top) ? [] : ["Mesh"]),
    to: (top) =>
      isAttached(top)
        ? ["Mesh", "MeshExternalService"]
        : ["Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute"],
  },
  check: checkTimeouts,
  translate: {
    outbound: (matches, destination, routes) =>
      outboundPieces(toConf<TimeoutConf>(matches, destination, routes)?.conf ?? {}),
    inbound: (matches, { section }) => {
      const rules = inboundRules(matches, section, ({ rules: own = [], from = [] }: MeshTimeout) =>
        own.length > 0 ? own : from,
      );
      // A rule for some clients can't be heeded: these limits are one for all connections of an inbound.
      const forAll = rules.filter(({ match }) => match === undefined);
      return inboundPieces(mergeConfs(forAll.map(({ conf }) => conf)) ?? {});
    },
  },
});

/** What holds where no policy says otherwise. */
export const fallback = {
  connectionTimeout: "5s",
  idleTimeout: "1h",
  maxStreamDuration: "0s",
  maxConnectionDuration: "0s",
  outbound: { requestTimeout: "0s" },
  inbound: { requestTimeout: "15s", streamIdleTimeout: "30m" },
} as const;

function outboundPieces(conf: TimeoutConf): Pieces {
  const {
    requestHeadersTimeout,
    requestTimeout = fallback.outbound.requestTimeout,
    streamIdleTimeout,
  } = conf.http ?? {};
  return {
    cluster: clusterPiece(conf),
    route: {
      timeout: proto(requestTimeout),
      ...(streamIdleTimeout !== undefined && { idleTimeout: proto(streamIdleTimeout) }),
    },
    connection: {
      ...idleConnections,
      ...(requestHeadersTimeout !== undefined && { requestHeadersTimeout: proto(requestHeadersTimeout) }),
    },
    tcp: conf.idleTimeout === undefined ? {} : { idleTimeout: proto(conf.idleTimeout) },
  };
}

function inboundPieces(conf: TimeoutConf): Pieces {
  const { requestHeadersTimeout = "0s", requestTimeout, streamIdleTimeout } = { ...fallback.inbound, ...conf.http };
  return {
    cluster: clusterPiece(conf),
    route: {
      timeout: proto(requestTimeout ?? fallback.inbound.requestTimeout),
      idleTimeout: proto(streamIdleTimeout ?? fallback.inbound.streamIdleTimeout),
    },
    connection: {
      ...idleConnections,
      requestHeadersTimeout: proto(requestHeadersTimeout),
      // Until the route is known; then the route's holds.
      streamIdleTimeout: "3600s",
    },
    tcp: { idleTimeout: proto(conf.idleTimeout ?? fallback.idleTimeout) },
  };
}

/** The side that connects closes idle connections, in its cluster; Envoy's default for the other is an hour. */
const idleConnections = { commonHttpProtocolOptions: { idleTimeout: "0s" } };

const clusterPiece = ({ connectionTimeout, idleTimeout, http }: TimeoutConf) => ({
  connectTimeout: proto(connectionTimeout ?? fallback.connectionTimeout),
  http: {
    idleTimeout: proto(idleTimeout ?? fallback.idleTimeout),
    maxConnectionDuration: proto(http?.maxConnectionDuration ?? fallback.maxConnectionDuration),
    maxStreamDuration: proto(http?.maxStreamDuration ?? fallback.maxStreamDuration),
  },
});

/** The text is a duration: the schema saw to it. */
const proto = (text: string): string => protoDuration(parseGoDuration(text) ?? 0);

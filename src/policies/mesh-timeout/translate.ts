// MeshTimeout as Envoy's timeouts. `0s` is no limit, as Envoy reads it, and so do we. What no policy says has the values
// below, which are Kuma's without a policy (interop 7.3, 7.9, 11.4), not Envoy's own.

import type { RouteActionJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import { goToProto as proto } from "#lib/duration.ts";
import { type InboundRule, inboundRules } from "#policies/inbound.ts";
import { mergeConfs } from "#policies/merge.ts";
import { checkTimeouts } from "#policies/mesh-timeout/check.ts";
import { type MeshTimeout, schema, type TimeoutConf } from "#policies/mesh-timeout/schema.ts";
import { definePolicy, type OfClient, type Pieces } from "#policies/policy.ts";
import { by, firstOf } from "#policies/precedence.ts";
import type { SpiffeMatch, TargetKind } from "#policies/schema.ts";
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
    outbound: (matches, destination, { routes }) =>
      outboundPieces(toConf<TimeoutConf>(matches, destination, routes)?.conf ?? {}),
    inbound: (matches, { section }) => {
      const rules = inboundRules(matches, section, ({ rules: own = [], from = [] }: MeshTimeout) =>
        own.length > 0 ? own : from,
      );
      const forAll = rules.filter(({ match }) => match === undefined);
      const ofClients = clientPieces(rules);
      return {
        ...inboundPieces(mergeConfs(forAll.map(({ conf }) => conf)) ?? {}),
        ...(ofClients.length > 0 && { ofClients }),
      };
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
  const { requestHeadersTimeout } = conf.http ?? {};
  return {
    cluster: clusterPiece(conf),
    route: { timeout: proto(fallback.outbound.requestTimeout), ...routePiece(conf) },
    connection: {
      ...idleConnections,
      ...(requestHeadersTimeout !== undefined && { requestHeadersTimeout: proto(requestHeadersTimeout) }),
    },
    tcp: conf.idleTimeout === undefined ? {} : { idleTimeout: proto(conf.idleTimeout) },
  };
}

function inboundPieces(conf: TimeoutConf): Pieces {
  const { requestTimeout, streamIdleTimeout } = fallback.inbound;
  return {
    cluster: clusterPiece(conf),
    route: { timeout: proto(requestTimeout), idleTimeout: proto(streamIdleTimeout), ...routePiece(conf) },
    connection: {
      ...idleConnections,
      requestHeadersTimeout: proto(conf.http?.requestHeadersTimeout ?? "0s"),
      // Until the route is known; then the route's holds.
      streamIdleTimeout: "3600s",
    },
    tcp: { idleTimeout: proto(conf.idleTimeout ?? fallback.idleTimeout) },
  };
}

/** What rules for some clients say of their requests; connections to the application are for all. Everything said of a client
 * counts, the more specific before the rest. No client of this mesh asks for a DNS name, so no rule with an SNI is for any. */
function clientPieces(rules: readonly InboundRule<TimeoutConf>[]): readonly OfClient[] {
  const ascending = rules
    .flatMap(({ match, conf }) => (match?.spiffeID && !match.sni ? [{ client: match.spiffeID, conf }] : []))
    .sort(
      firstOf(
        by(({ client }) => (client.type === "Exact" ? 1 : 0)),
        by(({ client }) => client.value.length),
      ),
    );
  const clients = new Map(ascending.map(({ client }) => [`${client.type} ${client.value}`, client]));
  return [...clients.values()].reverse().flatMap((client) => {
    const conf = mergeConfs(ascending.filter((rule) => covers(rule.client, client)).map((rule) => rule.conf));
    const route = routePiece(conf ?? {});
    return Object.keys(route).length > 0 ? [{ client, route }] : [];
  });
}

const covers = (general: SpiffeMatch, client: SpiffeMatch): boolean =>
  general.type === "Prefix"
    ? client.value.startsWith(general.value)
    : client.type === "Exact" && client.value === general.value;

const routePiece = ({ http: { requestTimeout, streamIdleTimeout } = {} }: TimeoutConf): RouteActionJson => ({
  ...(requestTimeout !== undefined && { timeout: proto(requestTimeout) }),
  ...(streamIdleTimeout !== undefined && { idleTimeout: proto(streamIdleTimeout) }),
});

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

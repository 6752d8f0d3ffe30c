// Where the connections go that come in at a builtin gateway's listener for TCP or TLS: the backends of the MeshTCPRoute that wins there.

import { closing, tcpProxy } from "#envoy/listener.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Match } from "#policies/match.ts";
import type { MeshTCPRoute } from "#policies/mesh-tcp-route/schema.ts";
import { tcpSplit } from "#policies/mesh-tcp-route/translate.ts";
import { type ClusterOf, type OutboundInput, shared, sharesOf } from "#proxy/outbound.ts";
import type { GatewayListener, MeshGateway } from "#topology/gateway.ts";

export interface GatewayConnectionsInput extends Pick<OutboundInput, "policies"> {
  readonly gateway: MeshGateway;
  /** Those that are for the gateway; `sections` are its listeners. */
  readonly tcpRoutes: readonly Match<MeshTCPRoute>[];
}

/** `used` gets the clusters. Without a backend that is known and has a weight connections are closed. */
export function gatewayConnections(
  statPrefix: string,
  { gateway, tcpRoutes, policies }: GatewayConnectionsInput,
  { section }: GatewayListener,
  clusterOf: ClusterOf,
  used: Set<string>,
): FilterJson {
  const own = tcpRoutes.filter(({ sections }) => sections.includes(section));
  const split = tcpSplit(own, { kind: "service", service: "*", tags: {} }) ?? [];
  const shares = sharesOf(split, clusterOf);
  if (shares.length === 0) return closing;
  for (const { name } of shares) used.add(name);
  const [first] = split;
  // What is said of the way to a service comes before what is said of who calls: a connection is both.
  const said =
    first?.kind === "service"
      ? policies.to({ kind: "service", service: first.service, tags: first.tags }, { protocol: "tcp" }).tcp
      : undefined;
  return tcpProxy(statPrefix, {
    ...shared(shares),
    ...policies.inbound({ mesh: gateway.mesh, section }).tcp,
    ...said,
  });
}

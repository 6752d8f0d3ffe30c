// Where the connections go that come in at a builtin gateway's listener for TCP or TLS: the backends of the MeshTCPRoute that wins there.

import { closing, tcpProxy } from "#envoy/listener.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Match } from "#policies/match.ts";
import type { MeshTCPRoute } from "#policies/mesh-tcp-route/schema.ts";
import { tcpSplit } from "#policies/mesh-tcp-route/translate.ts";
import type { ListenerSending } from "#proxy/gateway-sending.ts";
import { destination, type OutboundInput, shared, sharesOf, usualOf } from "#proxy/outbound.ts";
import type { GatewayListener, MeshGateway } from "#topology/gateway.ts";

export interface GatewayConnectionsInput extends Pick<OutboundInput, "factsOf" | "findResource"> {
  readonly gateway: MeshGateway;
  /** Those that are for the gateway; `sections` are its listeners. */
  readonly tcpRoutes: readonly Match<MeshTCPRoute>[];
}

/** `used` gets the clusters. Without a backend that is known and has a weight connections are closed. */
export function gatewayConnections(
  statPrefix: string,
  { gateway, tcpRoutes, factsOf, findResource }: GatewayConnectionsInput,
  { section }: GatewayListener,
  { policies, clusterOf }: ListenerSending,
  used: Set<string>,
): FilterJson {
  const own = tcpRoutes.filter(({ sections }) => sections.includes(section));
  const split = tcpSplit(own, { kind: "service", service: "*", tags: {} }) ?? [];
  const shares = sharesOf(split, clusterOf);
  if (shares.length === 0) return closing;
  for (const { name } of shares) used.add(name);
  // What is said of the way to a service comes before what is said of who calls: a connection is both.
  const [first] = split.flatMap((one) => usualOf(one, findResource) ?? []);
  const said =
    first && policies.to(destination(first.service, first.tags, factsOf(first.service)), { protocol: "tcp" }).tcp;
  return tcpProxy(statPrefix, {
    ...shared(shares),
    ...policies.inbound({ mesh: gateway.mesh, section }).tcp,
    ...said,
  });
}

// A zone ingress: connections from other zones, led by their SNI to instances of this zone. It ends no TLS and holds no secret. Without TLS it
// says to other zones that it is there (decision 27).

import { any } from "#envoy/any.ts";
import { type Chain, listener, routerFilter, tcpProxy } from "#envoy/listener.ts";
import { serviceSni } from "#envoy/tls.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { HttpConnectionManagerJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { ZoneIngress_NetworkingJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { Draft } from "#proxy/bundle.ts";
import { type Hop, hopCluster } from "#proxy/evidence.ts";
import { inboundListenerName, subsetClusterName } from "#proxy/names.ts";
import { probedHost } from "#topology/probe.ts";
import type { Tags } from "#topology/provider.ts";

/** A service of this zone, or the part of it with these tags, as other zones may ask for it. */
export interface IngressTarget {
  readonly mesh: string;
  readonly service: string;
  readonly subset: Tags;
  /** Of one that is a resource, whose name has its mesh; absent: as its tags say. */
  readonly sni?: string;
}

export const ingressClusterName = ({ mesh, service, subset, sni }: IngressTarget): string =>
  sni === undefined ? `${mesh}:${subsetClusterName(service, subset)}` : service;

export const ingressSni = ({ mesh, service, subset, sni }: IngressTarget): string =>
  sni ?? serviceSni(mesh, service, subset);

/** `hop`: at an ingress to instances, or to egresses beside it; at an egress to the ingresses of other zones. */
export const ingressClusterDraft = (target: IngressTarget, hop: Hop): Draft => {
  const name = ingressClusterName(target);
  return {
    type: "cluster",
    name,
    json: hopCluster(name, hop),
  };
};

export function ingressListenerDraft(
  zone: string,
  networking: ZoneIngress_NetworkingJson,
  targets: readonly IngressTarget[],
): Draft {
  const at = { address: networking.address ?? "", port: networking.port ?? 0 };
  const listenerName = inboundListenerName(at);
  const clusters = targets.map(ingressClusterName);
  return {
    type: "listener",
    name: listenerName,
    refers: clusters,
    json: listener({
      name: listenerName,
      at,
      direction: "INBOUND",
      inspectTls: true,
      chains: [answering(zone), ...targets.map(chainTo)],
    }),
  };
}

const answer: HttpConnectionManagerJson = {
  codecType: "HTTP1",
  statPrefix: "probe",
  // Anybody may ask, nobody may stay.
  requestHeadersTimeout: "5s",
  streamIdleTimeout: "5s",
  commonHttpProtocolOptions: { idleTimeout: "10s" },
  maxRequestHeadersKb: 8,
  httpFilters: [routerFilter],
};

/** What is not TLS is asked for the host of the probe, or told that there is nothing. */
function answering(zone: string): Chain {
  const routes = [{ match: { path: "/" }, directResponse: { status: 200 } }];
  return {
    match: { transportProtocol: "raw_buffer" },
    filters: [
      {
        name: "envoy.filters.network.http_connection_manager",
        typedConfig: any("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
          ...answer,
          routeConfig: { virtualHosts: [{ name: "probe", domains: [probedHost(zone)], routes }] },
        }),
      },
    ],
  };
}

/** Who asks for this service by SNI; the same at an ingress and at an egress. */
export const chainTo = (target: IngressTarget): Chain => ({
  match: { transportProtocol: "tls", serverNames: [ingressSni(target)] },
  filters: [throughTo(ingressClusterName(target))],
});

/** A dead host costs its client a connection attempt, not a request. */
export const throughTo = (cluster: string): FilterJson =>
  tcpProxy(cluster.replace(/[:.]/g, "_"), { cluster, maxConnectAttempts: 3 });

/** A service as a whole, and each part of it once, in a fixed order. `sni`: of one that is a resource. */
export function ingressTargetsOf(
  { mesh, service }: Pick<IngressTarget, "mesh" | "service">,
  subsets: readonly Tags[],
  sni: string | undefined,
): readonly IngressTarget[] {
  if (sni !== undefined) return [{ mesh, service, subset: {}, sni }];
  const targets = [{}, ...subsets].map((subset) => ({ mesh, service, subset }));
  const byName = new Map(targets.map((target) => [ingressClusterName(target), target]));
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, target]) => target);
}

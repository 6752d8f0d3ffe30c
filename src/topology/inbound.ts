// What a Dataplane leaves unsaid of its inbounds, said in one place (interop 2.7).

import type { Dataplane_Networking_InboundJson, DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { HostPort } from "#lib/address.ts";
import { tag } from "#resources/resource.ts";

export type Inbound = Dataplane_Networking_InboundJson;

/** Ready, and not marked otherwise the old way. */
export const isHealthy = (inbound: Inbound): boolean =>
  (inbound.state ?? "Ready") === "Ready" && (inbound.health === undefined || inbound.health.ready === true);

/** Where the proxy listens. */
export const inboundAddress = (spec: DataplaneJson, inbound: Inbound): HostPort => ({
  address: inbound.address || spec.networking?.address || "",
  port: inbound.port ?? 0,
});

/** Where the application listens. */
export const applicationAddress = (spec: DataplaneJson, inbound: Inbound): HostPort => ({
  address: inbound.serviceAddress || inboundAddress(spec, inbound).address,
  port: inbound.servicePort || inbound.port || 0,
});

export const protocolOf = (inbound: Inbound): string => inbound.protocol || inbound.tags?.[tag.protocol] || "tcp";
export const sectionOf = (inbound: Inbound): string => inbound.name || String(inbound.port ?? 0);

export const isHttp = (protocol: string): boolean => protocol === "http" || protocol === "http2" || protocol === "grpc";

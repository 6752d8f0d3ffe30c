// A message inside `google.protobuf.Any`, in proto JSON form, and the type URLs of what is discovered.

import type { AnyJson } from "@bufbuild/protobuf/wkt";

/** `any("envoy.….v3.Router", {})` is `{"@type": "type.googleapis.com/envoy.….v3.Router"}`. */
export const any = <T extends object>(typeName: string, message: T): AnyJson => ({
  "@type": `type.googleapis.com/${typeName}`,
  ...message,
});

/** Type URLs of the discovery types, by their usual abbreviation: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol */
export const typeUrl = {
  cluster: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
  endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
  listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
  route: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
  secret: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
} as const;
export type TypeUrl = (typeof typeUrl)[keyof typeof typeUrl];

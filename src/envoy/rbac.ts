// Permissions of an inbound. HTTP: a filter that denies everything, and what a route configuration puts in its place. TCP: a
// filter in front of the proxying one.

import type { AnyJson } from "@bufbuild/protobuf/wkt";
import { any } from "#envoy/any.ts";
import type { FilterJson } from "#gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { RBACJson } from "#gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import type { HttpFilterJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";

const httpRbacName = "envoy.filters.http.rbac";

/** Fails closed: `rules` without a policy denies all. https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rbac_filter */
export const denyAllHttp: HttpFilterJson = {
  name: httpRbacName,
  typedConfig: any("envoy.extensions.filters.http.rbac.v3.RBAC", { rules: {} }),
};

/** `typed_per_filter_config` of a virtual host. */
export const httpPermissions = (rbac: RBACJson): Readonly<Record<string, AnyJson>> => ({
  [httpRbacName]: any("envoy.extensions.filters.http.rbac.v3.RBACPerRoute", { rbac }),
});

export const tcpPermissions = (
  statPrefix: string,
  { rules = {}, shadowRules }: Pick<RBACJson, "rules" | "shadowRules">,
): FilterJson => ({
  name: "envoy.filters.network.rbac",
  typedConfig: any("envoy.extensions.filters.network.rbac.v3.RBAC", {
    statPrefix,
    rules,
    ...(shadowRules && { shadowRules }),
  }),
});

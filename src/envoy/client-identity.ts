// Who calls, as an application is told: the header x-forwarded-client-cert. Envoy writes it before it chooses a route, and what a
// client claims itself is removed, so routes can tell clients apart by it:
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers#x-forwarded-client-cert

import type { HeaderMatcherJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { HttpConnectionManagerJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";

/** Of connections that end mTLS. */
export const forwardClientIdentity: HttpConnectionManagerJson = {
  forwardClientCertDetails: "SANITIZE_SET",
  setCurrentClientCertDetails: { uri: true },
};

/** One of the URIs of its certificate is this, or begins so. In the header each is a `URI=…` between semicolons. */
export function fromClient(type: "Exact" | "Prefix", uri: string): HeaderMatcherJson {
  const literal = uri.replace(/[^A-Za-z0-9/:_-]/g, "\\$&");
  const end = type === "Exact" ? "(;.*)?" : ".*";
  return { name: "x-forwarded-client-cert", stringMatch: { safeRegex: { regex: `(.*;)?URI=${literal}${end}` } } };
}

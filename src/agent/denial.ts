// What Envoy reports to its access log service (envoy/access-log.ts): requests and connections that permissions denied or would
// deny, and connections whose TLS failed.

import { fromBinary } from "@bufbuild/protobuf";
import type { Address } from "#gen/envoy/config/core/v3/address_pb.ts";
import { RequestMethod } from "#gen/envoy/config/core/v3/base_pb.ts";
import type { AccessLogCommon, HTTPRequestProperties } from "#gen/envoy/data/accesslog/v3/accesslog_pb.ts";
import { StreamAccessLogsMessageSchema } from "#gen/envoy/service/accesslog/v3/als_pb.ts";
import { hostPortText } from "#lib/address.ts";

export interface Denial {
  readonly what: "request" | "connection";
  /** `untrusted`: TLS failed. `shadow`: it was let through. */
  readonly verdict: "denied" | "shadow" | "untrusted";
  /** KRI of the MeshTrafficPermission that decided; `none`: no one allows it. Of what is untrusted, Envoy's reason. */
  readonly why: string;
  /** The SPIFFE IDs of its certificate. */
  readonly caller?: string;
  readonly inboundPort?: number;
  /** The end of the connection: of what comes from another zone, its ingress. */
  readonly from?: string;
  readonly method?: string;
  readonly path?: string;
}

/** Of one message of the stream. Throws on what is none. */
export function denialsIn(bytes: Uint8Array): readonly Denial[] {
  const { logEntries } = fromBinary(StreamAccessLogsMessageSchema, bytes);
  switch (logEntries.case) {
    case "httpLogs":
      return logEntries.value.logEntry.flatMap(({ commonProperties, request }) =>
        denialOf("request", commonProperties, request),
      );
    case "tcpLogs":
      return logEntries.value.logEntry.flatMap(({ commonProperties }) => denialOf("connection", commonProperties));
    case undefined:
      return [];
  }
}

function denialOf(
  what: Denial["what"],
  common: AccessLogCommon | undefined,
  request?: HTTPRequestProperties,
): readonly Denial[] {
  if (!common) return [];
  const inboundPort = socketOf(common.downstreamLocalAddress)?.port;
  const from = socketOf(common.downstreamDirectRemoteAddress ?? common.downstreamRemoteAddress);
  const caller = callerOf(common);
  return [
    {
      what,
      ...verdictOf(what, common),
      ...(caller !== "" && { caller }),
      ...(inboundPort !== undefined && { inboundPort }),
      ...(from && { from: hostPortText(from) }),
      ...(request && { method: methodOf(request), path: pathOf(request.path) }),
    },
  ];
}

function verdictOf(what: Denial["what"], common: AccessLogCommon): Pick<Denial, "verdict" | "why"> {
  if (common.downstreamTransportFailureReason !== "")
    return { verdict: "untrusted", why: common.downstreamTransportFailureReason };
  const said = common.metadata?.filterMetadata[`envoy.filters.${what === "request" ? "http" : "network"}.rbac`];
  // The network filter leaves what it enforces here only.
  const ended = /^rbac_access_denied_matched_policy\[(.*)\]$/.exec(common.connectionTerminationDetails)?.[1];
  if (ended !== undefined || said?.enforced_engine_result === "denied")
    return { verdict: "denied", why: policyIn(ended ?? said?.enforced_effective_policy_id) };
  return { verdict: "shadow", why: policyIn(said?.shadow_effective_policy_id) };
}

/** Without the SNI that may follow. */
const policyIn = (id: unknown): string => (typeof id === "string" ? (id.split("/")[0] ?? id) : "none");

function callerOf({ tlsProperties }: AccessLogCommon): string {
  const names = tlsProperties?.peerCertificateProperties?.subjectAltName ?? [];
  const uris = names.flatMap(({ san }) => (san.case === "uri" ? [san.value] : []));
  return uris.filter((uri) => uri.startsWith("spiffe://")).join(" ");
}

const methodOf = ({ requestMethod }: HTTPRequestProperties): string =>
  Object.entries(RequestMethod).find(([, number]) => number === requestMethod)?.[0] ?? "";

const longestPath = 200;
/** A query may hold what is nobody's business. */
const pathOf = (path: string): string => (path.split("?")[0] ?? "").slice(0, longestPath);

function socketOf(address: Address | undefined): { readonly address: string; readonly port: number } | undefined {
  if (address?.address.case !== "socketAddress") return undefined;
  const { address: host, portSpecifier } = address.address.value;
  return { address: host, port: portSpecifier.case === "portValue" ? portSpecifier.value : 0 };
}

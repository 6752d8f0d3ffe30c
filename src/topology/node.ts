// What an agent says of itself and its machine, in the metadata of its Envoy's node (interop 6.3, 6.5), as far as the configuration
// depends on it.

import { portIn } from "#lib/address.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";

/** Where redirected connections come in. */
export interface RedirectPorts {
  readonly inbound: number;
  readonly outbound: number;
  /** Absent: IPv4 only. */
  readonly ipv6: boolean;
}

/** How names come to who answers them: in a table of Envoy's own DNS listener, or in a list that is asked for over a socket. */
export type DnsWay =
  | { readonly kind: "envoy"; readonly port: number }
  | { readonly kind: "list"; readonly socket: string };

export interface NodeFacts {
  /** Absent: as the Dataplane says. */
  readonly redirect?: RedirectPorts;
  /** Connections to its ports that no inbound has are closed, not passed on. */
  readonly isStrict: boolean;
  /** It has addresses of its own instead of a redirect. */
  readonly bindsOutbounds: boolean;
  readonly ipv6: boolean;
  readonly dns?: DnsWay;
}

export function nodeFactsOf(metadata: JsonObject): NodeFacts {
  const features = new Set(Array.isArray(metadata.features) ? metadata.features : []);
  const ipv6 = metadata.ipv6Enabled !== false;
  const told = features.has("feature-transparent-proxy-in-dataplane-metadata") && redirectIn(metadata, ipv6);
  const dns = features.has("feature-embedded-dns") ? listOf(metadata) : envoyDnsOf(metadata);
  return {
    isStrict: features.has("feature-strict-inbound-ports"),
    bindsOutbounds: features.has("feature-bind-outbounds"),
    ipv6,
    ...(told && { redirect: told }),
    ...(dns && { dns }),
  };
}

function redirectIn({ transparentProxy }: JsonObject, ipv6: boolean): RedirectPorts | undefined {
  if (!isObject(transparentProxy) || !isObject(transparentProxy.redirect)) return undefined;
  const { inbound, outbound } = transparentProxy.redirect;
  const { ipFamilyMode } = transparentProxy;
  const isIpv4 = typeof ipFamilyMode === "string" && ipFamilyMode.toLowerCase() === "ipv4";
  return { inbound: portOf(inbound), outbound: portOf(outbound), ipv6: ipv6 && !isIpv4 };
}

const portOf = (redirect: JsonValue | undefined): number =>
  (isObject(redirect) && redirect.enabled === true && portIn(redirect.port)) || 0;

function envoyDnsOf(metadata: JsonObject): DnsWay | undefined {
  const port = portIn(metadata["dataplane.dns.port"]);
  return port === undefined ? undefined : { kind: "envoy", port };
}

/** The rule for paths is shared with kuma-dp (interop 6.3). */
function listOf({ workdir }: JsonObject): DnsWay | undefined {
  if (typeof workdir !== "string" || workdir === "") return undefined;
  return { kind: "list", socket: `${`${workdir}/kuma-mesh-metric-config`.slice(0, 98)}.sock` };
}

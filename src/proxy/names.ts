// Names of what is generated, as dashboards and patches of Kuma's users know them (interop 7.1, 7.2).

import { type HostPort, hostPortText } from "#lib/address.ts";
import { sha256Hex } from "#lib/hash.ts";
import { tag } from "#resources/resource.ts";
import type { Tags } from "#topology/provider.ts";

/** The service's name; for a part of it with `-` and 16 hex digits of the SHA-256 over keys and values of all tags, sorted. */
export function subsetClusterName(service: string, subset: Tags): string {
  if (Object.keys(subset).length === 0) return service;
  const tags = Object.entries({ ...subset, [tag.service]: service }).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${service}-${sha256Hex(tags.map(([key, value]) => key + value).join("")).slice(0, 16)}`;
}

/** Of a proxy or a zone ingress; its routes have the same name. */
export const inboundListenerName = (at: HostPort): string => `inbound:${hostPortText(at)}`;
export const isInboundListener = (name: string): boolean => name.startsWith("inbound:");
export const outboundListenerName = (at: HostPort): string => `outbound:${hostPortText(at)}`;
export const outboundRouteName = (service: string): string => `outbound:${service}`;

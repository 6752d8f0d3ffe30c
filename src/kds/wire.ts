// Names of KDS on the wire: paths, headers, what a control plane says of itself, and the revision (interop 4.1, 4.3.1).

import type { JsonObject as Struct } from "@bufbuild/protobuf";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Headers } from "#host/world.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

const sync = "/kuma.mesh.v1alpha1.KDSSyncService";
const admin = "/kuma.mesh.v1alpha1.GlobalKDSService";
export const path = {
  globalToZone: `${sync}/GlobalToZoneSync`,
  zoneToGlobal: `${sync}/ZoneToGlobalSync`,
  healthCheck: `${admin}/HealthCheck`,
  configDump: `${admin}/StreamXDSConfigs`,
  stats: `${admin}/StreamStats`,
  clusters: `${admin}/StreamClusters`,
} as const;

/** What a zone says with every call. */
export const headersOf = (zone: string, version: string): Readonly<Record<string, string | readonly string[]>> => ({
  "client-id": zone,
  "kds-version": "v3",
  features: ["zone-ping-health", "hash-suffix"],
  version,
});

/** The values of a header; some libraries join repeated ones to `a, b`. */
export const headerValues = (headers: Headers, name: string): readonly string[] =>
  (headers[name] ?? []).flatMap((value) => value.split(",")).map((value) => value.trim());

/** What this program can, as far as its peer must know; Kuma 2.14 has the same five. */
export const features = [
  "zone-token",
  "hash-suffix",
  "hg-mz-selector",
  "producer-policy-flow",
  "optional-top-level-target-ref",
] as const;
export type Feature = (typeof features)[number];

/** Metadata that only Kodiak sends: it understands a revision in `system_version_info`. Others get an empty one. */
const revisionsKey = "kodiak-revisions";

/** Of the program that speaks: sent with subscriptions. */
export interface Self {
  /** Any unique text. */
  readonly instanceId: string;
  readonly version: string;
  /** A zone's configuration without secrets; Kuma reads `store.type` of it. Global has none. */
  readonly config?: JsonObject;
}

export const metadataOf = (self: Self): Struct => ({
  version: { kumaCp: { version: self.version } },
  config: self.config ? JSON.stringify(self.config) : "",
  "control-plane-id": self.instanceId,
  features: [...features],
  [revisionsKey]: true,
});

/** What a peer says of itself. */
export interface Peer {
  readonly instanceId: string;
  readonly features: ReadonlySet<string>;
  readonly hasRevisions: boolean;
  readonly config: string;
  readonly version: JsonObject;
}

export function peerOf(request: Pick<DeltaDiscoveryRequest, "node">): Peer {
  const metadata = request.node?.metadata ?? {};
  const { config, version } = metadata;
  const named = Array.isArray(metadata.features) ? metadata.features : [];
  const instanceId = metadata["control-plane-id"];
  return {
    instanceId: typeof instanceId === "string" ? instanceId : "",
    features: new Set(named.filter((feature) => typeof feature === "string")),
    hasRevisions: metadata[revisionsKey] === true,
    config: typeof config === "string" ? config : "",
    version: isObject(version) ? version : {},
  };
}

/**
 * A revision of a store, as it travels: `<store>/<number>`. A `+` behind it says that more of the same revision follows; what
 * receives it applies all of it in one transaction. Sent only to peers that say they understand it.
 */
export const revisionText = (store: { readonly id: string; readonly revision: number }, more: boolean): string =>
  `${store.id}/${store.revision}${more ? "+" : ""}`;

export function revisionOf(text: string): { readonly revision: string; readonly more: boolean } | undefined {
  const match = /^(.+\/\d+)(\+?)$/.exec(text);
  return match ? { revision: match[1]!, more: match[2] === "+" } : undefined;
}

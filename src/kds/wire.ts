// Names of KDS on the wire: paths, headers, and what a control plane says of itself (interop 4.1, 4.3.1).

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
  /** Between Kodiaks (`heard.ts`, `members.ts`). */
  heard: "/kodiak.mesh.v1.ZoneService/Heard",
  certificate: "/kodiak.mesh.v1.ZoneService/Certificate",
  intermediate: "/kodiak.mesh.v1.ZoneService/Intermediate",
} as const;

/** What a zone says with every call. */
export const headersOf = (zone: string, version: string): Readonly<Record<string, string | readonly string[]>> => ({
  "client-id": zone,
  "kds-version": "v3",
  features: ["zone-ping-health", "hash-suffix"],
  version,
});

/** With a health check: the zone concludes nothing of its proxies since then (milliseconds since the epoch). Kuma ignores it. */
export const frozenHeader = "kodiak-frozen-since";

/** With it, too: other zones that do not answer its ingresses, each as `zone-b=<since>` (milliseconds since the epoch). */
export const silentHeader = "kodiak-silent-zones";

export const silentText = (zones: ReadonlyMap<string, number>): readonly string[] =>
  [...zones].map(([zone, since]) => `${zone}=${since}`);

/** What is no time is left out. */
export const silentIn = (headers: Headers): ReadonlyMap<string, number> =>
  new Map(
    headerValues(headers, silentHeader).flatMap((text) => {
      const [, zone, since] = /^([^=]{1,253})=(\d{1,15})$/.exec(text) ?? [];
      return zone === undefined || since === undefined ? [] : [[zone, Number(since)] as const];
    }),
  );

/** The values of a header; some libraries join repeated ones to `a, b`. */
export const headerValues = (headers: Headers, name: string): readonly string[] =>
  (headers[name] ?? []).flatMap((value) => value.split(",")).map((value) => value.trim());

/** What this program can, as far as its peer must know; Kuma 2.14 has the same but the last. */
export const features = [
  "zone-token",
  "hash-suffix",
  "hg-mz-selector",
  "producer-policy-flow",
  "optional-top-level-target-ref",
  "kodiak-resume",
] as const;
export type Feature = (typeof features)[number];

/** Of the program that speaks: sent with subscriptions. */
export interface Self {
  /** Any unique text. */
  readonly instanceId: string;
  readonly version: string;
  /** A zone's configuration without secrets; Kuma reads `store.type` of it. Global has none. */
  readonly config?: JsonObject;
}

/** `resume`: sent with the subscription of a kind (`resume.ts`). */
export const metadataOf = (self: Self, resume?: Struct): Struct => ({
  version: { kumaCp: { version: self.version } },
  config: self.config ? JSON.stringify(self.config) : "",
  "control-plane-id": self.instanceId,
  features: [...features],
  ...(resume && { [resumeKey]: resume }),
});
/** Kuma reads by name what it knows, and leaves this alone. */
export const resumeKey = "kodiak-resume";

/** What a peer says of itself. */
export interface Peer {
  readonly instanceId: string;
  readonly features: ReadonlySet<string>;
  /** Another Kodiak: decision 6 holds between us. */
  readonly resumes: boolean;
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
    resumes: named.includes("kodiak-resume"),
    config: typeof config === "string" ? config : "",
    version: isObject(version) ? version : {},
  };
}

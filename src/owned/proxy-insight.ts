// What is known of a proxy, as the insight that users and global see (interop 6.4). Connection, refusals and the backend of
// the certificate are facts; counters and times are records.

import { envoyTypes, type TypedRefusal } from "#discovery/order.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { versionIn } from "#resources/proxy-version.ts";
import { keyOf, type Resource, type ResourceId } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

export interface ProxyStatus {
  /** Of the Dataplane or ZoneIngress. */
  readonly id: ResourceId;
  readonly subscription: {
    readonly id: string;
    readonly controlPlane: string;
    /** Milliseconds since the epoch. */
    readonly connectedAt: number;
    readonly disconnectedAt: number | undefined;
  };
  /** Of the node, as it came. */
  readonly metadata: JsonObject;
  readonly counters: Readonly<
    Record<string, { readonly sent: number; readonly acknowledged: number; readonly rejected: number } | undefined>
  >;
  readonly updatedAt: number;
  /** What Envoy refuses. */
  readonly refusals: readonly RefusalStatus[];
  /** What Envoy has not taken for a while; `undefined`: nothing. */
  readonly behind?: { readonly objects: number; readonly since: number; readonly why: string } | undefined;
  readonly holds?: Holds;
}

/** Of its mesh's mTLS, as Envoy has acknowledged it. */
export interface Holds {
  readonly certificate?: CertificateStatus;
  /** Backends. */
  readonly trusts: readonly string[];
}

/** It is not sent again in this version. */
export interface RefusalStatus extends TypedRefusal {
  /** Milliseconds since the epoch. */
  readonly since: number;
}

/** In the insight's metadata, which is free to have more, and which stock control planes pass on. */
export const refusedKey = "kodiak.refused";
export const behindKey = "kodiak.behind";

/** Of the node's metadata, what is not its own to say, and the definition, which is a resource: global needs no copy of it. */
const left = new Set([refusedKey, behindKey, "dataplane.resource"]);

/** What an insight says was refused, for a proxy that comes back after a restart of its control plane. */
export function refusalsIn(insight: { readonly spec: JsonObject } | undefined): readonly RefusalStatus[] {
  const metadata = isObject(insight?.spec.metadata) ? insight.spec.metadata : {};
  const refused = metadata[refusedKey];
  return (Array.isArray(refused) ? refused.filter((one: JsonValue) => isObject(one)) : []).flatMap((one) => {
    const type = envoyTypes.find((known) => known === one.type);
    const since = Date.parse(textOf(one.since));
    if (!type || Number.isNaN(since)) return [];
    return [{ type, name: textOf(one.name), version: textOf(one.version), reason: textOf(one.reason), since }];
  });
}

/** What an insight says that a proxy holds: it does still, when it comes back. */
export function holdsIn(insight: { readonly spec: JsonObject } | undefined): Holds {
  const mtls = isObject(insight?.spec.mTLS) ? insight.spec.mTLS : {};
  const { certificateExpirationTime, lastCertificateRegeneration, certificateRegenerations, issuedBackend } = mtls;
  const trusts = Array.isArray(mtls.supportedBackends) ? mtls.supportedBackends.map(String) : [];
  if (typeof issuedBackend !== "string") return { trusts };
  const certificate = {
    backend: issuedBackend,
    expiresAt: Date.parse(String(certificateExpirationTime)),
    issuedAt: Date.parse(String(lastCertificateRegeneration)),
    regenerations: Number(certificateRegenerations ?? 0),
  };
  return { trusts, certificate };
}

/** Of a Dataplane or ZoneIngress, among all proxies. */
export const statusKey = (id: ResourceId): string => `${id.kind} ${keyOf(id)}`;

/** Of a proxy's certificate. */
export interface CertificateStatus {
  readonly backend: string;
  readonly expiresAt: number;
  readonly issuedAt: number;
  readonly regenerations: number;
}

/** `String` calls what an object has as its `toString`, whatever that is. */
const textOf = (value: JsonValue | undefined): string => (typeof value === "string" ? value : "");
const time = (ms: number): string => new Date(ms).toISOString();
const counterName: Readonly<Record<string, string>> = {
  cluster: "cds",
  endpoint: "eds",
  listener: "lds",
  route: "rds",
};

export function proxyInsight(status: ProxyStatus): Resource {
  const { id, subscription, metadata, counters, updatedAt, refusals, behind, holds } = status;
  const { certificate, trusts = [] } = holds ?? {};
  const { version: said, ...rest } = metadata;
  const version = versionIn(said);
  const stats = Object.entries(counters).flatMap(([type, count]) => (count ? [[type, count] as const] : []));
  const total = { sent: 0, acknowledged: 0, rejected: 0 };
  for (const [, count] of stats) {
    total.sent += count.sent;
    total.acknowledged += count.acknowledged;
    total.rejected += count.rejected;
  }
  const statistics = (count: typeof total): JsonObject => ({
    ...(count.sent > 0 && { responsesSent: String(count.sent) }),
    ...(count.acknowledged > 0 && { responsesAcknowledged: String(count.acknowledged) }),
    ...(count.rejected > 0 && { responsesRejected: String(count.rejected) }),
  });
  const subscribed: JsonObject = {
    id: subscription.id,
    controlPlaneInstanceId: subscription.controlPlane,
    connectTime: time(subscription.connectedAt),
    ...(subscription.disconnectedAt !== undefined && { disconnectTime: time(subscription.disconnectedAt) }),
    status: {
      lastUpdateTime: time(updatedAt),
      total: statistics(total),
      ...Object.fromEntries(
        stats.flatMap(([type, count]) => (counterName[type] ? [[counterName[type], statistics(count)]] : [])),
      ),
    },
    ...(version !== undefined && { version }),
  };
  return {
    kind: `${id.kind}Insight`,
    mesh: id.mesh,
    name: id.name,
    labels: {},
    spec: {
      subscriptions: [subscribed],
      metadata: {
        ...Object.fromEntries(Object.entries(rest).filter(([name]) => !left.has(name))),
        ...(refusals.length > 0 && { [refusedKey]: refusals.map((one) => ({ ...one, since: time(one.since) })) }),
        ...(behind && { [behindKey]: { ...behind, since: time(behind.since) } }),
      },
      ...((certificate || trusts.length > 0) && {
        mTLS: {
          ...(certificate && {
            certificateExpirationTime: time(certificate.expiresAt),
            lastCertificateRegeneration: time(certificate.issuedAt),
            certificateRegenerations: certificate.regenerations,
            issuedBackend: certificate.backend,
          }),
          ...(trusts.length > 0 && { supportedBackends: [...trusts] }),
        },
      }),
    },
    creationTime: zeroTime,
    modificationTime: zeroTime,
  };
}

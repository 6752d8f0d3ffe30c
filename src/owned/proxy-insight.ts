// What is known of a proxy, as the insight that users and global see (interop 6.4). Connection, refusals and the backend of
// the certificate are facts; counters and times are records.

import type { JsonObject } from "#lib/json.ts";
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
  /** What Envoy refused alone. */
  readonly refusals: readonly { readonly type: string; readonly name: string; readonly reason: string }[];
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

const time = (ms: number): string => new Date(ms).toISOString();
const counterName: Readonly<Record<string, string>> = {
  cluster: "cds",
  endpoint: "eds",
  listener: "lds",
  route: "rds",
};

export function proxyInsight(status: ProxyStatus, certificate: CertificateStatus | undefined): Resource {
  const { id, subscription, metadata, counters, updatedAt } = status;
  const { version, ...rest } = metadata;
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
      // The definition is a resource of its own, and global needs no copy of it here.
      metadata: Object.fromEntries(Object.entries(rest).filter(([name]) => name !== "dataplane.resource")),
      ...(certificate && {
        mTLS: {
          certificateExpirationTime: time(certificate.expiresAt),
          lastCertificateRegeneration: time(certificate.issuedAt),
          certificateRegenerations: certificate.regenerations,
          issuedBackend: certificate.backend,
          supportedBackends: [certificate.backend],
        },
      }),
    },
    creationTime: zeroTime,
    modificationTime: zeroTime,
  };
}

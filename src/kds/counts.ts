// Messages between control planes, counted by kind, and what Prometheus hears of them.

import type { Metrics } from "#host/metrics.ts";

export interface KindCounts {
  /** Responses sent, and how the peer took them. */
  sent: number;
  accepted: number;
  refused: number;
  /** Responses received, and those of them that were refused here. */
  received: number;
  refusedHere: number;
}

export interface KdsCounts {
  readonly byKind: ReadonlyMap<string, Readonly<KindCounts>>;
  sent(kind: string): void;
  answered(kind: string, refusal: string | undefined): void;
  received(kind: string, refusal: string | undefined): void;
}

export function kdsCounts(): KdsCounts {
  const byKind = new Map<string, KindCounts>();
  const of = (kind: string): KindCounts => {
    const known = byKind.get(kind) ?? { sent: 0, accepted: 0, refused: 0, received: 0, refusedHere: 0 };
    byKind.set(kind, known);
    return known;
  };
  return {
    byKind,
    sent: (kind) => void of(kind).sent++,
    answered: (kind, refusal) => void of(kind)[refusal === undefined ? "accepted" : "refused"]++,
    received(kind, refusal) {
      of(kind).received++;
      if (refusal !== undefined) of(kind).refusedHere++;
    },
  };
}

export function kdsMetrics({ counter }: Pick<Metrics, "counter">, { byKind }: Pick<KdsCounts, "byKind">): void {
  const counters = [
    ["pushes", "Responses sent to other control planes", "sent"],
    ["acks", "Responses that other control planes accepted", "accepted"],
    ["nacks", "Responses of which other control planes refused a part", "refused"],
    ["received", "Responses received from other control planes", "received"],
    ["received_refused", "Responses of which a part was refused here", "refusedHere"],
  ] as const;
  for (const [name, help, count] of counters)
    counter({
      name: `kodiak_kds_${name}_total`,
      help,
      labels: ["kind"],
      read: () => [...byKind].map(([kind, counts]) => ({ labels: { kind }, value: counts[count] })),
    });
}

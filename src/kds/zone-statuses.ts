// What global knows of the connections of its zones, as plain data. Facts (who is there, what was refused) are told at once; records (counters, times) of all
// zones together, at most once a second.

import type { Clock, Random } from "#host/world.ts";
import type { Peer } from "#kds/wire.ts";
import type { Counters, ZoneStatus, ZoneStream, ZoneSubscription } from "#owned/zone-insight.ts";

export interface ZoneStatusesOptions {
  readonly global: ZoneStatus["global"];
  /** Zones that were known before: they are away until they come. */
  readonly known: Iterable<string>;
  readonly clock: Clock;
  readonly random: Pick<Random, "uuid">;
  readonly onStatus: (status: ZoneStatus, news: "fact" | "record") => void;
}

/** One connection, as long as it lasts. */
export interface SubscriptionRecord {
  sent(kind: string): void;
  answered(kind: string, refusal: string | undefined): void;
  reached(revision: number): void;
  ended(): void;
}

export interface ZoneStatuses {
  all(): readonly ZoneStatus[];
  of(zone: string): ZoneStatus | undefined;
  opened(zone: string, stream: ZoneStream): void;
  pinged(zone: string, says: Pick<ZoneStatus, "frozenSince" | "silentZones">): void;
  connected(zone: string, peer: Peer, sentToken: boolean): SubscriptionRecord;
  stop(): void;
}

const recordEveryMs = 1_000;
const mostSubscriptions = 10;
const nothing: Counters = { sent: 0, acknowledged: 0, rejected: 0 };

export function zoneStatuses({ global, known, clock, random, onStatus }: ZoneStatusesOptions): ZoneStatuses {
  const statuses = new Map<string, ZoneStatus>([...known].map((zone) => [zone, unknown(zone)]));
  const changed = new Set<string>();
  let cancel: (() => void) | undefined;

  function unknown(zone: string): ZoneStatus {
    return { zone, global, subscriptions: [], streams: {}, pingedAt: undefined };
  }

  function change(zone: string, news: "fact" | "record", with_: (status: ZoneStatus) => Partial<ZoneStatus>): void {
    const before = statuses.get(zone) ?? unknown(zone);
    const after = { ...before, ...with_(before) };
    statuses.set(zone, after);
    if (news === "fact") {
      changed.delete(zone);
      onStatus(after, "fact");
      return;
    }
    changed.add(zone);
    cancel ??= clock.alarm(clock.now() + recordEveryMs, tellRecords);
  }

  function tellRecords(): void {
    cancel = undefined;
    for (const zone of changed) onStatus(statuses.get(zone)!, "record");
    changed.clear();
  }

  return {
    all: () => [...statuses.values()],
    of: (zone) => statuses.get(zone),
    opened(zone, stream) {
      const at = clock.now();
      change(zone, "record", ({ streams }) => ({ streams: { ...streams, [stream]: at } }));
    },
    pinged(zone, says) {
      const pingedAt = clock.now();
      change(zone, "record", () => ({ pingedAt, ...says }));
    },
    connected(zone, peer, sentToken) {
      const now = clock.now();
      const subscription: ZoneSubscription = {
        id: random.uuid(),
        zoneInstanceId: peer.instanceId,
        connectedAt: now,
        disconnectedAt: undefined,
        version: peer.version,
        config: peer.config,
        sentToken,
        updatedAt: now,
        counters: {},
        reached: undefined,
      };
      change(zone, "fact", ({ subscriptions }) => ({
        subscriptions: [...subscriptions, subscription].slice(-mostSubscriptions),
      }));
      return record(zone, subscription.id);
    },
    stop() {
      cancel?.();
    },
  };

  function record(zone: string, id: string): SubscriptionRecord {
    const update = (news: "fact" | "record", change_: (one: ZoneSubscription) => Partial<ZoneSubscription>): void =>
      change(zone, news, ({ subscriptions }) => ({
        subscriptions: subscriptions.map((one) => (one.id === id ? { ...one, ...change_(one) } : one)),
      }));
    const count = (kind: string, counter: keyof Counters): void => {
      const updatedAt = clock.now();
      update(counter === "rejected" ? "fact" : "record", ({ counters }) => {
        const before = counters[kind] ?? nothing;
        return { updatedAt, counters: { ...counters, [kind]: { ...before, [counter]: before[counter] + 1 } } };
      });
    };
    return {
      sent: (kind) => count(kind, "sent"),
      answered: (kind, refusal) => count(kind, refusal === undefined ? "acknowledged" : "rejected"),
      reached: (reached) => update("record", () => ({ reached })),
      ended() {
        const disconnectedAt = clock.now();
        update("fact", () => ({ disconnectedAt }));
      },
    };
  }
}

// What is known of a zone's connection to global, as the insight that users see (interop 4.8). Online is a fact; counters and
// the time of the last sign of life are records.

import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

export interface ZoneStatus {
  readonly zone: string;
  /** The global control plane that says so. */
  readonly global: { readonly instanceId: string; readonly version: string; readonly startedAt: number };
  /** Since global started, oldest first. The last one says whether the zone is online. */
  readonly subscriptions: readonly ZoneSubscription[];
  /** When each stream was opened last. */
  readonly streams: Readonly<Partial<Record<ZoneStream, number>>>;
  readonly pingedAt: number | undefined;
  /** It concludes nothing of its proxies since then, as it said last. */
  readonly frozenSince?: number | undefined;
  /** Other zones that do not answer its ingresses, and since when, as it said last. */
  readonly silentZones?: ReadonlyMap<string, number>;
}
export type ZoneStream = "globalToZone" | "zoneToGlobal" | "configDump" | "stats" | "clusters";

/** One connection of a zone. Times are milliseconds since the epoch. */
export interface ZoneSubscription {
  readonly id: string;
  readonly zoneInstanceId: string;
  readonly connectedAt: number;
  readonly disconnectedAt: number | undefined;
  /** As the zone says it: `{ kumaCp: { version, … } }`. */
  readonly version: JsonObject;
  readonly config: string;
  readonly sentToken: boolean;
  readonly updatedAt: number;
  readonly counters: Readonly<Record<string, Counters>>;
  /** Of global's store: all that the zone should have of it has been answered. */
  readonly reached: number | undefined;
}
export interface Counters {
  readonly sent: number;
  readonly acknowledged: number;
  readonly rejected: number;
}

export const isZoneOnline = ({ subscriptions }: ZoneStatus): boolean => {
  const last = subscriptions.at(-1);
  return last !== undefined && last.disconnectedAt === undefined;
};

const mostSubscriptions = 10;

/** `previous`: what is stored. Connections that it knows from before this global started are over. */
export function zoneInsight(status: ZoneStatus, previous: Pick<Resource, "spec"> | undefined): Resource {
  const { zone, global, pingedAt, streams } = status;
  const own = new Set(status.subscriptions.map(({ id }) => id));
  const subscriptions = [
    ...subscriptionsIn(previous?.spec).flatMap((one) =>
      own.has(String(one.id)) ? [] : [closed(one, global.startedAt)],
    ),
    ...status.subscriptions.map((one) => subscriptionSpec(one, global)),
  ].slice(-mostSubscriptions);
  const before = previous?.spec ?? {};
  const opened = Object.entries(streams).map(([name, at]) => [
    name,
    { globalInstanceId: global.instanceId, connectTime: time(at) },
  ]);
  return {
    kind: "ZoneInsight",
    mesh: "",
    name: zone,
    labels: {},
    spec: {
      ...(subscriptions.length > 0 && { subscriptions }),
      ...(pingedAt === undefined ? pick(before, "healthCheck") : { healthCheck: { time: time(pingedAt) } }),
      ...(opened.length === 0 ? pick(before, "kdsStreams") : { kdsStreams: Object.fromEntries(opened) }),
    },
    creationTime: zeroTime,
    modificationTime: zeroTime,
  };
}

const pick = (from: JsonObject, member: string): JsonObject =>
  from[member] === undefined ? {} : { [member]: from[member] };

const subscriptionsIn = (spec: JsonObject | undefined): readonly JsonObject[] =>
  Array.isArray(spec?.subscriptions) ? spec.subscriptions.filter((one: JsonValue) => isObject(one)) : [];

const closed = (subscription: JsonObject, at: number): JsonObject =>
  subscription.disconnectTime === undefined ? { ...subscription, disconnectTime: time(at) } : subscription;

function subscriptionSpec(subscription: ZoneSubscription, global: ZoneStatus["global"]): JsonObject {
  const { id, zoneInstanceId, connectedAt, disconnectedAt, config, sentToken, updatedAt, counters } = subscription;
  const stat = Object.entries(counters).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    id,
    globalInstanceId: global.instanceId,
    connectTime: time(connectedAt),
    ...(disconnectedAt !== undefined && { disconnectTime: time(disconnectedAt) }),
    status: {
      lastUpdateTime: time(updatedAt),
      total: statistics(total(Object.values(counters))),
      ...(stat.length > 0 && { stat: Object.fromEntries(stat.map(([kind, count]) => [kind, statistics(count)])) }),
    },
    version: { kumaCp: versionSpec(subscription.version, global.version) },
    ...(config !== "" && { config }),
    ...(sentToken && { authTokenProvided: true }),
    ...(zoneInstanceId !== "" && { zoneInstanceId }),
  };
}

function total(counters: readonly Counters[]): Counters {
  const sum = (of: (count: Counters) => number): number => counters.reduce((so, count) => so + of(count), 0);
  return {
    sent: sum(({ sent }) => sent),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    rejected: sum(({ rejected }) => rejected),
  };
}

const statistics = ({ sent, acknowledged, rejected }: Counters): JsonObject => ({
  ...(sent > 0 && { responsesSent: String(sent) }),
  ...(acknowledged > 0 && { responsesAcknowledged: String(acknowledged) }),
  ...(rejected > 0 && { responsesRejected: String(rejected) }),
});

const versionMembers = ["version", "gitTag", "gitCommit", "buildDate"];

function versionSpec(said: JsonObject, globalVersion: string): JsonObject {
  const cp = isObject(said.kumaCp) ? said.kumaCp : {};
  const members = versionMembers.flatMap((member) => (typeof cp[member] === "string" ? [[member, cp[member]]] : []));
  const isCompatible = isCompatibleVersion(globalVersion, typeof cp.version === "string" ? cp.version : "");
  return { ...Object.fromEntries(members), ...(isCompatible && { kumaCpGlobalCompatible: true }) };
}

/** Two minor versions either way; what is no release counts as compatible. Nothing is refused for it. */
export function isCompatibleVersion(global: string, zone: string): boolean {
  const [a, b] = [release(global), release(zone)];
  return !a || !b || (a.major === b.major && Math.abs(a.minor - b.minor) <= 2);
}

function release(version: string): { readonly major: number; readonly minor: number } | undefined {
  const match = /^v?(\d+)\.(\d+)\.\d+(?!.*preview)/.exec(version);
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined;
}

const time = (ms: number): string => new Date(ms).toISOString();

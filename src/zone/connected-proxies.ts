// A proxy that was let in, for as long as its stream lasts: what its Envoy holds, refuses and owes, as it is shown and as others go by it.
// A newer stream of the same proxy takes over.

import type { TypedRefusal } from "#discovery/order.ts";
import type { Log } from "#host/log.ts";
import { type Clock, grpcCode, type Random, type ServerStream } from "#host/world.ts";
import type { Collection, Source } from "#incremental/collection.ts";
import { isEqual, type JsonObject } from "#lib/json.ts";
import type { Holds, ProxyStatus, RefusalStatus } from "#owned/proxy-insight.ts";
import { statusKey } from "#owned/proxy-insight.ts";
import type { ProxyConfig } from "#proxy/bundle.ts";
import { describeId, keyOf, type ResourceId } from "#resources/resource.ts";
import type { Admitted } from "#xds/server.ts";
import type { Session } from "#xds/session.ts";
import { gathered } from "#zone/gathered.ts";
import type { Leads } from "#zone/leads.ts";
import type { Presence } from "#zone/presence.ts";
import type { RefusedProxies } from "#zone/refused-proxies.ts";
import type { ShownToken, TokenWatch } from "#zone/token-watch.ts";

export interface ConnectedProxiesOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly instanceId: string;
  readonly configs: Readonly<Record<"dataplanes" | "ingresses" | "egresses", Collection<ProxyConfig>>>;
  /** What is known of each proxy, by `statusKey`. */
  readonly statuses: Source<ProxyStatus>;
  readonly leads: Leads;
  /** What an Envoy holds of its mesh's mTLS, of which this is known: `before`, but for what its session says of it now. */
  readonly heldBy: (session: Session, id: ResourceId, before: Holds) => Holds;
  /** Tells the graph that `statuses` or what `leads` knows has changed. */
  readonly touch: () => void;
  /** The stream of an instance has ended, by the key of its Dataplane. */
  readonly onGone: (key: string) => void;
  readonly presences: Presence;
  readonly shownTokens: TokenWatch;
  readonly refusedProxies: RefusedProxies;
}

/** Counters are records, not facts: written at most this often, and only when they changed. As often as Kuma (interop 6.4). */
const countersEveryMs = 10_000;
/** Who owes an answer for so long is behind. */
const silentAfterMs = 1_000;

/** What was known of a proxy before its stream. */
export interface Before {
  readonly refusals: readonly RefusalStatus[];
  readonly holds: Holds;
}

export function connectedProxies(options: ConnectedProxiesOptions) {
  const { clock, random, log, instanceId, configs, statuses, leads, touch } = options;
  const { presences, shownTokens, refusedProxies } = options;
  const connected = new Map<string, symbol>();
  const counts = gathered(clock, countersEveryMs);
  const silences = gathered(clock, silentAfterMs);

  function admitted(
    id: ResourceId,
    metadata: JsonObject,
    { refusals: before, holds }: Before,
    stream: ServerStream,
    shown: Omit<ShownToken, "onRefused">,
  ): Admitted {
    const key = keyOf(id);
    const mark = statusKey(id);
    const self = Symbol(mark);
    connected.set(mark, self);
    let status: ProxyStatus = {
      id,
      subscription: {
        id: random.uuid(),
        controlPlane: instanceId,
        connectedAt: clock.now(),
        disconnectedAt: undefined,
      },
      metadata,
      counters: {},
      updatedAt: clock.now(),
      refusals: before,
      behind: undefined,
      holds,
    };
    let answers = 0;
    /** Since when it owes an answer, and gives none. */
    let silentSince: number | undefined;
    const publish = (change: Partial<ProxyStatus>): void => {
      // A newer stream of the same proxy has taken over.
      if (connected.get(mark) !== self) return;
      status = { ...status, ...change, updatedAt: clock.now() };
      statuses.set(mark, status);
      touch();
    };
    publish({});
    const letGo = shownTokens.hold({
      ...shown,
      onRefused(error) {
        const message = refusedProxies.record({ at: "connected", proxy: keyOf(id), peer: stream.peer }, error);
        if (connected.get(mark) === self) {
          presences.refused(mark);
          leads.refused(id);
          touch();
        }
        // The code that stock proxies know (interop 5.5).
        stream.end({ code: grpcCode.unknown, message });
      },
    });
    const record = (session: Session): void => publish({ counters: { ...session.counters } });
    const watchSilence = (session: Session): void => {
      const { waiting: objects, isFull } = session;
      const since = silentSince ?? clock.now();
      const isSilent = objects > 0 && clock.now() - since >= silentAfterMs;
      const behind = isSilent ? { objects, since, why: isFull ? "not reading" : "not answering" } : undefined;
      if (!isEqual(behind, status.behind)) publish({ counters: { ...session.counters }, behind });
      // Who is silent gives no other occasion to look again.
      if (objects > 0 && !isSilent) silences.add(mark, () => watchSilence(session));
    };
    return {
      configs: configs[configsOf[id.kind] ?? "dataplanes"],
      key,
      refused: before,
      onProgress(session: Session) {
        const known = [...status.refusals, ...before];
        const refusals = session.refusals.map(
          (one) => known.find((old) => isSame(old, one)) ?? { ...one, since: clock.now() },
        );
        const isResuming = Object.keys(session.counters).length === 0;
        if (
          !isResuming &&
          (refusals.length !== status.refusals.length || refusals.some((one, i) => one !== status.refusals[i]))
        ) {
          for (const { type, name, reason } of refusals.filter((one) => !known.includes(one)))
            log.warn(
              { proxy: describeId(id), type, name, reason },
              "Envoy refuses an object; all else goes on without it",
            );
          publish({ refusals });
        }
        const held = options.heldBy(session, id, status.holds ?? holdsNothing);
        if (!isEqual(held, status.holds)) publish({ holds: held });
        const count = answersIn(session);
        if (session.waiting === 0) silentSince = undefined;
        else if (silentSince === undefined || count !== answers) silentSince = clock.now();
        answers = count;
        if (session.isServing) presences.serves(mark);
        // What an earlier Envoy of that name has acknowledged says nothing of this one.
        if (connected.get(mark) === self && leads.progress(id, session)) touch();
        counts.add(mark, () => record(session));
        if (session.waiting > 0 || status.behind) silences.add(mark, () => watchSilence(session));
      },
      onGone({ isSilent }) {
        letGo();
        if (connected.get(mark) !== self) return;
        counts.doNow(mark);
        silences.remove(mark);
        publish({ subscription: { ...status.subscription, disconnectedAt: clock.now() } });
        connected.delete(mark);
        presences.ends(mark, isSilent ? "silent" : "closed");
        if (id.kind === "Dataplane") options.onGone(key);
      },
    };
  }

  return {
    admitted,
    /** By `statusKey`. */
    has: (proxy: string): boolean => connected.has(proxy),
    stop(): void {
      counts.stop();
      silences.stop();
    },
  };
}

const configsOf: Readonly<Record<string, "ingresses" | "egresses">> = {
  ZoneIngress: "ingresses",
  ZoneEgress: "egresses",
};

export const holdsNothing: Holds = { trusts: [] };

const isSame = (one: RefusalStatus, other: TypedRefusal): boolean =>
  one.type === other.type && one.name === other.name && one.version === other.version;

const answersIn = ({ counters }: Session): number =>
  Object.values(counters).reduce((sum, { acknowledged, rejected }) => sum + acknowledged + rejected, 0);

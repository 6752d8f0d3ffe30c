// The discovery server for this zone's Envoys: who is connected, what each refers to, and who hears of a change. The cost
// of a change is one difference of a bundle and a small write for each Envoy that uses it.

import type { EnvoyType, TypedRefusal } from "#discovery/order.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Log } from "#host/log.ts";
import { type Clock, grpcCode, type ServerStream, type Status } from "#host/world.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import type { Bundle, BundleRef, ProxyConfig } from "#proxy/bundle.ts";
import { openStream } from "#xds/open-stream.ts";
import { type Counters, openSession, type Session } from "#xds/session.ts";
import { type BundleChange, bundleChanges, changed, type Snapshots, snapshotsOf } from "#xds/wanted.ts";

export const adsPath = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/** A proxy that was let in. */
export interface Admitted {
  /** Where its configuration is. */
  readonly configs: Collection<ProxyConfig>;
  readonly key: string;
  /** What its Envoy refused before. */
  readonly refused: readonly TypedRefusal[];
  /** Called once, when its stream has ended. */
  onGone(status: Status): void;
  /** Called after each message either way; what `session` says then is current. */
  onProgress(session: Session): void;
}

export interface XdsOptions {
  /** As `control_plane.identifier`. */
  readonly instanceId: string;
  readonly log: Log;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly bundles: readonly Collection<Bundle>[];
  /** Checks a stream's first request; rejects with a failure that is told to the proxy. */
  admit(first: DeltaDiscoveryRequest, stream: ServerStream): Promise<Admitted>;
}

export interface XdsServer {
  serve(stream: ServerStream): void;
  publish(changes: Changes): void;
  /**
   * Resolves when every Envoy that was told of something since then (milliseconds since the epoch) has acknowledged all that it
   * should have, or is gone. One that owes an answer to what was earlier is not waited for.
   */
  acknowledged(sinceMs: number): Promise<void>;
  readonly connected: number;
  /** Of all proxies since the start. */
  readonly counts: XdsCounts;
}
export interface XdsCounts extends Readonly<Record<EnvoyType, Counters>> {
  /** Of what changed and is used: once, however many proxies it was sent to. */
  readonly encodedBytes: number;
}

/**
 * A push costs its time again in answers, and proxies that come meanwhile have to be served, too. So it is paid for before the
 * next one: what changes until then joins that. A push to a hundred proxies takes some milliseconds, and a change after rest
 * waits for nothing.
 */
const restForPush = 3;
/** A clock that was set says nothing of how long a push took. */
const longestRestMs = 1_000;

interface Attached {
  readonly stream: ServerStream;
  readonly session: Session;
  readonly admitted: Admitted;
  config: ProxyConfig | undefined;
  toldAt: number;
  /** Of its configuration. */
  audiences: readonly Audience[];
}

/** Proxies that refer to one list of bundles. A thousand proxies with a thousand bundles each may have one list. */
interface Audience {
  readonly list: readonly BundleRef[];
  readonly members: Set<Attached>;
  /** What the list comes to, as it was last published. */
  snapshots: Snapshots;
}

export function xdsServer({ instanceId, log, clock, bundles, admit }: XdsOptions): XdsServer {
  const attached = new Set<Attached>();
  const byProxy = new Map<Collection<ProxyConfig>, Map<string, Attached>>();
  /** By the list of bundles that they have in common. */
  const audiences = new Map<readonly BundleRef[], Audience>();
  const users = new Map<Collection<Bundle>, Map<string, Set<Audience>>>(bundles.map((from) => [from, new Map()]));
  /** What was last published of each bundle that is in use. */
  const published = new Map<Collection<Bundle>, Map<string, Bundle>>(bundles.map((from) => [from, new Map()]));
  const none = () => ({ sent: 0, acknowledged: 0, rejected: 0 });
  const counts = {
    ...{ cluster: none(), secret: none(), endpoint: none(), listener: none(), route: none() },
    encodedBytes: 0,
  };
  /** Who is waited for, by what is done then. */
  const waiting = new Map<() => void, Set<Attached>>();
  let waitingForPush: (() => void)[] = [];
  /** What has changed since the last push, by key. */
  let unpushed = new Map<Collection<unknown>, Set<string>>();
  let restUntil = 0;
  let isPushDue = false;

  const serve = (stream: ServerStream): void =>
    openStream(stream, {
      ...{ path: adsPath, schema: DeltaDiscoveryRequestSchema, clock, log },
      admit: (first) => admit(first, stream),
      attach(admitted) {
        const own = attach(stream, admitted);
        const { request, drained } = own.session;
        return { request, drained, ended: (status) => release(own, status) };
      },
      abandon: (admitted, status) => admitted.onGone(status),
    });

  function attach(stream: ServerStream, admitted: Admitted): Attached {
    const { configs, key } = admitted;
    const proxies = byProxy.get(configs) ?? new Map<string, Attached>();
    byProxy.set(configs, proxies);
    // A proxy that comes again before its old connection was noticed to be dead is not kept waiting.
    proxies.get(key)?.stream.end({ code: grpcCode.unavailable, message: "the same proxy has opened a newer stream" });
    const session = openSession(stream, instanceId, admitted.refused, {
      onProgress() {
        admitted.onProgress(session);
        if (session.isSettled) noLongerWaitFor(own);
      },
      onCount: (type, what) => void counts[type][what]++,
    });
    const own: Attached = {
      ...{ stream, session, admitted },
      ...{ config: undefined, audiences: [], toldAt: clock.now() },
    };
    attached.add(own);
    proxies.set(key, own);
    configure(own);
    return own;
  }

  function release(own: Attached, status: Status): void {
    const { configs, key } = own.admitted;
    attached.delete(own);
    refer(own, undefined);
    if (byProxy.get(configs)?.get(key) === own) byProxy.get(configs)?.delete(key);
    own.admitted.onGone(status);
    noLongerWaitFor(own);
  }

  /** A proxy without a configuration keeps what it has: that something is not there yet deletes nothing. */
  function configure(own: Attached): boolean {
    const config = own.admitted.configs.get(own.admitted.key);
    if (!config || config === own.config) return false;
    refer(own, config);
    own.toldAt = clock.now();
    own.session.replace(wantedBy(own));
    return true;
  }

  function refer(own: Attached, config: ProxyConfig | undefined): void {
    const before = own.audiences;
    own.config = config;
    // Joined first: a list that it keeps is not given up.
    own.audiences = config ? [joined(own, config.own), joined(own, config.shared)] : [];
    for (const audience of before) if (!own.audiences.includes(audience)) leave(own, audience);
  }

  function joined(own: Attached, list: readonly BundleRef[]): Audience {
    const audience = audiences.get(list) ?? newAudience(list);
    audience.members.add(own);
    return audience;
  }

  function newAudience(list: readonly BundleRef[]): Audience {
    const audience: Audience = { list, members: new Set(), snapshots: snapshotsOf(list) };
    audiences.set(list, audience);
    for (const { from, key } of list) {
      const using = users.get(from)?.get(key) ?? new Set();
      users.get(from)?.set(key, using.add(audience));
      const bundle = from.get(key);
      // Others may still have to hear of what it has become.
      if (bundle && using.size === 1) published.get(from)?.set(key, bundle);
    }
    return audience;
  }

  function leave(own: Attached, audience: Audience): void {
    const { list, members } = audience;
    members.delete(own);
    if (members.size > 0) return;
    audiences.delete(list);
    for (const { from, key } of list) {
      const using = users.get(from)?.get(key);
      using?.delete(audience);
      if (using?.size !== 0) continue;
      users.get(from)?.delete(key);
      published.get(from)?.delete(key);
    }
  }

  function publish(changes: Changes): void {
    for (const from of [...bundles, ...byProxy.keys()]) {
      const keys = changes.get(from);
      if (keys) unpushed.set(from, new Set([...(unpushed.get(from) ?? []), ...keys]));
    }
    if (unpushed.size === 0) return;
    const restMs = restUntil - clock.now();
    if (restMs <= 0 || restMs > longestRestMs) push();
    else if (!isPushDue) {
      isPushDue = true;
      clock.alarm(restUntil, push);
    }
  }

  function push(): void {
    const begun = clock.now();
    isPushDue = false;
    if (unpushed.size === 0) return;
    const changes = unpushed;
    unpushed = new Map();
    // First who has no configuration any more, as with it go bundles that it keeps.
    for (const [configs, proxies] of byProxy) {
      for (const key of changes.get(configs) ?? []) {
        const own = proxies.get(key);
        if (own && !configs.get(key)) refer(own, undefined);
      }
    }
    const told = new Map<Audience, BundleChange[]>();
    for (const from of bundles) {
      for (const key of changes.get(from) ?? []) {
        const using = users.get(from)?.get(key);
        if (!using) continue;
        const bundle = from.get(key) ?? [];
        const difference = bundleChanges(published.get(from)?.get(key) ?? [], bundle);
        published.get(from)?.set(key, bundle);
        for (const { item } of difference) counts.encodedBytes += item?.bytes.length ?? 0;
        for (const audience of using) {
          const known = told.get(audience);
          if (known) known.push(...difference);
          else told.set(audience, [...difference]);
        }
      }
    }
    const news = new Map<Attached, Names>();
    for (const [audience, difference] of told) {
      const { next, names } = changed(audience.snapshots, difference);
      audience.snapshots = next;
      for (const own of audience.members) news.set(own, together(news.get(own), names));
    }
    const replaced = new Set<Attached>();
    for (const [configs, proxies] of byProxy) {
      for (const key of changes.get(configs) ?? []) {
        const own = proxies.get(key);
        if (own && configure(own)) replaced.add(own);
      }
    }
    for (const [own, names] of news) {
      if (replaced.has(own)) continue;
      own.toldAt = begun;
      own.session.change(wantedBy(own), names);
    }
    const now = clock.now();
    restUntil = now + Math.min(restForPush * (now - begun), longestRestMs);
    const pushed = waitingForPush;
    waitingForPush = [];
    for (const wait of pushed) wait();
  }

  function noLongerWaitFor(own: Attached): void {
    for (const [done, owing] of waiting) {
      owing.delete(own);
      if (owing.size > 0) continue;
      waiting.delete(done);
      done();
    }
  }

  return {
    serve,
    publish,
    async acknowledged(sinceMs) {
      if (unpushed.size > 0) await new Promise<void>((resolve) => waitingForPush.push(resolve));
      const owing = [...attached].filter(({ toldAt, session }) => toldAt >= sinceMs && !session.isSettled);
      if (owing.length > 0) await new Promise<void>((resolve) => waiting.set(resolve, new Set(owing)));
    },
    get connected() {
      return attached.size;
    },
    counts: counts satisfies XdsCounts,
  };
}

const wantedBy = ({ audiences }: Attached): readonly Snapshots[] => audiences.map(({ snapshots }) => snapshots);

/** Of what has changed. */
type Names = ReadonlyMap<EnvoyType, readonly string[]>;

/** Most proxies hear of one list only. */
function together(a: Names | undefined, b: Names): Names {
  if (!a) return b;
  const all = new Map(a);
  for (const [type, names] of b) all.set(type, [...(a.get(type) ?? []), ...names]);
  return all;
}

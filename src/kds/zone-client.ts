// A zone's end of KDS: one connection to global with six calls (interop 4.1.1), made again when it is lost. Meanwhile the zone
// works with what is in its store.
//
//   GlobalToZoneSync   receiving ◄─ policies, secrets, the other zones' ingresses
//   ZoneToGlobalSync   sending   ─► proxies, insights, ingresses, the zone's own policies

import { fromBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ZoneHealthCheckResponseSchema } from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import type { Log } from "#host/log.ts";
import {
  type ClientStream,
  type Clock,
  type Connection,
  GrpcError,
  grpcCode,
  type Network,
  type Random,
  type Target,
} from "#host/world.ts";
import type { Changes } from "#incremental/collection.ts";
import { fromGlobal } from "#kds/accept.ts";
import { adminAnswers } from "#kds/admin.ts";
import { backOff } from "#kds/back-off.ts";
import { type KdsCounts, kdsCounts } from "#kds/counts.ts";
import { awaited, type HeardEnd, heardEnd } from "#kds/heard.ts";
import { type LinkEnd, links, newLinkEnd } from "#kds/links.ts";
import type { Membership } from "#kds/members.ts";
import { type OutgoingByKind, type SharedSets, sharedSets } from "#kds/outgoing.ts";
import { type Receiving, receiving } from "#kds/receiving.ts";
import { type Sending, sending } from "#kds/sending.ts";
import { nameUp } from "#kds/up.ts";
import { frozenHeader, headersOf, path, type Self, silentHeader, silentText } from "#kds/wire.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Validate } from "#resources/kind.ts";
import { globalToZoneKinds } from "#resources/kinds.ts";
import type { Links } from "#resources/links.ts";
import type { Store } from "#resources/store.ts";

export interface KdsClientOptions {
  readonly zone: string;
  readonly target: Target;
  /** How this zone shows who it is; absent: it does not. */
  readonly membership?: Membership;
  readonly network: Pick<Network, "dial">;
  /** `upwardResources` of the graph whose changes `publish` is told. */
  readonly outgoing: OutgoingByKind;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Log;
  readonly self: Self;
  readonly validate: Validate;
  /** This zone concludes nothing of its proxies since then. */
  readonly frozenSince?: () => number | undefined;
  /** Other zones that do not answer the ingresses of this one, and since when. */
  readonly silentZones?: () => ReadonlyMap<string, number>;
  /** Resolves when this zone's proxies have acknowledged what has just changed for them. */
  readonly acknowledged: () => Promise<void>;
  readonly onLink: (link: Link) => void;
  /** All that global has is here; once for each connection. */
  readonly onComplete?: () => void;
}

/** The connection to global, as it stands. Times are milliseconds since the epoch. */
export type Link =
  | {
      readonly kind: "connected";
      readonly since: number;
      /** Of global's store, `<store>/<number>`: applied here. Only a Kodiak tells. */
      readonly applied: string | undefined;
    }
  | { readonly kind: "away"; readonly since: number; readonly why: string };

export interface KdsClient {
  /** Throws `invalid` when the target can't be trusted in the way that is asked. */
  start(): void;
  /** To be told of each settle. Nothing is sent before the first one. */
  publish(changes: Changes): void;
  /** `frozenSince` or `silentZones` says something else than before. */
  ping(): void;
  link(): Link;
  /** Resolves when the proxies of other zones know what has changed here until now; at once where nobody can tell: no link, or to no Kodiak. */
  heard(): Promise<void>;
  /** The one link, to global. */
  readonly links: Links;
  readonly counts: KdsCounts;
  /** Connects anew, if it is connected. */
  renew(): void;
  /** A call to global. Rejects with what it says, or `unavailable` while there is no connection. */
  ask(path: string, request: Uint8Array): Promise<Uint8Array>;
  stop(): void;
}

export function kdsClient(options: KdsClientOptions): KdsClient {
  const { clock, log, network, target, membership, onLink } = options;
  const sets = sharedSets(options.outgoing);
  const counts = kdsCounts();
  const end = newLinkEnd(clock);
  const wait = backOff(options.random);
  const where = `${target.host}:${target.port}`;
  let link: Link = { kind: "away", since: clock.now(), why: "not connected yet" };
  let attempt: Attempt | undefined;
  let cancelNext: (() => void) | undefined;
  let isStopped = false;

  return {
    start: connect,
    publish(changes) {
      const names = sets.settled(changes);
      attempt?.sender.settled(names);
    },
    ping: () => attempt?.ping(),
    link: () => link,
    heard: () => attempt?.heard() ?? Promise.resolve(),
    links: links({
      store: options.store,
      peers: () => ["global"],
      sideOf: () => fromGlobal,
      end: () => end,
      clock,
      connection: () => ({
        isConnected: link.kind === "connected",
        since: link.since,
        ...(link.kind === "away" && { why: link.why }),
      }),
      renew,
    }),
    renew,
    async ask(path, request) {
      if (attempt && link.kind === "connected") return attempt.ask(path, request);
      throw new KodiakError({ kind: "unavailable", what: "global is away" });
    },
    counts,
    stop() {
      isStopped = true;
      cancelNext?.();
      attempt?.end();
    },
  };

  function renew(): void {
    if (!attempt) return;
    attempt.end();
    connect();
  }

  function setLink(next: Link): void {
    link = next;
    onLink(next);
  }

  function connect(): void {
    cancelNext = undefined;
    if (membership?.mustJoin()) {
      membership.join().then(dialNow, (error: unknown) => {
        if (!isStopped) lost(textOf(error));
      });
    } else dialNow();
  }

  function dialNow(): void {
    if (isStopped) return;
    const identity = membership?.identity();
    attempt = attemptOf(options, sets, counts, end, network.dial({ ...target, ...(identity && { identity }) }), {
      onGreeted: () => {
        setLink({ kind: "connected", since: clock.now(), applied: undefined });
        log.info({ global: where }, "connected to global");
      },
      onApplied: (applied) => {
        if (link.kind === "connected") setLink({ ...link, applied });
      },
      onLost: lost,
    });
  }

  function lost(why: string): void {
    attempt = undefined;
    const now = clock.now();
    const waitMs = wait.nextMs(link.kind === "connected" ? now - link.since : 0);
    // Said once: that the next attempts fail in the same way is no news.
    const isKnown = link.kind === "away" && link.why === why;
    log[isKnown ? "debug" : "warn"](
      { global: where, why, waitMs: Math.round(waitMs) },
      "no connection to global: it is tried again, and this zone goes on with what is stored",
    );
    // Away since it was lost, however often it is tried.
    setLink({ kind: "away", since: link.kind === "away" ? link.since : now, why });
    if (!isStopped) cancelNext = clock.alarm(now + waitMs, connect);
  }
}

interface Attempt {
  readonly sender: Sending;
  heard(): Promise<void>;
  ask(path: string, request: Uint8Array): Promise<Uint8Array>;
  ping(): void;
  end(): void;
}

interface AttemptEvents {
  /** Global has spoken. */
  readonly onGreeted: () => void;
  readonly onApplied: (revision: string) => void;
  /** Once, unless ended from here. */
  readonly onLost: (why: string) => void;
}

const healthCheckEveryMs = 300_000;
const answerAgainEveryMs = 30_000;

/** One connection, from dialling to its loss. If one stream ends, all do, as with Kuma. */
function attemptOf(
  options: KdsClientOptions,
  sets: SharedSets,
  counts: KdsCounts,
  own: LinkEnd,
  connection: Connection,
  events: AttemptEvents,
): Attempt {
  const { zone, clock, store, self } = options;
  const call = { headers: headersOf(zone, self.version), gzip: true };
  let isOver = false;
  let hasBegun = false;
  let hasGreeted = false;
  let cancelHealthCheck: (() => void) | undefined;
  let cancelAnswers: (() => void) | undefined;
  let heardThere: HeardEnd | undefined;
  const upload = awaited();

  const down = connection.stream(path.globalToZone, call);
  const up = connection.stream(path.zoneToGlobal, call);
  const receiver: Receiving = receiving({
    stream: down,
    kinds: globalToZoneKinds,
    zone,
    peer: "global",
    clock,
    self,
    side: fromGlobal,
    store,
    validate: options.validate,
    refused: own.refusedHere,
    log: options.log,
    onTaken: counts.received,
    ...(options.onComplete && { onComplete: options.onComplete }),
    onApplied: events.onApplied,
    onFailure: (error) => lose(`cannot take what global sends: ${textOf(error)}`),
  });
  const sender = sending({
    stream: up,
    sets,
    zone,
    identifier: zone,
    store,
    nameSent: (_, resource) => nameUp(resource, zone),
    clock,
    log: options.log,
    refused: own.refusedThere,
    onPeer: ({ resumes }) => {
      own.sender = sender;
      if (resumes) heardThere = serveHeard();
      else answerAgainLater();
    },
    onSent: counts.sent,
    onReached: upload.look,
    onAnswer: (kind, refusal) => {
      counts.answered(kind, refusal);
      if (refusal !== undefined) options.log.warn({ kind, refusal }, "global refused a part of what it was sent");
    },
  });

  serve(down, "GlobalToZoneSync", receiver.received);
  serve(up, "ZoneToGlobalSync", sender.received);
  up.onDrained(() => sender.drained());
  down.onDrained(() => {});
  for (const [adminPath, answer] of Object.entries(adminAnswers)) serveAdmin(adminPath, answer);
  connection.onClose((reason) => lose(reason));
  // What is said first names all that is here: not worth the work for a global that is not there.
  connection.ready.then(begin, (error: unknown) => lose(textOf(error)));
  const ping = (): void => {
    if (hasBegun && !isOver) void checkHealth();
  };
  return { sender, heard, ask: (to, request) => connection.unary(to, request, call), ping, end };

  function begin(): void {
    if (isOver) return;
    hasBegun = true;
    receiver.subscribe();
    void checkHealth();
  }

  function end(): void {
    if (isOver) return;
    isOver = true;
    cancelHealthCheck?.();
    cancelAnswers?.();
    receiver.ended();
    sender.ended();
    heardThere?.ended();
    upload.look();
    connection.close();
  }

  function lose(why: string): void {
    if (isOver) return;
    end();
    events.onLost(why);
  }

  /** `unknown`: what is done where global does not know this stream; absent: it is lost. */
  function serve(
    stream: ClientStream,
    name: string,
    received: (message: Uint8Array) => void,
    unknown?: () => void,
  ): void {
    stream.onMessage((message) => {
      if (isOver) return;
      if (!hasGreeted) {
        hasGreeted = true;
        events.onGreeted();
      }
      try {
        received(message);
      } catch (error) {
        lose(`cannot read what global sends on ${name}: ${textOf(error)}`);
      }
    });
    stream.onEnd(({ code, message }) => {
      if (code === grpcCode.unauthenticated && !isOver) options.membership?.refused();
      if (unknown && code === grpcCode.unimplemented) unknown();
      else lose(message || `global ended ${name} with code ${code}`);
    });
  }

  function serveAdmin(adminPath: string, answer: (request: Uint8Array) => Uint8Array): void {
    const stream = connection.stream(adminPath, call);
    stream.onMessage((message) => {
      try {
        stream.send([answer(message)]);
      } catch (error) {
        lose(`cannot read what global asks on ${adminPath}: ${textOf(error)}`);
      }
    });
    stream.onDrained(() => {});
    stream.onEnd(({ code, message }) => {
      if (code !== grpcCode.unimplemented) lose(message || `global ended ${adminPath} with code ${code}`);
    });
  }

  function serveHeard(): HeardEnd {
    const stream = connection.stream(path.heard, call);
    const end = heardEnd(stream, options.acknowledged);
    serve(stream, "Heard", end.received, end.ended);
    stream.onDrained(() => {});
    return end;
  }

  async function heard(): Promise<void> {
    await upload.until(() => isOver || sender.behind() === undefined);
    await heardThere?.ask();
  }

  async function checkHealth(everyMs = healthCheckEveryMs): Promise<void> {
    cancelHealthCheck?.();
    try {
      const since = options.frozenSince?.();
      const silent = silentText(options.silentZones?.() ?? new Map());
      const headers = {
        ...call.headers,
        ...(since !== undefined && { [frozenHeader]: String(since) }),
        ...(silent.length > 0 && { [silentHeader]: silent.join(",") }),
      };
      const response = await connection.unary(path.healthCheck, new Uint8Array(), { ...call, headers });
      const { interval } = fromBinary(ZoneHealthCheckResponseSchema, response);
      const wantedMs = interval ? durationMs(interval) : 0;
      const nextMs = wantedMs > 0 ? wantedMs : everyMs;
      cancelHealthCheck?.();
      if (!isOver) cancelHealthCheck = clock.alarm(clock.now() + nextMs, () => void checkHealth(nextMs));
    } catch (error) {
      if (error instanceof GrpcError && error.status.code === grpcCode.unimplemented) return;
      lose(textOf(error));
    }
  }

  /**
   * A Kuma global that ends an older connection of this zone goes deaf on the newer one, until it hears an answer again
   * (interop 4.3.3). One that it knows costs it nothing.
   */
  function answerAgainLater(): void {
    cancelAnswers = clock.alarm(clock.now() + answerAgainEveryMs, () => {
      receiver.answerAgain();
      answerAgainLater();
    });
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// Global's end of KDS: the streams and calls that zones open, as handlers for a port (interop 4.1.1). State is kept by stream:
// a zone that comes back before its old connection is found dead has two for a while, and both are served.
//
//   GlobalToZoneSync   sending   ─► policies, secrets, the other zones' ingresses
//   ZoneToGlobalSync   receiving ◄─ proxies, insights, ingresses, the zone's own policies

import { create, toBinary } from "@bufbuild/protobuf";
import { ZoneHealthCheckResponseSchema } from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import type { Log } from "#host/log.ts";
import type { RefusalRecord } from "#host/refusal-record.ts";
import {
  type CallInfo,
  type Clock,
  GrpcError,
  grpcCode,
  type ListenOptions,
  type Random,
  type ServerStream,
} from "#host/world.ts";
import type { Changes } from "#incremental/collection.ts";
import { fromZone } from "#kds/accept.ts";
import { statusOf, zoneOf } from "#kds/calling.ts";
import { type KdsCounts, kdsCounts } from "#kds/counts.ts";
import { nameDown } from "#kds/down.ts";
import { hearing } from "#kds/hearing.ts";
import { type LinkEnd, links, newLinkEnd } from "#kds/links.ts";
import { certificateAnswer, certificateAskIn, intermediateAskIn, type Members } from "#kds/members.ts";
import { type OutgoingByKind, sharedSets } from "#kds/outgoing.ts";
import { type Receiving, receiving } from "#kds/receiving.ts";
import { type Sending, sending } from "#kds/sending.ts";
import { frozenHeader, headerValues, type Peer, path, type Self, silentIn } from "#kds/wire.ts";
import { type SubscriptionRecord, zoneStatuses } from "#kds/zone-statuses.ts";
import { isConflict } from "#lib/failure.ts";
import { isZoneOnline, type ZoneStatus, type ZoneStream } from "#owned/zone-insight.ts";
import type { Validate } from "#resources/kind.ts";
import { zoneToGlobalKinds } from "#resources/kinds.ts";
import type { Links } from "#resources/links.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Store } from "#resources/store.ts";

export interface KdsServerOptions {
  /** `downwardResources` of the graph whose changes `publish` is told. */
  readonly outgoing: OutgoingByKind;
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly self: Self;
  readonly members: Members;
  readonly refusals: RefusalRecord;
  /** Zones that are given private keys of authorities and tokens, as those of a Kuma need them. */
  readonly exportsKeysTo: (zone: string) => boolean;
  readonly validate: Validate;
  /** A zone's connection has changed (a fact), or what is counted of it (a record). */
  readonly onStatus: (status: ZoneStatus, news: "fact" | "record") => void;
}

export interface KdsServer extends Required<Pick<ListenOptions, "streams" | "unary">> {
  /** To be told of each settle. Nothing is answered before the first one. */
  publish(changes: Changes): void;
  /** Of every zone that is connected, was, or is known from before. */
  statuses(): readonly ZoneStatus[];
  isConnected(zone: string): boolean;
  /** Of a zone that is connected: whether it has all Meshes as they are now, and has told all that it has. */
  isAbreast(zone: string): boolean;
  /** Resolves when all Kodiak zones that are connected are, and their proxies have acknowledged what is in the store now. */
  heard(): Promise<void>;
  /** To each zone. */
  readonly links: Links;
  /** Of all zones together. */
  readonly counts: KdsCounts;
  /** Ends all that the zone has open, with what it is told. */
  cut(zone: string, why: string): void;
  stop(): void;
}

export function kdsServer(options: KdsServerOptions): KdsServer {
  const { store, clock, random, log, self } = options;
  const sets = sharedSets(options.outgoing);
  const senders = new Set<Sending>();
  /** ZoneToGlobalSync, with the zone at its other end. */
  const present = new Map<ServerStream, string>();
  const uploads = new Map<ServerStream, { readonly zone: string; readonly receiver: Receiving }>();
  const ends = new Map<string, LinkEnd>();
  const endOf = (zone: string): LinkEnd => {
    const end = ends.get(zone) ?? newLinkEnd(clock);
    ends.set(zone, end);
    return end;
  };
  /** Of these all is here that the zone had. */
  const whole = new Set<ServerStream>();
  const hasTold = (zone: string): boolean =>
    [...uploads].some(([stream, upload]) => upload.zone === zone && whole.has(stream));
  const asked = hearing((zone) => endOf(zone).sender?.behind() !== undefined, hasTold);
  const counts = kdsCounts();
  const statuses = zoneStatuses({
    global: { instanceId: self.instanceId, version: self.version, startedAt: clock.now() },
    known: store.list("ZoneInsight").map(({ name }) => name),
    clock,
    random,
    onStatus: options.onStatus,
  });

  return {
    streams: {
      [path.globalToZone]: admitting("globalToZone", sendTo),
      [path.zoneToGlobal]: admitting("zoneToGlobal", receiveFrom),
      [path.configDump]: admitting("configDump", keepOpen),
      [path.stats]: admitting("stats", keepOpen),
      [path.clusters]: admitting("clusters", keepOpen),
      [path.heard]: serveHeard,
    },
    unary: {
      [path.healthCheck]: (_, call) => {
        const zone = callingZone(call);
        check(zone, call);
        const [frozen] = headerValues(call.headers, frozenHeader);
        statuses.pinged(zone, {
          frozenSince: frozen === undefined ? undefined : Number(frozen),
          silentZones: silentIn(call.headers),
        });
        // No interval of ours: the zone keeps its own.
        return toBinary(ZoneHealthCheckResponseSchema, create(ZoneHealthCheckResponseSchema, { interval: {} }));
      },
      [path.certificate]: issuing("a certificate", certificateAskIn, (zone, ask, call) =>
        options.members.certify(zone, ask, call),
      ),
      [path.intermediate]: issuing("an authority of its own", intermediateAskIn, (zone, ask, call) =>
        options.members.intermediate(zone, ask, call),
      ),
    },
    publish(changes) {
      const names = sets.settled(changes);
      for (const sender of senders) sender.settled(names);
    },
    statuses: statuses.all,
    isConnected,
    isAbreast: (zone) => endOf(zone).sender?.hasAll("Mesh") === true && (hasTold(zone) || !asked.isExpected(zone)),
    heard: asked.everybody,
    links: links({
      store,
      peers: () => store.list("Zone").map(({ name }) => name),
      sideOf: fromZone,
      end: (zone) => ends.get(zone),
      clock,
      frozenSince: (zone) => (isConnected(zone) ? statuses.of(zone)?.frozenSince : undefined),
      silentZones: (zone) => (isConnected(zone) ? statuses.of(zone)?.silentZones : undefined),
      renew(zone) {
        const status = { code: grpcCode.unavailable, message: "what was held is asked for anew" };
        for (const [stream, upload] of uploads) if (upload.zone === zone) stream.end(status);
      },
    }),
    counts,
    cut(zone, message) {
      const status = { code: grpcCode.unauthenticated, message };
      for (const [stream, whose] of present) if (whose === zone) stream.end(status);
    },
    stop: statuses.stop,
  };

  function isConnected(zone: string): boolean {
    const status = statuses.of(zone);
    return status !== undefined && isZoneOnline(status);
  }

  function admitting(name: ZoneStream, serve: (stream: ServerStream, zone: string) => void) {
    return (stream: ServerStream): void => {
      const isSync = name === "globalToZone" || name === "zoneToGlobal";
      try {
        const zone = enter(stream, isSync);
        statuses.opened(zone, name);
        if (isSync) register(zone);
        serve(stream, zone);
      } catch (error) {
        const status = statusOf(error);
        log.warn({ stream: name, peer: stream.peer, reason: status.message }, "refused a zone");
        stream.end(status);
      }
    };
  }

  function issuing<Ask>(
    what: string,
    read: (request: Uint8Array) => Ask,
    issue: (zone: string, ask: Ask, call: CallInfo) => Promise<string>,
  ): (request: Uint8Array, call: CallInfo) => Promise<Uint8Array> {
    return async (request, call) => {
      const zone = callingZone(call);
      try {
        const ask = orRecorded(call, zone, () => read(request));
        const certificate = await issue(zone, ask, call);
        log.info({ zone, peer: call.peer }, `gave a zone ${what}`);
        return certificateAnswer(certificate);
      } catch (error) {
        const status = statusOf(error);
        log.warn({ zone, peer: call.peer, reason: status.message }, `refused a zone ${what}`);
        throw new GrpcError(status);
      }
    };
  }

  function callingZone(call: CallInfo, isSync = false): string {
    return orRecorded(call, call.headers["client-id"]?.[0] ?? "", () => zoneOf(call, isSync));
  }

  function orRecorded<T>(call: CallInfo, zone: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      record(call, zone, error);
      throw error;
    }
  }

  function record({ peer: from, path: service }: CallInfo, zone: string, error: unknown): void {
    void options.refusals.attempt({
      who: { zone },
      from,
      verb: "call",
      what: { service },
      why: statusOf(error).message,
    });
  }

  /** Who may not come is told; the others are known by their streams, as long as these last. */
  function enter(stream: ServerStream, isSync = false): string {
    const zone = callingZone(stream, isSync);
    check(zone, stream);
    present.set(stream, zone);
    stream.onEnd(() => present.delete(stream));
    return zone;
  }

  function check(zone: string, call: CallInfo): void {
    options.members.check(zone, call);
  }

  function sendTo(stream: ServerStream, zone: string): void {
    let connection: SubscriptionRecord | undefined;
    const sender = sending({
      stream,
      sets,
      zone,
      sendsKeys: options.exportsKeysTo(zone),
      identifier: "global",
      store,
      nameSent: nameDown,
      clock,
      log: log.child({ zone }),
      refused: endOf(zone).refusedThere,
      onPeer: (peer) => {
        demandHashes(peer);
        endOf(zone).sender = sender;
        if (peer.resumes) stream.onEnd(asked.expect(zone));
        connection = statuses.connected(zone, peer, headerValues(stream.headers, "authorization").length === 1);
        log.info({ zone, peer: stream.peer }, "zone connected");
      },
      onSent: (kind) => {
        counts.sent(kind);
        connection?.sent(kind);
      },
      onAnswer: (kind, refusal) => {
        counts.answered(kind, refusal);
        connection?.answered(kind, refusal);
        if (refusal !== undefined) log.warn({ zone, kind, refusal }, "a zone refused a part of what it was sent");
      },
      onReached: (revision) => {
        connection?.reached(revision);
        asked.look();
      },
    });
    senders.add(sender);
    stream.onMessage((message) => {
      try {
        sender.received(message);
      } catch (error) {
        fail(stream, zone, error);
      }
    });
    stream.onDrained(() => sender.drained());
    stream.onEnd(({ message }) => {
      senders.delete(sender);
      sender.ended();
      asked.look();
      if (!connection) return;
      connection.ended();
      log.info({ zone, peer: stream.peer, reason: message }, "zone disconnected");
    });
  }

  function serveHeard(stream: ServerStream): void {
    let zone: string;
    try {
      zone = enter(stream);
    } catch (error) {
      stream.end(statusOf(error));
      return;
    }
    asked.serve(stream, zone, (error) => fail(stream, zone, error));
  }

  function receiveFrom(stream: ServerStream, zone: string): void {
    if (!headerValues(stream.headers, "features").includes("hash-suffix")) throw tooOld;
    const receiver = receiving({
      stream,
      kinds: zoneToGlobalKinds,
      zone,
      peer: zone,
      clock,
      self,
      side: fromZone(zone),
      store,
      validate: options.validate,
      refused: endOf(zone).refusedHere,
      log: log.child({ zone }),
      onRefused: (note, write) => void options.refusals[note]({ who: { zone }, from: stream.peer, ...write }),
      onTaken: counts.received,
      onComplete() {
        whole.add(stream);
        asked.look();
      },
      onFailure: (error) => fail(stream, zone, error),
    });
    stream.onMessage(receiver.received);
    stream.onDrained(() => {});
    const older = [...uploads].filter(([, upload]) => upload.zone === zone);
    uploads.set(stream, { zone, receiver });
    stream.onEnd(() => {
      uploads.delete(stream);
      whole.delete(stream);
      receiver.ended();
    });
    // The zone waits for them before it sends anything.
    stream.sendHeaders();
    // What is still on its way over an earlier connection would come into the store unseen by this one, and stay for ever.
    for (const [earlier, upload] of older) {
      upload.receiver.ended();
      earlier.end({ code: grpcCode.unavailable, message: "the zone has connected anew" });
    }
    // What they have begun to write is in the store then.
    store.write([]).then(receiver.subscribe, (error: unknown) => fail(stream, zone, error));
  }

  function fail(stream: ServerStream, zone: string, error: unknown): void {
    const status = statusOf(error);
    const isOurs = status.code === grpcCode.internal;
    log[isOurs ? "error" : "warn"]({ zone, peer: stream.peer, reason: status.message }, "ended a stream of a zone");
    record(stream, zone, error);
    stream.end(status);
  }

  /** A zone that comes for the first time gets its Zone, so that users see it and can disable it. */
  function register(zone: string): void {
    if (store.get({ kind: "Zone", mesh: "", name: zone })) return;
    const resource = {
      kind: "Zone",
      mesh: "",
      name: zone,
      labels: {},
      spec: { enabled: true },
      creationTime: zeroTime,
      modificationTime: zeroTime,
    };
    store.write([{ kind: "put", resource, expected: "absent" }]).catch((error: unknown) => {
      // Its other stream was faster.
      if (isConflict(error)) return;
      log.error({ zone, error: String(error) }, "could not register a zone");
    });
  }
}

const tooOld = new GrpcError({
  code: grpcCode.failedPrecondition,
  message: 'this zone does not know hashed names (feature "hash-suffix"): upgrade it to 2.12 or later',
});

function demandHashes({ features }: Peer): void {
  if (!features.has("hash-suffix")) throw tooOld;
}

/** The zone has nothing to say until it is asked. */
function keepOpen(stream: ServerStream): void {
  stream.onMessage(() => {});
  stream.onDrained(() => {});
  stream.onEnd(() => {});
}

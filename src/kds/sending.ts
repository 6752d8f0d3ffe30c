// The sending end of one stream: GlobalToZoneSync at global, ZoneToGlobalSync in a zone. One subscription a kind, all on
// shared sets; news leave at once, at most one response of a kind unanswered (interop 4.3.3).
//
// To a Kodiak, the responses of one revision go together, in parts of at most 1 MiB, and the next revision waits until they are
// all answered: it applies them in one transaction. The first is the difference from what it says it has (decision 6). Kuma
// gets each kind for itself, and all of it at first.

import { framed } from "#discovery/frame.ts";
import { messageIn } from "#discovery/message.ts";
import { type Part, partsOf } from "#discovery/parts.ts";
import { eventsOf } from "#discovery/request.ts";
import {
  absorb,
  type Event,
  newSubscription,
  offer,
  type Push,
  type Subscription,
  waitingIn,
} from "#discovery/subscription.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Log } from "#host/log.ts";
import type { Clock, Stream } from "#host/world.ts";
import type { Audience } from "#kds/audience.ts";
import { fitted, mostResourceBytes, type Way } from "#kds/fit.ts";
import type { SharedSets } from "#kds/outgoing.ts";
import { type RefusedList, refusedIn } from "#kds/refused.ts";
import { type Resume, resumeIn, saidText } from "#kds/resume.ts";
import { type NameSent, type Past, vouched } from "#kds/vouch.ts";
import { type Peer, peerOf } from "#kds/wire.ts";
import { kindNamed } from "#resources/kinds.ts";

export interface SendingOptions {
  readonly stream: Pick<Stream, "send">;
  readonly sets: SharedSets;
  /** The zone at the other end, or this one. */
  readonly zone: string;
  /** Whether private keys are sent; a zone has none to send. */
  readonly sendsKeys?: boolean;
  /** `control_plane.identifier`. */
  readonly identifier: string;
  readonly store: Past;
  readonly nameSent: NameSent;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Log, "warn">;
  /** What this peer refuses, over all its connections. */
  readonly refused: RefusedList;
  /** Called once, with the first request. Throws to refuse the peer. */
  readonly onPeer: (peer: Peer) => void;
  readonly onSent?: (kind: string) => void;
  /** `refusal` as the peer says it; what it refused is not sent again until it changes. */
  readonly onAnswer: (kind: string, refusal: string | undefined) => void;
  /** The peer has all of this revision, or has said why not. */
  readonly onReached?: (revision: number) => void;
}

export interface Sending {
  /** Throws on what is no request. */
  received(message: Uint8Array): void;
  /** For each kind the names that may differ. */
  settled(names: ReadonlyMap<string, readonly string[]>): void;
  drained(): void;
  ended(): void;
  /** Whether the peer has, or has refused, all of a kind that it should have now. */
  hasAll(kind: string): boolean;
  /** What the peer should have and has not acknowledged, also when it is gone; `undefined`: it has everything. */
  behind(): Behind | undefined;
}

export interface Behind {
  readonly objects: number;
  /** When it last did what it should. */
  readonly sinceMs: number;
  readonly why: "away" | "not reading" | "not answering";
}

/** A tenth of what a receiver takes. */
const partBytes = 1_048_576;

export function sending(options: SendingOptions): Sending {
  const { stream, sets, store } = options;
  const subscriptions = new Map<string, Subscription>();
  /** Kinds that may have something to send. */
  const due = new Set<string>();
  /** Of kinds whose first response is still to come. */
  const resumes = new Map<string, Resume>();
  let cursor: Resume["cursor"];
  let peer: Peer | undefined;
  let audience: Audience | undefined;
  let lastNonce = 0;
  let isFull = false;
  let reaches = -1;
  let turnEnd: NodeJS.Immediate | undefined;
  /** Since when an answer is waited for, and none has come. */
  let silentSince: number | undefined;
  let endedAt: number | undefined;
  /** Of the newest push of a kind, what was not in it. */
  const leftOut = new Map<string, ReadonlyMap<string, string>>();
  /** What the newest answered response of a kind had: more answers of it follow if it went in parts. */
  const answered = new Map<string, { readonly nonce: string; readonly names: ReadonlySet<string> }>();

  const freshNonce = (): string => String(++lastNonce);
  const isWaiting = (): boolean => [...subscriptions.values()].some(({ inFlight }) => inFlight !== undefined);

  function offers(): [string, Push][] {
    const pushes: [string, Push][] = [];
    for (const kind of due) {
      const { next, send } = offer(subscriptions.get(kind)!, freshNonce);
      subscriptions.set(kind, next);
      if (send) pushes.push([kind, send]);
    }
    due.clear();
    return pushes;
  }

  /** After what this turn writes to the store as well. */
  function flushSoon(): void {
    turnEnd ??= setImmediate(flush);
  }

  function flush(): void {
    clearImmediate(turnEnd);
    turnEnd = undefined;
    if (isFull || (peer?.resumes && isWaiting())) return;
    if (peer?.resumes) sendTogether(offers());
    else for (const [kind, push] of offers()) sendAlone(kind, push);
    reaches = store.revision;
    tellReached();
  }

  function send(kind: string, nonce: string, part: Part, revision: string): void {
    const frame = { typeUrl: kind, nonce, ...part, revision, controlPlane: options.identifier };
    if (!stream.send(framed(frame))) isFull = true;
    silentSince ??= options.clock.now();
    options.onSent?.(kind);
  }

  /** Kuma gives each message an answer of its own, and takes the next one before. */
  function sendAlone(kind: string, push: Push): void {
    const isFirst = !subscriptions.get(kind)?.answered;
    const whole = { upsert: fit(kind, push, isFirst ? "in one message" : "in parts"), remove: push.remove, absent: [] };
    const parts = isFirst ? [whole] : partsOf(whole, mostResourceBytes);
    for (const part of parts) send(kind, push.nonce, part, "");
  }

  function fit(kind: string, { upsert }: Push, way: Way): Push["upsert"] {
    const { upsert: fits, leftOut: others } = fitted(kindNamed(kind), upsert, way);
    leftOut.set(kind, others);
    for (const [name, why] of others)
      options.log.warn({ kind, name, why }, "an object is too large for the other control plane; all else goes");
    return fits;
  }

  /** The parts of one push share its nonce: they are answered at once, and the first answer counts. */
  function sendTogether(pushes: readonly [string, Push][]): void {
    const parts = pushes.flatMap(([kind, push]) =>
      partsOf({ upsert: fit(kind, push, "in parts"), ...lacking(kind, push.remove) }, partBytes).map((part) => ({
        kind,
        push,
        part,
      })),
    );
    const position = { store: store.id, opening: store.opening, revision: store.revision };
    const resumed = cursor !== undefined && store.includes(cursor);
    for (const [i, { kind, push, part }] of parts.entries())
      send(kind, push.nonce, part, saidText({ position, resumed, more: i < parts.length - 1 }));
  }

  function lacking(kind: string, names: readonly string[]): Pick<Part, "remove" | "absent"> {
    const resume = resumes.get(kind);
    // What has gone on this stream was here.
    if (!resume) return { remove: names, absent: [] };
    resumes.delete(kind);
    return vouched(kindNamed(kind), names, resume, store, options.nameSent);
  }

  function tellReached(): void {
    if (due.size > 0 || subscriptions.size === 0 || isWaiting()) return;
    options.onReached?.(reaches);
  }

  /** Where the kind is sent: a subscription to what is wanted now. */
  function subscriptionTo(kind: string, to: Audience): Subscription {
    const known = subscriptions.get(kind);
    if (known) return known;
    const wanted = sets.wanted(kind, to);
    const fresh = newSubscription({ answersMissing: false });
    return wanted ? absorb(fresh, { kind: "changed", wanted, names: "everything" }) : fresh;
  }

  function take(request: DeltaDiscoveryRequest, to: Audience): void {
    const kind = request.typeUrl;
    // A peer may ask for more kinds than are sent; it gets no answer for those.
    if (!sets.has(kind)) return;
    let subscription = subscriptionTo(kind, to);
    const resume = peer?.resumes && !subscription.asked ? resumeIn(request) : undefined;
    if (resume) {
      resumes.set(kind, resume);
      cursor ??= resume.cursor;
    }
    const initialResourceVersions = resume ? Object.fromEntries(resume.has) : {};
    for (const event of eventsOf({ ...request, initialResourceVersions })) {
      if (event.kind === "nack" || event.kind === "ack") {
        tellRefused(kind, subscription, event);
        options.onAnswer(kind, event.kind === "nack" ? event.reason : undefined);
        // A control plane takes what is valid of a response that it refuses, and a change sends the rest again.
        subscription = absorb(subscription, { kind: "ack", nonce: event.nonce });
      } else subscription = absorb(subscription, event);
    }
    subscriptions.set(kind, subscription);
    due.add(kind);
    silentSince = isWaiting() ? options.clock.now() : undefined;
  }

  function tellRefused(kind: string, { inFlight, answered: isLater }: Subscription, event: Answer): void {
    const { nonce } = event;
    const isNew = inFlight?.nonce === nonce;
    if (isNew) answered.set(kind, { nonce, names: new Set(inFlight.sent.keys()) });
    const sent = answered.get(kind);
    if (sent?.nonce !== nonce) return;
    const refused = event.kind === "nack" ? refusedIn(event.reason, sent.names) : new Map<string, string>();
    const names = isNew ? sent.names : [];
    options.refused.answered(kind, {
      isFirst: isNew && !isLater,
      names,
      refused,
      ...(isNew && { tooLarge: leftOut.get(kind) ?? new Map() }),
    });
  }

  /** How many objects of a kind. */
  function owed(kind: string, to: Audience): number {
    const subscription = subscriptions.get(kind);
    const wanted = sets.wanted(kind, to);
    if (!subscription || !wanted) return 0;
    return waitingIn(absorb(subscription, { kind: "changed", wanted, names: "everything" }));
  }

  return {
    received(message) {
      const request = messageIn(DeltaDiscoveryRequestSchema, message);
      if (!peer || !audience) {
        const first = peerOf(request);
        options.onPeer(first);
        peer = first;
        audience = { zone: options.zone, features: peer.features, getsKeys: options.sendsKeys !== false };
      }
      take(request, audience);
      // Subscriptions come in a row; their answers leave together.
      flushSoon();
    },
    settled(names) {
      if (!audience) return;
      for (const [kind, subscription] of subscriptions) {
        const changed = names.get(kind);
        const wanted = sets.wanted(kind, audience);
        if (!wanted || (!changed && subscription.wanted)) continue;
        subscriptions.set(kind, absorb(subscription, { kind: "changed", wanted, names: changed ?? "everything" }));
        due.add(kind);
      }
      flushSoon();
    },
    drained() {
      isFull = false;
      flush();
    },
    ended() {
      clearImmediate(turnEnd);
      endedAt = options.clock.now();
    },
    hasAll: (kind) => audience !== undefined && subscriptions.has(kind) && owed(kind, audience) === 0,
    behind() {
      const to = audience;
      if (!to) return undefined;
      const objects = [...subscriptions.keys()].reduce((sum, kind) => sum + owed(kind, to), 0);
      if (objects === 0) return undefined;
      if (endedAt !== undefined) return { objects, sinceMs: endedAt, why: "away" };
      return { objects, sinceMs: silentSince ?? options.clock.now(), why: isFull ? "not reading" : "not answering" };
    },
  };
}

type Answer = Extract<Event, { kind: "ack" | "nack" }>;

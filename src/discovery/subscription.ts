// The sending half of the incremental discovery protocol for one type of one peer, without I/O. Envoys (xDS) and control
// planes (KDS) speak it alike; only what is wanted and how it travels differ.
//
//   wanted   a shared snapshot, by reference
//   behind   the names for which the peer may have something else than that, and what it has
//   inFlight the one response that is not answered yet
//
// For every other name the peer has what is wanted. So a quiet state is two references, however large the set is, and a
// step costs what differs, not what there is.

import { type Holding, type Item, versionOf, type Wanted } from "#discovery/item.ts";
import type { DeltaDiscoveryRequest } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

export interface Subscription {
  /** Whether a name that is asked for and does not exist is answered as removed. Envoy waits for that; KDS does not have it. */
  readonly answersMissing: boolean;
  /** `undefined` until the first `changed`; nothing is answered before, as silence deletes nothing. */
  readonly wanted: Wanted | undefined;
  readonly asked: boolean;
  readonly wildcard: boolean;
  readonly names: ReadonlySet<string>;
  /** The first wildcard request gets a response even if there is nothing to say. */
  readonly owesGreeting: boolean;
  readonly behind: ReadonlyMap<string, Behind>;
  readonly inFlight: InFlight | undefined;
  /** Whether the peer has answered any response on this stream. */
  readonly answered: boolean;
  /** Suspects and news take turns, so that neither waits for all of the other. */
  readonly suspectNext: boolean;
}

export interface Behind {
  /** The last that the peer is known to have; `undefined`: nothing. */
  readonly held: Holding | undefined;
  /** Owed although the version may be equal: `asked` for again, or `suspect`: part of a refused response, to be sent alone. */
  readonly owed?: "asked" | "suspect";
  /** Quarantine: what the peer refused alone; not sent again in this version. */
  readonly refused?: { readonly version: string; readonly reason: string };
}

export interface InFlight {
  readonly nonce: string;
  readonly sent: ReadonlyMap<string, Sent>;
}

export interface Sent {
  /** `undefined` is a removal. */
  readonly item: Item | undefined;
  readonly held: Holding | undefined;
}

export type Event =
  | {
      readonly kind: "subscribed";
      readonly subscribe: readonly string[];
      readonly unsubscribe: readonly string[];
      /** name → version that the peer holds from an earlier stream. */
      readonly holds: ReadonlyMap<string, string>;
    }
  /** `names` has at least those whose item differs from the last snapshot's. */
  | { readonly kind: "changed"; readonly wanted: Wanted; readonly names: Iterable<string> | "everything" }
  /** These are owed once more although unchanged. */
  | { readonly kind: "again"; readonly names: Iterable<string> }
  | { readonly kind: "ack"; readonly nonce: string }
  | { readonly kind: "nack"; readonly nonce: string; readonly reason: string };

export interface Push {
  readonly nonce: string;
  readonly upsert: readonly Item[];
  readonly remove: readonly string[];
}

export interface Step {
  readonly next: Subscription;
  readonly send: Push | undefined;
}

/** What may be sent now; for subscriptions that wait for each other. */
export interface Gate {
  passes(name: string, item: Item | undefined, behind: Behind): boolean;
  /** Whether the greeting may go although nothing passes. */
  readonly greets: boolean;
}

const open: Gate = { passes: () => true, greets: true };

export const newSubscription = (options: { readonly answersMissing: boolean }): Subscription => ({
  answersMissing: options.answersMissing,
  wanted: undefined,
  asked: false,
  wildcard: false,
  names: new Set(),
  owesGreeting: false,
  behind: new Map(),
  inFlight: undefined,
  answered: false,
  suspectNext: false,
});

export function step(now: Subscription, event: Event, freshNonce: () => string): Step {
  return offer(absorb(now, event), freshNonce);
}

/** The event taken in, nothing sent yet. */
export function absorb(now: Subscription, event: Event): Subscription {
  switch (event.kind) {
    case "subscribed":
      return afterSubscribed(now, event);
    case "changed":
      return afterChanged(now, event.wanted, event.names);
    case "again":
      return afterAgain(now, event.names);
    case "ack":
      return event.nonce === now.inFlight?.nonce ? afterAck(now, now.inFlight.sent) : now;
    case "nack":
      return event.nonce === now.inFlight?.nonce ? afterNack(now, now.inFlight.sent, event.reason) : now;
  }
}

/** The next response, if one is due: at most one in flight, of the newest state, and only what passes the gate. */
export function offer(now: Subscription, freshNonce: () => string, gate: Gate = open): Step {
  const { wanted } = now;
  if (now.inFlight || !wanted) return { next: now, send: undefined };
  const news = new Map<string, Sent>();
  let suspect: readonly [string, Sent] | undefined;
  for (const [name, behind] of now.behind) {
    const item = wanted.get(name);
    if (behind.owed === "suspect" && suspect) continue;
    if (!isDue(now, item, behind) || !gate.passes(name, item, behind)) continue;
    if (behind.owed === "suspect") suspect = [name, { item, held: behind.held }];
    else news.set(name, { item, held: behind.held });
  }
  const alone = suspect !== undefined && (now.suspectNext || news.size === 0);
  const sent = alone ? new Map([suspect!]) : news;
  if (sent.size === 0 && !(now.owesGreeting && gate.greets)) return { next: now, send: undefined };
  const nonce = freshNonce();
  const behind = new Map(now.behind);
  for (const name of sent.keys()) behind.delete(name);
  const next = { ...now, behind, inFlight: { nonce, sent }, owesGreeting: false, suspectNext: !alone };
  const upsert = [...sent.values()].flatMap(({ item }) => item ?? []);
  const remove = [...sent].flatMap(([name, { item }]) => (item ? [] : name));
  return { next, send: { nonce, upsert, remove } };
}

/** The fields that are read of a request. */
export type Request = Pick<
  DeltaDiscoveryRequest,
  "resourceNamesSubscribe" | "resourceNamesUnsubscribe" | "initialResourceVersions" | "responseNonce" | "errorDetail"
>;

/** A request as events, in the order in which they are to be taken in. */
export function eventsOf(request: Request): readonly Event[] {
  const { resourceNamesSubscribe: subscribe, resourceNamesUnsubscribe: unsubscribe, responseNonce: nonce } = request;
  const events: Event[] = [];
  // A request may do both. What the peer no longer wants must not be sent to it in answer to its ACK, so names come first.
  if (nonce === "" || subscribe.length + unsubscribe.length > 0) {
    const holds = new Map(Object.entries(request.initialResourceVersions));
    events.push({ kind: "subscribed", subscribe, unsubscribe, holds });
  }
  if (nonce !== "") {
    const reason = request.errorDetail?.message;
    events.push(reason === undefined ? { kind: "ack", nonce } : { kind: "nack", nonce, reason });
  }
  return events;
}

export const isSubscribed = (now: Subscription, name: string): boolean => now.wildcard || now.names.has(name);

/** What the peer is known to have; while a response is in flight, what it had before. */
export function heldOf(now: Subscription, name: string): Holding | undefined {
  if (!isSubscribed(now, name)) return undefined;
  const differs = now.behind.get(name) ?? now.inFlight?.sent.get(name);
  return differs ? differs.held : now.wanted?.get(name);
}

/** Nothing in flight and nothing due, but what waits for a refused object to change. */
export function isQuiet(now: Subscription): boolean {
  if (now.inFlight || !now.wanted || now.owesGreeting) return false;
  for (const [name, behind] of now.behind) if (isDue(now, now.wanted.get(name), behind)) return false;
  return true;
}

/** The peer has what is wanted, nothing refused and nothing on its way. */
export const hasAllWanted = (now: Subscription): boolean =>
  now.wanted !== undefined && now.inFlight === undefined && now.behind.size === 0;

export interface Refusal {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
}

export const refusalsOf = (now: Subscription): readonly Refusal[] =>
  [...now.behind].flatMap(([name, { refused }]) => (refused ? { name, ...refused } : []));

function isDue(now: Subscription, item: Item | undefined, behind: Behind): boolean {
  if (behind.refused) return false;
  if (behind.owed === "suspect") return true;
  if (behind.owed === "asked") return item !== undefined || behind.held !== undefined || now.answersMissing;
  return versionOf(item) !== versionOf(behind.held);
}

function afterSubscribed(now: Subscription, event: Event & { kind: "subscribed" }): Subscription {
  const { subscribe, unsubscribe, holds } = event;
  // Envoy says "all" for clusters and listeners by naming nothing in its first request.
  const saysAll = subscribe.includes("*") || (!now.asked && subscribe.length + unsubscribe.length === 0);
  const names = new Set(now.names);
  for (const name of unsubscribe) names.delete(name);
  for (const name of subscribe) if (name !== "*") names.add(name);
  const wildcard = saysAll || (now.wildcard && !unsubscribe.includes("*"));
  const startsAll = wildcard && !now.wildcard;
  const next = { ...now, asked: true, wildcard, names, owesGreeting: now.owesGreeting || startsAll };

  const behind = new Map(now.behind);
  if (now.wildcard !== wildcard || unsubscribe.length > 0) {
    for (const name of behind.keys()) if (!isSubscribed(next, name)) behind.delete(name);
  }
  if (startsAll) {
    for (const name of now.wanted?.names() ?? []) if (!isSubscribed(now, name)) behind.set(name, { held: undefined });
  }
  for (const name of subscribe) if (name !== "*") behind.set(name, owedAgain(now, name));
  for (const [name, version] of holds) {
    if (isSubscribed(next, name)) record(next, behind, name, { held: { version, refers: "unknown" } });
  }
  return { ...next, behind };
}

function afterChanged(now: Subscription, wanted: Wanted, names: Iterable<string> | "everything"): Subscription {
  if (wanted === now.wanted) return now;
  const next = { ...now, wanted };
  const behind = new Map(now.behind);
  const everything = names === "everything" || now.wanted === undefined;
  const changed = everything ? new Set([...(now.wanted?.names() ?? now.behind.keys()), ...wanted.names()]) : names;
  for (const name of changed) {
    const version = versionOf(wanted.get(name));
    if (!isSubscribed(now, name) || (now.wanted && versionOf(now.wanted.get(name)) === version)) continue;
    const { refused, ...rest } = behind.get(name) ?? { held: heldOf(now, name) };
    record(next, behind, name, refused?.version === version ? { ...rest, refused } : rest);
  }
  return { ...next, behind };
}

function afterAgain(now: Subscription, names: Iterable<string>): Subscription {
  const behind = new Map(now.behind);
  for (const name of names) if (isSubscribed(now, name)) behind.set(name, owedAgain(now, name));
  return { ...now, behind };
}

const owedAgain = (now: Subscription, name: string): Behind => ({
  owed: "asked",
  ...(now.behind.get(name) ?? { held: heldOf(now, name) }),
});

function afterAck(now: Subscription, sent: ReadonlyMap<string, Sent>): Subscription {
  const next = { ...now, inFlight: undefined, answered: true };
  const behind = new Map(now.behind);
  for (const [name, entry] of now.behind) {
    const accepted = sent.get(name);
    if (accepted) record(next, behind, name, { ...entry, held: accepted.item });
  }
  return { ...next, behind };
}

/**
 * A peer refuses a whole response for one bad object, and does not say which. So each of its objects is sent once more,
 * alone; what is refused alone is set aside until its version changes.
 */
function afterNack(now: Subscription, sent: ReadonlyMap<string, Sent>, reason: string): Subscription {
  const next = { ...now, inFlight: undefined, answered: true };
  const behind = new Map(now.behind);
  const isAlone = sent.size === 1;
  for (const [name, { item, held }] of sent) {
    if (!isSubscribed(now, name)) continue;
    const entry = behind.get(name);
    if (!isAlone) {
      // Envoy may have applied a part of it: a removal is then no longer known to be held.
      behind.set(name, { held: item ? held : undefined, owed: "suspect" });
    } else if (versionOf(next.wanted?.get(name)) === versionOf(item)) {
      behind.set(name, { held, refused: { version: versionOf(item), reason: shortened(reason) } });
    } else {
      record(next, behind, name, { ...entry, held });
    }
  }
  return { ...next, behind };
}

/** Sets an entry, or drops it where it says nothing: not owed, not refused, not in flight, and the peer has what is wanted. */
function record(now: Subscription, behind: Map<string, Behind>, name: string, entry: Behind): void {
  const says =
    entry.owed !== undefined ||
    entry.refused !== undefined ||
    now.wanted === undefined ||
    now.inFlight?.sent.has(name) ||
    versionOf(entry.held) !== versionOf(now.wanted.get(name));
  if (says) behind.set(name, entry);
  else behind.delete(name);
}

const reasonLength = 300;

/** Envoy's reasons hold a dump of the resource, over many lines. */
function shortened(reason: string): string {
  const line = reason.replace(/\s+/g, " ").trim();
  return line.length <= reasonLength ? line : `${line.slice(0, reasonLength)}…`;
}

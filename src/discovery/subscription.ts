// The sending half of the incremental discovery protocol for one type of one peer, without I/O. Envoys (xDS) and control
// planes (KDS) speak it alike; only what is wanted and how it travels differ.
//
//   wanted    a shared snapshot, by reference
//   behind    the names for which the peer may have something else than that, and what it has
//   inFlight  the one response that is not answered yet
//
// For every other name the peer has what is wanted. So a quiet state is two references, however large the set is, and a
// step costs what differs, not what there is.

import { type Holding, type Item, versionOf, type Wanted } from "#discovery/item.ts";

export interface Subscription {
  /** Whether a name that is asked for and does not exist is answered as removed. Envoy waits for that; KDS does not have it. */
  readonly answersMissing: boolean;
  /** `undefined` until the first `changed`. Nothing is answered before: an empty answer would tell the peer to delete. */
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
  /** What the same peer refused on an earlier stream, by name. */
  readonly refusedBefore: ReadonlyMap<string, NonNullable<Behind["refused"]>>;
  /** Suspects and news take turns, so that neither waits for all of the other. */
  readonly suspectNext: boolean;
}

export interface Behind {
  /** The last that the peer is known to have; `undefined`: nothing. */
  readonly held: Holding | undefined;
  /** What it may have instead: of a response that it refuses, Envoy may apply a part. */
  readonly maybe: readonly Holding[];
  /** Asked for again: owed although the version may be equal. */
  readonly asked: boolean;
  /** Part of a refused response: owed without any but those of the same half. */
  readonly suspect: string | undefined;
  /** Quarantine: what the peer refused, alone or by name; not sent again in this version until it has accepted another. */
  readonly refused: { readonly version: string; readonly reason: string } | undefined;
}

export interface InFlight {
  readonly nonce: string;
  readonly sent: ReadonlyMap<string, Sent>;
}

export interface Sent {
  /** `undefined` is a removal. */
  readonly item: Item | undefined;
  readonly before: Behind;
  readonly wasAsked: boolean;
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

/** Five subscriptions a proxy, at rest with nothing in them: what is empty is shared. */
const noNames: ReadonlySet<string> = new Set();
const none = new Map<string, never>();
const orNone = <V>(map: ReadonlyMap<string, V>): ReadonlyMap<string, V> => (map.size === 0 ? none : map);

export const newSubscription = (options: {
  readonly answersMissing: boolean;
  readonly refusedBefore?: Subscription["refusedBefore"];
}): Subscription => ({
  answersMissing: options.answersMissing,
  wanted: undefined,
  asked: false,
  wildcard: false,
  names: noNames,
  owesGreeting: false,
  behind: none,
  inFlight: undefined,
  answered: false,
  refusedBefore: orNone(options.refusedBefore ?? none),
  suspectNext: false,
});

export function step(now: Subscription, event: Event, freshNonce: () => string): Step {
  return offer(absorb(now, event), freshNonce);
}

/** The event taken in, nothing sent yet. An answer to another response than the one in flight changes nothing. */
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
      return event.nonce === now.inFlight?.nonce ? afterNack(now, now.inFlight, event.reason) : now;
  }
}

/** The next response, if one is due: at most one in flight, of the newest state, and only what passes the gate. */
export function offer(now: Subscription, freshNonce: () => string, gate: Gate = open): Step {
  if (now.inFlight || !now.wanted) return { next: now, send: undefined };
  const news = new Map<string, Sent>();
  const suspects = new Map<string, Sent>();
  let half: string | undefined;
  for (const [name, behind] of now.behind) {
    if (behind.suspect && half && behind.suspect !== half) continue;
    const item = itemFor(now, name, behind);
    if (!isDue(now, name, item, behind) || !gate.passes(name, item, behind)) continue;
    const sent = { item, before: { ...behind, asked: false, suspect: undefined }, wasAsked: behind.asked };
    half ??= behind.suspect;
    (behind.suspect ? suspects : news).set(name, sent);
  }
  const sent = suspects.size > 0 && (now.suspectNext || news.size === 0) ? suspects : news;
  if (sent.size === 0 && !(now.owesGreeting && gate.greets)) return { next: now, send: undefined };

  const behind = new Map(now.behind);
  for (const [name, { before }] of sent) {
    if (before.refused) behind.set(name, before);
    else behind.delete(name);
  }
  const nonce = freshNonce();
  return {
    next: {
      ...now,
      behind: orNone(behind),
      inFlight: { nonce, sent },
      owesGreeting: false,
      suspectNext: sent === news,
    },
    send: {
      nonce,
      upsert: [...sent.values()].flatMap(({ item }) => item ?? []),
      remove: [...sent].flatMap(([name, { item }]) => (item ? [] : name)),
    },
  };
}

export const isSubscribed = (now: Subscription, name: string): boolean => now.wildcard || now.names.has(name);

/** What the peer is known to have; while a response is in flight, what it had before. */
export const heldOf = (now: Subscription, name: string): Holding | undefined => behindOf(now, name).held;

/** Nothing in flight and nothing due: what is left, if anything, is refused. */
export function isQuiet(now: Subscription): boolean {
  if (now.inFlight || !now.wanted || now.owesGreeting) return false;
  for (const [name, behind] of now.behind) if (isDue(now, name, itemFor(now, name, behind), behind)) return false;
  return true;
}

/** How many names the peer has yet to get or to acknowledge; what it refuses does not count. */
export function waitingIn(now: Subscription): number {
  const sent = now.inFlight?.sent;
  let count = sent?.size ?? 0;
  for (const [name, behind] of now.behind) if (!sent?.has(name) && !isRefused(now, name, behind)) count++;
  return count;
}

/** The peer has what is wanted, for sure, and nothing of that name is on its way. */
export const hasWanted = (now: Subscription, name: string): boolean =>
  now.wanted !== undefined && !now.inFlight?.sent.has(name) && isCurrent(now, name, behindOf(now, name));

/** Who has not asked yet is known to have nothing: a starting Envoy asks for listeners when its clusters are there. */
export const hasAllWanted = (now: Subscription): boolean =>
  now.asked &&
  now.wanted !== undefined &&
  !now.inFlight &&
  [...now.behind].every(([name, behind]) => isCurrent(now, name, behind));

export interface Refusal {
  readonly name: string;
  readonly version: string;
  readonly reason: string;
}

export const refusalsOf = (now: Subscription): readonly Refusal[] =>
  [...now.behind].flatMap(([name, behind]) => (isRefused(now, name, behind) ? { name, ...behind.refused } : []));

const nothing: Behind = { held: undefined, maybe: [], asked: false, suspect: undefined, refused: undefined };

/** Of a name that is asked for first, or before anything is known to be wanted. */
const unheard = ({ refusedBefore }: Subscription, name: string): Behind => ({
  ...nothing,
  refused: refusedBefore.get(name),
});

function behindOf(now: Subscription, name: string): Behind {
  if (!isSubscribed(now, name)) return unheard(now, name);
  const known = now.behind.get(name) ?? now.inFlight?.sent.get(name)?.before;
  return known ?? (now.wanted ? { ...nothing, held: now.wanted.get(name) } : unheard(now, name));
}

const isCurrent = (now: Subscription, name: string, { held, maybe }: Behind): boolean =>
  maybe.length === 0 && versionOf(held) === versionOf(now.wanted?.get(name));

const isRefused = (
  now: Subscription,
  name: string,
  behind: Behind,
): behind is Behind & { refused: NonNullable<Behind["refused"]> } =>
  behind.refused?.version === versionOf(now.wanted?.get(name));

/**
 * What goes out under the name: what is wanted, or, if the peer refuses that and asks again, the last that it accepted. Where
 * that is only known by its version, what is wanted, to be refused once more: Envoy then waits no longer.
 */
function itemFor(now: Subscription, name: string, behind: Behind): Item | undefined {
  const { held } = behind;
  if (!isRefused(now, name, behind) || (held && !("bytes" in held))) return now.wanted?.get(name);
  return held;
}

function isDue(now: Subscription, name: string, item: Item | undefined, behind: Behind): boolean {
  const isAnswer = behind.asked && (item !== undefined || now.answersMissing);
  if (isAnswer || isRefused(now, name, behind)) return isAnswer;
  return behind.suspect !== undefined || !isCurrent(now, name, behind);
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
  const next = {
    ...now,
    asked: true,
    wildcard,
    names: names.size === 0 ? noNames : names,
    owesGreeting: now.owesGreeting || startsAll,
  };

  const behind = new Map(now.behind);
  if (!wildcard) for (const name of behind.keys()) if (!names.has(name)) behind.delete(name);
  if (startsAll) {
    for (const name of now.wanted?.names() ?? []) if (!names.has(name)) behind.set(name, unheard(now, name));
  }
  for (const name of subscribe) if (name !== "*") behind.set(name, { ...behindOf(now, name), asked: true });
  for (const [name, version] of holds) {
    if (isSubscribed(next, name))
      record(next, behind, name, { ...unheard(now, name), held: { version, refers: "unknown" } });
  }
  return { ...next, behind: orNone(behind) };
}

function afterChanged(now: Subscription, wanted: Wanted, names: Iterable<string> | "everything"): Subscription {
  if (wanted === now.wanted) return now;
  const next = { ...now, wanted };
  const behind = new Map(now.behind);
  const isAny = names === "everything" || now.wanted === undefined;
  const changed = isAny ? new Set([...(now.wanted?.names() ?? now.behind.keys()), ...wanted.names()]) : names;
  for (const name of changed) {
    const version = versionOf(wanted.get(name));
    if (!isSubscribed(now, name) || (now.wanted && versionOf(now.wanted.get(name)) === version)) continue;
    record(next, behind, name, behindOf(now, name));
  }
  return { ...next, behind: orNone(behind) };
}

function afterAgain(now: Subscription, names: Iterable<string>): Subscription {
  const behind = new Map(now.behind);
  for (const name of names) if (isSubscribed(now, name)) behind.set(name, { ...behindOf(now, name), asked: true });
  return { ...now, behind: orNone(behind) };
}

function afterAck(now: Subscription, sent: ReadonlyMap<string, Sent>): Subscription {
  const next = { ...now, inFlight: undefined, answered: true };
  const behind = new Map(now.behind);
  for (const [name, entry] of now.behind) {
    const accepted = sent.get(name);
    if (!accepted) continue;
    const isStillRefused = isRefused(next, name, entry) && entry.refused.version !== versionOf(accepted.item);
    const refused = isStillRefused ? entry.refused : undefined;
    record(next, behind, name, { ...entry, held: accepted.item, maybe: [], refused });
  }
  return { ...next, behind: orNone(behind) };
}

/**
 * A peer refuses a whole response for one bad object. Where it does not say which, each half is sent once more, by
 * itself; what is refused alone, or by name, is set aside until its version changes.
 */
function afterNack(now: Subscription, { nonce, sent }: InFlight, reason: string): Subscription {
  const next = { ...now, inFlight: undefined, answered: true };
  const behind = new Map(now.behind);
  const refusals = refusalsIn(reason, sent);
  let place = 0;
  for (const [name, { item, before, wasAsked }] of sent) {
    const half = `${nonce} ${place++ < sent.size / 2 ? "first" : "second"}`;
    if (!isSubscribed(now, name)) continue;
    const version = versionOf(item);
    const since = behind.get(name) ?? before;
    const maybe = before.maybe.filter((each) => each.version !== version);
    const why = refusals.get(name);
    if (why !== undefined) {
      // What it asked for and can't take leaves it with nothing, unless it gets the last that it accepted.
      const asked = since.asked || (wasAsked && before.held !== undefined && "bytes" in before.held);
      const refused = { version, reason: shortened(why) };
      record(next, behind, name, { ...since, held: before.held, maybe, asked, refused });
    } else {
      // Removed or not, it is no longer known to be there.
      const [held, unknown] = item ? [before.held, item] : [undefined, before.held];
      behind.set(name, {
        held,
        maybe: unknown ? [...maybe, unknown] : maybe,
        asked: since.asked || wasAsked,
        suspect: refusals.size === 0 ? half : undefined,
        refused: since.refused,
      });
    }
  }
  return { ...next, behind: orNone(behind) };
}

/**
 * Envoy names the clusters and listeners that it could not add, each with its reason: `Error adding/updating cluster(s) a: why,
 * b: why`, listeners below each other. These must not be sent again: Envoy 1.40 takes a cluster that it has just refused for
 * known when it comes again, and acknowledges it.
 */
function refusalsIn(reason: string, sent: ReadonlyMap<string, Sent>): ReadonlyMap<string, string> {
  if (sent.size === 1) return new Map([...sent.keys()].map((name) => [name, reason]));
  if (!/^Error adding\/updating (cluster|listener)\(s\) /.test(reason)) return new Map();
  const starts = [...sent.keys()]
    .flatMap((name) =>
      ["(s) ", ", ", "\n"].map((before) => [name, before.length, reason.indexOf(`${before}${name}: `)] as const),
    )
    .filter(([, , at]) => at >= 0)
    .sort(([, , a], [, , b]) => a - b);
  return new Map(starts.map(([name, skip, at], i) => [name, reason.slice(at + skip, starts[i + 1]?.[2])]));
}

/** Sets an entry, or drops it where it says nothing: the peer has what is wanted, for sure, and nothing else is on its way. */
function record(now: Subscription, behind: Map<string, Behind>, name: string, entry: Behind): void {
  const says =
    entry.asked ||
    entry.suspect !== undefined ||
    entry.refused !== undefined ||
    entry.maybe.length > 0 ||
    now.wanted === undefined ||
    now.inFlight?.sent.has(name) ||
    versionOf(entry.held) !== versionOf(now.wanted.get(name));
  if (says) behind.set(name, entry);
  else behind.delete(name);
}

const reasonLength = 300;
/** Of a long one, from its beginning. */
const beginningLength = 100;

/** Envoy's reasons hold a dump of the resource, over many lines, before or behind what is wrong with it. */
function shortened(reason: string): string {
  const line = reason.replace(/\s+/g, " ").trim();
  if (line.length <= reasonLength) return line;
  return `${line.slice(0, beginningLength)} … ${line.slice(beginningLength - reasonLength)}`;
}

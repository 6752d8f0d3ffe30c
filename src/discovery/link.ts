// Where the receiving end of a link stands with its sender, over all kinds and connections, without I/O (decision 6).
//
//   known   the sender's store is the one that was seen last, and not older: what it removed is gone
//   held    something that would be gone, or would replace what trust hangs on, waits: until it comes back as it is here, until
//           the known store is back, or until somebody accepts it
//
// The cursor stays while something is held, so that a link that breaks meanwhile is held again.

/** A moment in the history of a sender's store. */
export interface Position {
  readonly store: string;
  /** Of those times that the store was opened. */
  readonly opening: string;
  readonly revision: number;
}

export interface LinkState {
  /** When all that the sender had was applied here. `undefined`: never. */
  readonly cursor: Position | undefined;
  readonly held: readonly Held[];
  /** While something is held: who it is held against, which becomes the cursor in the end, and since when. */
  readonly against: { readonly sender: Position | undefined; readonly sinceMs: number } | undefined;
}

export interface Held {
  readonly kind: string;
  /** As on the wire. */
  readonly name: string;
  readonly what: "removal" | "change";
  readonly why: Why;
}

export type Standing = "known" | Unknown;
export type Unknown =
  /** Nothing was ever received from there. */
  | "first"
  | "another store"
  /** The store that was seen, without what it had then. */
  | "older state"
  /** It does not say which store it has. */
  | "nameless";

export type Why =
  | Unknown
  /** The store is known, but does not remember that this was ever deleted. */
  | "unremembered"
  /** What proxies bring by themselves has some time to come back. */
  | "returning";

export const newLink: LinkState = { cursor: undefined, held: [], against: undefined };

/** `resumed`: the sender says that the cursor is in its past. Of a stock peer only the store is known. */
export function standingOf(cursor: Position | undefined, sender: Position | undefined, resumed: boolean): Standing {
  if (!sender) return "nameless";
  if (resumed) return "known";
  if (!cursor) return "first";
  if (cursor.store !== sender.store) return "another store";
  return cursor.opening === sender.opening && cursor.revision <= sender.revision ? "known" : "older state";
}

/** Responses that were applied in one transaction. */
export interface Applied {
  readonly sender: Position | undefined;
  /** Every kind has been answered on this stream. */
  readonly isWhole: boolean;
  readonly kinds: readonly AppliedKind[];
  readonly nowMs: number;
}

export interface AppliedKind {
  readonly kind: string;
  /** The first of this stream: what it does not hold is held no longer. */
  readonly isInitial: boolean;
  /** Names that are here now as they were sent, and those that were removed. */
  readonly settled: ReadonlySet<string>;
  readonly held: readonly Held[];
}

export function afterApplied(now: LinkState, { sender, isWhole, kinds, nowMs }: Applied): LinkState {
  let held = now.held;
  for (const one of kinds) {
    const renewed = new Set(one.held.map(({ name }) => name));
    const ends = ({ kind, name }: Held): boolean =>
      kind === one.kind && (one.isInitial || one.settled.has(name) || renewed.has(name));
    held = [...held.filter((each) => !ends(each)), ...one.held];
  }
  if (held.length > 0) return { cursor: now.cursor, held, against: { sender, sinceMs: now.against?.sinceMs ?? nowMs } };
  return { cursor: isWhole && sender ? sender : now.cursor, held, against: undefined };
}

/** Some of what was held has been removed here, or is asked for anew. */
export function afterReleased(now: LinkState, released: ReadonlySet<Held>): LinkState {
  const held = now.held.filter((one) => !released.has(one));
  if (held.length > 0) return { ...now, held };
  return { cursor: now.against?.sender ?? now.cursor, held, against: undefined };
}

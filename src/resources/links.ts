// What is shown of a control plane's links to others, and what a user can do about one that is held (decision 6).

import type { ResourceId } from "#resources/resource.ts";

export interface Links {
  list(): readonly LinkView[];
  /** Removes what is held and has changes sent anew. Rejects with `not-found` where there is no such link. */
  accept(peer: string): Promise<Accepted>;
}

/** Times are milliseconds since the epoch. */
export interface LinkView {
  /** A zone, or `global`. */
  readonly peer: string;
  /** Of a zone's link to global; global keeps a ZoneInsight of each zone. */
  readonly connection?: { readonly isConnected: boolean; readonly since: number; readonly why?: string };
  readonly held: readonly HeldView[];
  readonly heldSince: number | undefined;
  readonly refused: readonly RefusedView[];
  /** What this control plane has for the peer and the peer has not taken. */
  readonly behind?: BehindView;
  /** The peer is a zone that concludes nothing of its proxies since then, as most of them are away at once. */
  readonly frozenSince?: number;
  /** The peer is a zone whose ingresses these others do not answer, and since when. */
  readonly silentZones?: ReadonlyMap<string, number>;
}

export interface RefusedView extends ResourceId {
  /** `here`: what the peer sent; `there`: what this control plane sent, or would have if it were not too large. */
  readonly where: "here" | "there" | "too large";
  readonly why: string;
  readonly since: number;
}

export interface BehindView {
  readonly objects: number;
  readonly since: number;
  readonly why: "away" | "not reading" | "not answering";
}

export interface HeldView extends ResourceId {
  readonly what: "removal" | "change";
  /** Why it waits, as a clause: `its store is …`. */
  readonly why: string;
}

export interface Accepted {
  readonly removals: number;
  readonly changes: number;
}

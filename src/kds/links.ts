// A control plane's links as they are shown, and the accepting of what one holds.

import type { Why } from "#discovery/link.ts";
import type { Clock } from "#host/world.ts";
import type { Side } from "#kds/accept.ts";
import { accept, idOfHeld, linkTo, type Peer } from "#kds/link.ts";
import { idOfWireName } from "#kds/name.ts";
import { type RefusedList, refusedList } from "#kds/refused.ts";
import type { Sending } from "#kds/sending.ts";
import { KodiakError } from "#lib/failure.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { BehindView, Links, LinkView, RefusedView } from "#resources/links.ts";
import type { Store } from "#resources/store.ts";

export interface LinksOptions {
  readonly store: Store;
  readonly peers: () => readonly Peer[];
  readonly sideOf: (peer: Peer) => Side;
  readonly end: (peer: Peer) => LinkEnd | undefined;
  readonly clock: Pick<Clock, "now">;
  readonly connection?: () => NonNullable<LinkView["connection"]>;
  readonly frozenSince?: (peer: Peer) => number | undefined;
  readonly silentZones?: (peer: Peer) => ReadonlyMap<string, number> | undefined;
  /** Connects anew, so that the peer sends what was not taken from it. */
  readonly renew: (peer: Peer) => void;
}

/** What is kept of a peer over its connections. */
export interface LinkEnd {
  readonly refusedHere: RefusedList;
  readonly refusedThere: RefusedList;
  /** Of its newest connection, which may be over. */
  sender: Sending | undefined;
}

export const newLinkEnd = (clock: Pick<Clock, "now">): LinkEnd => ({
  refusedHere: refusedList(clock),
  refusedThere: refusedList(clock),
  sender: undefined,
});

export function links(options: LinksOptions): Links {
  const { store, peers, sideOf, end, clock, connection, renew } = options;
  return {
    list: () =>
      peers().map((peer) => {
        const { held, against } = linkTo(peer, store);
        const { refusedHere, refusedThere, sender } = end(peer) ?? {};
        const behind = behindIn(sender, clock.now());
        const frozenSince = options.frozenSince?.(peer);
        const silentZones = options.silentZones?.(peer);
        return {
          peer,
          ...(connection && { connection: connection() }),
          held: held.map((one) => ({ ...idOfHeld(one), what: one.what, why: whys[one.why] })),
          heldSince: against?.sinceMs,
          refused: [...refusedIn("here", refusedHere), ...refusedIn("there", refusedThere)],
          ...(behind && { behind }),
          ...(frozenSince !== undefined && { frozenSince }),
          ...(silentZones && { silentZones }),
        };
      }),
    async accept(peer) {
      if (!peers().includes(peer))
        throw new KodiakError({
          kind: "not-found",
          what: `the link to "${peer}"`,
          hint: "`kodiak get zones` lists what there is",
        });
      const accepted = await accept(peer, sideOf(peer), store);
      const changes = accepted.filter(({ what }) => what === "change").length;
      if (changes > 0) renew(peer);
      return { removals: accepted.length - changes, changes };
    },
  };
}

const refusedIn = (where: "here" | "there", list: RefusedList | undefined): readonly RefusedView[] =>
  (list?.all() ?? []).map(({ kind, name, why, isTooLarge, sinceMs }) => ({
    ...idOfWireName(kindNamed(kind), name),
    where: isTooLarge ? "too large" : where,
    why,
    since: sinceMs,
  }));

/** An answer takes a moment; that is no news. */
const answerMs = 1_000;

function behindIn(sender: Sending | undefined, now: number): BehindView | undefined {
  const behind = sender?.behind();
  if (!behind || (behind.why !== "away" && now - behind.sinceMs < answerMs)) return undefined;
  return { objects: behind.objects, since: behind.sinceMs, why: behind.why };
}

const whys: Readonly<Record<Why, string>> = {
  first: "it was not connected before, and does not have these as they are here",
  "another store": "its store is not the one that was known",
  "older state": "its store is an older copy of the one that was known",
  nameless: "it does not say which store it has",
  unremembered: "its store lacks these, and does not remember that they were deleted",
  returning: "proxies have 30 s to bring these again",
};

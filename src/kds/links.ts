// A control plane's links as they are shown, and the accepting of what one holds.

import type { Why } from "#discovery/link.ts";
import type { Side } from "#kds/accept.ts";
import { accept, idOfHeld, linkTo, type Peer } from "#kds/link.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Links, LinkView } from "#resources/links.ts";
import type { Store } from "#resources/store.ts";

export interface LinksOptions {
  readonly store: Store;
  readonly peers: () => readonly Peer[];
  readonly sideOf: (peer: Peer) => Side;
  readonly connection?: () => NonNullable<LinkView["connection"]>;
  /** Connects anew, so that the peer sends what was not taken from it. */
  readonly renew: (peer: Peer) => void;
}

export function links({ store, peers, sideOf, connection, renew }: LinksOptions): Links {
  return {
    list: () =>
      peers().map((peer) => {
        const { held, against } = linkTo(peer, store);
        return {
          peer,
          ...(connection && { connection: connection() }),
          held: held.map((one) => ({ ...idOfHeld(one), what: one.what, why: whys[one.why] })),
          heldSince: against?.sinceMs,
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

const whys: Readonly<Record<Why, string>> = {
  first: "it was not connected before, and does not have these as they are here",
  "another store": "its store is not the one that was known",
  "older state": "its store is an older copy of the one that was known",
  nameless: "it does not say which store it has",
  unremembered: "its store lacks these, and does not remember that they were deleted",
  returning: "proxies have 30 s to bring these again",
};

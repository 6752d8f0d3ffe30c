// The state of a link at its receiving end, as it is kept: a note in the store, written in the transaction that applies what it
// speaks of. And what ends a link's being held: that it is accepted, or that what was to come back had its time.

import { afterReleased, type Held, type LinkState, newLink } from "#discovery/link.ts";
import type { Side } from "#kds/accept.ts";
import { idOfWireName } from "#kds/name.ts";
import { isConflict } from "#lib/failure.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { ResourceId } from "#resources/resource.ts";
import type { Edit, NoteEdit, ResourceEdit, Store } from "#resources/store.ts";

/** At a global control plane: the zone. In a zone: `global`. */
export type Peer = string;

const keyOf = (peer: Peer): string => `link/${peer}`;

export function linkTo(peer: Peer, store: Pick<Store, "note">): LinkState {
  const text = store.note(keyOf(peer));
  if (text === undefined) return newLink;
  const state: LinkState = JSON.parse(text);
  return state;
}

export const linkEdit = (peer: Peer, store: Pick<Store, "note">, after: LinkState): NoteEdit => ({
  kind: "note",
  key: keyOf(peer),
  before: store.note(keyOf(peer)),
  after: JSON.stringify(after),
});

export const idOfHeld = ({ kind, name }: Held): ResourceId => idOfWireName(kindNamed(kind), name);

/** Removes what is held, as far as it is the peer's, and takes the peer's store as the known one. */
export function accept(peer: Peer, side: Side, store: Store): Promise<readonly Held[]> {
  return release(peer, side, store, () => true);
}

/** The same for a part. Resolves with that part. */
export async function release(
  peer: Peer,
  side: Side,
  store: Store,
  isReleased: (held: Held) => boolean,
): Promise<readonly Held[]> {
  return retried(async () => {
    const link = linkTo(peer, store);
    const released = link.held.filter(isReleased);
    if (released.length === 0) return released;
    const edits: readonly Edit[] = [
      ...released.flatMap((held) => deletion(held, side, store)),
      linkEdit(peer, store, afterReleased(link, new Set(released))),
    ];
    await store.write(edits);
    return released;
  });
}

function deletion(held: Held, side: Side, store: Store): readonly ResourceEdit[] {
  const stored = held.what === "removal" ? store.get(idOfHeld(held)) : undefined;
  if (!stored || !side.owns(kindNamed(held.kind), stored)) return [];
  return [{ kind: "delete", id: idOfHeld(held), expected: { modificationTime: stored.modificationTime } }];
}

const mostAttempts = 5;

/** Somebody else may write the same meanwhile; then it is looked at anew. */
export async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isConflict(error) || count === mostAttempts) throw error;
    }
  }
}

// Of what a subscriber has and is not to have: what the sender vouches for as gone, and what it merely does not have (decision 6).

import type { Resume } from "#kds/resume.ts";
import type { Kind } from "#resources/kind.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

/** The name under which the subscriber knows a resource of this store, whether it is sent or not. */
export type NameSent = (kind: Kind, resource: Pick<Resource, "name" | "mesh" | "labels">) => string;

export type Past = Pick<Store, "id" | "opening" | "revision" | "includes" | "tombstones" | "list">;

export interface Lacking {
  readonly remove: readonly string[];
  readonly absent: readonly string[];
}

/** Gone is what was deleted since the cursor, and what is here but held back from this subscriber. */
export function vouched(
  kind: Kind,
  names: readonly string[],
  { cursor }: Pick<Resume, "cursor">,
  store: Past,
  nameSent: NameSent,
): Lacking {
  if (names.length === 0 || !cursor || !store.includes(cursor)) return { remove: [], absent: names };
  const known = [...store.tombstones(kind.name, cursor.revision), ...store.list(kind.name)];
  const gone = new Set(known.map((one) => nameSent(kind, one)));
  return { remove: names.filter((name) => gone.has(name)), absent: names.filter((name) => !gone.has(name)) };
}

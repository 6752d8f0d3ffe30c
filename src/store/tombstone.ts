// What a commit leaves of the resources that it deletes, so that peers that were away can be told by name.

import type { Commit, Tombstone } from "#resources/store.ts";

export const tombstonesOf = ({ revision, changes }: Commit): readonly Tombstone[] =>
  changes.flatMap(({ id, before, after }) => (after ? [] : { ...id, labels: before?.labels ?? {}, revision }));

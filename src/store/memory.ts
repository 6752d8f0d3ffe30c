// A store that forgets everything when the process ends: for tests, and for trying things out.

import type { Clock, Random } from "#host/world.ts";
import { type Store, type Tombstone, tombstonesLastMs } from "#resources/store.ts";
import { groupedStore } from "#store/grouped.ts";
import { tombstonesOf } from "#store/tombstone.ts";

export function memoryStore(clock: Pick<Clock, "now">, random: Pick<Random, "uuid">): Store {
  let deleted: readonly { readonly tombstone: Tombstone; readonly at: number }[] = [];
  const lasting = () => deleted.filter(({ at }) => at > clock.now() - tombstonesLastMs);
  const journal = {
    id: random.uuid(),
    revision: 0,
    resources: [],
    notes: new Map(),
    openings: [{ id: random.uuid(), revision: 0 }],
    append(commit: Parameters<typeof tombstonesOf>[0]) {
      const added = tombstonesOf(commit);
      if (added.length === 0) return;
      deleted = [...lasting(), ...added.map((tombstone) => ({ tombstone, at: clock.now() }))];
    },
    tombstones: (kind: string, since: number) =>
      lasting().flatMap(({ tombstone }) => (tombstone.kind === kind && tombstone.revision > since ? tombstone : [])),
    close: () => {},
  };
  return groupedStore(journal, clock.now);
}

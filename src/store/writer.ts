// The one writer of what a control plane keeps itself: it compares what should exist with what does, and writes the
// difference. What is written in one turn is one commit. Equality ends the loop: what was written makes nothing else wanted.

import type { Log } from "#host/log.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { KodiakError } from "#lib/failure.ts";
import { describeId, type Resource, type ResourceId } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Edit, Store } from "#resources/store.ts";

/** Resources that should exist, by any key. */
export interface Owned {
  readonly wanted: Collection<Resource>;
  /** Whether one that leaves the collection is deleted. */
  readonly deletes: boolean;
}

export function ownedWriter(store: Store, log: Log, owned: readonly Owned[]): (changes: Changes) => void {
  const lastIdOf = new Map<string, ResourceId>();

  function editFor({ wanted, deletes }: Owned, key: string): Edit | undefined {
    const mark = `${wanted.name} ${key}`;
    const resource = wanted.get(key);
    const last = lastIdOf.get(mark);
    if (!resource) {
      lastIdOf.delete(mark);
      return deletes && last ? { kind: "delete", id: last } : undefined;
    }
    const { kind, mesh, name, modificationTime } = resource;
    lastIdOf.set(mark, { kind, mesh, name });
    // One that was made from what the store holds must not undo what somebody else writes meanwhile.
    return { kind: "put", resource, ...(modificationTime !== zeroTime && { expected: { modificationTime } }) };
  }

  function write(edit: Edit): void {
    store.write([edit]).catch((error: unknown) => {
      // Whoever was faster made a commit, and that makes this wanted anew.
      if (error instanceof KodiakError && error.failure.kind === "conflict") return;
      const id = edit.kind === "put" ? edit.resource : edit.id;
      log.error({ error: String(error), resource: describeId(id) }, "could not write what this control plane keeps");
    });
  }

  return (changes) => {
    for (const one of owned) {
      for (const key of changes.get(one.wanted) ?? []) {
        const edit = editFor(one, key);
        if (edit) write(edit);
      }
    }
  };
}

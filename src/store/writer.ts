// The one writer of what a control plane keeps itself: it compares what should exist with what does, and writes the
// difference. What is written in one turn is one commit. Equality ends the loop: what was written makes nothing else wanted.
//
// Records, which people read and no configuration does, wait for each other: they must cost a change nothing on its way to
// Envoy, a commit to the disk least of all.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { isConflict } from "#lib/failure.ts";
import { describeId, type Resource, type ResourceId } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { ResourceEdit, Store } from "#resources/store.ts";

/** Resources that should exist, by any key. */
export interface Owned {
  readonly wanted: Collection<Resource>;
  /** Whether one that leaves the collection is deleted. */
  readonly deletes: boolean;
  /** Whether one that somebody else writes meanwhile stays as they wrote it. */
  readonly onlyNew?: boolean;
  /** Written in a batch with others, at most once a second; absent: at once. */
  readonly isRecord?: boolean;
}

export interface OwnedWriter {
  publish(changes: Changes): void;
  /** Writes what still waits. */
  stop(): void;
}

const recordEveryMs = 1_000;
/** What comes with a change, as a proxy's acknowledgement does, is in the same batch. */
const gatherMs = 100;

export function ownedWriter(store: Store, clock: Clock, log: Log, owned: readonly Owned[]): OwnedWriter {
  const lastIdOf = new Map<string, ResourceId>();
  const waiting = new Map<Owned, Set<string>>();
  let lastRecordAt = 0;
  let cancelRecords: (() => void) | undefined;

  function editFor({ wanted, deletes, onlyNew = false }: Owned, key: string): ResourceEdit | undefined {
    const mark = `${wanted.name} ${key}`;
    const resource = wanted.get(key);
    const last = lastIdOf.get(mark);
    if (!resource) {
      lastIdOf.delete(mark);
      return deletes && last ? { kind: "delete", id: last } : undefined;
    }
    const { kind, mesh, name, modificationTime } = resource;
    lastIdOf.set(mark, { kind, mesh, name });
    if (onlyNew) return { kind: "put", resource, expected: "absent" };
    // One that was made from what the store holds must not undo what somebody else writes meanwhile.
    return { kind: "put", resource, ...(modificationTime !== zeroTime && { expected: { modificationTime } }) };
  }

  function write(edit: ResourceEdit): void {
    store.write([edit]).catch((error: unknown) => {
      // Whoever was faster made a commit, and that makes this wanted anew.
      if (isConflict(error)) return;
      const id = edit.kind === "put" ? edit.resource : edit.id;
      log.error({ error: String(error), resource: describeId(id) }, "could not write what this control plane keeps");
    });
  }

  function writeAll(one: Owned, keys: Iterable<string>): void {
    for (const key of keys) {
      const edit = editFor(one, key);
      if (edit) write(edit);
    }
  }

  function writeRecords(): void {
    cancelRecords?.();
    cancelRecords = undefined;
    lastRecordAt = clock.now();
    for (const [one, keys] of waiting) writeAll(one, keys);
    waiting.clear();
  }

  function recordSoon(one: Owned, keys: ReadonlySet<string>): void {
    waiting.set(one, new Set([...(waiting.get(one) ?? []), ...keys]));
    cancelRecords ??= clock.alarm(Math.max(clock.now() + gatherMs, lastRecordAt + recordEveryMs), writeRecords);
  }

  return {
    publish(changes) {
      for (const one of owned) {
        const keys = changes.get(one.wanted);
        if (!keys) continue;
        if (one.isRecord) recordSoon(one, keys);
        else writeAll(one, keys);
      }
    },
    stop: writeRecords,
  };
}

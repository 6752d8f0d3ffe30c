// Deletes what nobody provides any more, when its time has passed. Since when is a label in the store, so that no restart changes it.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { isConflict } from "#lib/failure.ts";
import { describeId, label, type Resource } from "#resources/resource.ts";
import type { ResourceEdit, Store } from "#resources/store.ts";

/** Kuma's (interop 8.2.2). */
export const graceMs = 3_600_000;

export interface GraceKeeperOptions {
  /** As they are stored. */
  readonly abandoned: Collection<Resource>;
  readonly store: Pick<Store, "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly log: Log;
}

export interface GraceKeeper {
  publish(changes: Changes): void;
  stop(): void;
}

export function graceKeeper({ abandoned, store, clock, log }: GraceKeeperOptions): GraceKeeper {
  /** Milliseconds since the epoch. */
  const ends = new Map<string, number>();
  let cancel = () => {};

  function write(edit: ResourceEdit, resource: Resource): void {
    store.write([edit]).catch((error: unknown) => {
      // Somebody has changed it, and that makes it looked at again.
      if (isConflict(error)) return;
      log.error({ error: String(error), resource: describeId(resource) }, "could not end what nobody provides");
    });
  }

  function look(key: string): void {
    const resource = abandoned.get(key);
    ends.delete(key);
    if (!resource) return;
    const { labels, modificationTime } = resource;
    const startedAt = Date.parse(labels[label.deletionStarted] ?? "");
    const expected = { modificationTime };
    if (Number.isNaN(startedAt)) {
      const said = { ...labels, [label.deletionStarted]: new Date(clock.now()).toISOString() };
      write({ kind: "put", resource: { ...resource, labels: said }, expected }, resource);
    } else if (clock.now() >= startedAt + graceMs) {
      write({ kind: "delete", id: resource, expected }, resource);
    } else {
      ends.set(key, startedAt + graceMs);
    }
  }

  function arm(): void {
    cancel();
    cancel = () => {};
    if (ends.size === 0) return;
    cancel = clock.alarm(Math.min(...ends.values()), () => {
      const due = [...ends].filter(([, end]) => end <= clock.now());
      for (const [key] of due) look(key);
      arm();
    });
  }

  return {
    publish(changes) {
      const keys = changes.get(abandoned);
      if (!keys) return;
      for (const key of keys) look(key);
      arm();
    },
    stop: () => cancel(),
  };
}

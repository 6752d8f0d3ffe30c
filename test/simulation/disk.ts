// What a control plane's commits become durable on, and what outlives it. It can be told to fail its program at the next
// commit, before that is durable or after: what was acknowledged must be there, and nothing of what was not need be.

import { keyOf, type Resource, type ResourceId } from "#resources/resource.ts";
import { type Store, type Tombstone, tombstonesLastMs } from "#resources/store.ts";
import { type Entry, groupedStore, type Opening } from "#store/grouped.ts";
import { tombstonesOf } from "#store/tombstone.ts";
import type { Program } from "./program.ts";

export interface Disk {
  /** The store of a program that starts; the one before it must have ended. */
  open(program: Program): Store;
  /** The program is killed at its next commit; `undefined`: it is not. */
  failNext(when: "before" | "after" | undefined): void;
  /** All commits since the beginning, in order. */
  readonly commits: readonly Entry[];
  /** As it would be after a restart. */
  resources(): Iterable<Resource>;
  get(id: ResourceId): Resource | undefined;
}

export function disk(id: string, initial: Iterable<Resource>): Disk {
  const resources = new Map<string, Resource>();
  const notes = new Map<string, string>();
  const commits: Entry[] = [];
  const openings: Opening[] = [];
  let deleted: { readonly tombstone: Tombstone; readonly at: number }[] = [];
  // Something was there before: a first start would make keys, which takes real time.
  let revision = 1;
  let failure: "before" | "after" | undefined;
  const placeOf = (one: ResourceId): string => `${one.kind} ${keyOf(one)}`;
  for (const resource of initial) resources.set(placeOf(resource), resource);

  function keep(entry: Entry, now: number): void {
    revision = entry.revision;
    for (const { id: changed, after } of entry.changes) {
      if (after) resources.set(placeOf(changed), after);
      else resources.delete(placeOf(changed));
    }
    for (const [key, text] of entry.notes) {
      if (text === undefined) notes.delete(key);
      else notes.set(key, text);
    }
    const added = tombstonesOf(entry).map((tombstone) => ({ tombstone, at: now }));
    deleted = [...deleted.filter(({ at }) => at > now - tombstonesLastMs), ...added];
    commits.push(entry);
  }

  return {
    commits,
    resources: () => resources.values(),
    get: (one) => resources.get(placeOf(one)),
    failNext(when) {
      failure = when;
    },
    open(program) {
      failure = undefined;
      openings.push({ id: program.random.uuid(), revision });
      return groupedStore(
        {
          id,
          revision,
          resources: [...resources.values()],
          notes: new Map(notes),
          openings: [...openings],
          append(entry) {
            if (failure === "before") program.kill();
            if (!program.isAlive) return;
            keep(entry, program.clock.now());
            if (failure === "after") program.kill();
          },
          tombstones: (kind, since) =>
            deleted.flatMap(({ tombstone }) =>
              tombstone.kind === kind && tombstone.revision > since ? tombstone : [],
            ),
          close: () => {},
        },
        program.clock.now,
      );
    },
  };
}

// What a control plane's commits become durable on, and what outlives it. It can be told to fail its program at the next
// commit, before that is durable or after: what was acknowledged must be there, and nothing of what was not need be. It can be
// lost, and be replaced by a new one or by a copy that was made earlier.

import { describeId, type Resource, type ResourceId } from "#resources/resource.ts";
import { type Store, type Tombstone, tombstonesLastMs } from "#resources/store.ts";
import { type Entry, groupedStore, type Opening } from "#store/grouped.ts";
import { tombstonesOf } from "#store/tombstone.ts";
import type { Program } from "./program.ts";

export interface Disk {
  /** The store of a program that starts; the one before it must have ended. */
  open(program: Program): Store;
  /** The program is killed at its next commit; `undefined`: it is not. */
  failNext(when: "before" | "after" | undefined): void;
  /** All commits since the beginning, in order, whatever has become of them. */
  readonly commits: readonly Entry[];
  /** As it would be after a restart. */
  resources(): Iterable<Resource>;
  get(id: ResourceId): Resource | undefined;
  copy(): DiskCopy;
  /** Nothing must run on it. */
  restore(copy: DiskCopy): void;
  /** From here on there is another one, with what a control plane makes at its first start. Nothing must run on it. */
  lose(): void;
}

/** Not to be changed. */
export interface DiskCopy {
  readonly id: string;
  readonly revision: number;
  readonly resources: ReadonlyMap<string, Resource>;
  readonly notes: ReadonlyMap<string, string>;
  readonly openings: readonly Opening[];
  readonly deleted: readonly { readonly tombstone: Tombstone; readonly at: number }[];
}

/** `initial`: what is on the first disk, the second, and so on. */
export function disk(name: string, initial: (life: number) => Iterable<Resource>): Disk {
  const commits: Entry[] = [];
  let life = 0;
  let now = nextLife();
  let failure: "before" | "after" | undefined;

  function nextLife(): DiskCopy {
    life++;
    const resources = new Map([...initial(life)].map((resource) => [describeId(resource), resource]));
    // Something was there before: a first start would make keys, which takes real time.
    return { id: `${name}-${life}`, revision: 1, resources, notes: new Map(), openings: [], deleted: [] };
  }

  return {
    commits,
    resources: () => now.resources.values(),
    get: (one) => now.resources.get(describeId(one)),
    failNext(when) {
      failure = when;
    },
    copy: () => ({ ...now, resources: new Map(now.resources), notes: new Map(now.notes) }),
    restore(copy) {
      now = copy;
    },
    lose() {
      now = nextLife();
    },
    open(program) {
      failure = undefined;
      const resources = new Map(now.resources);
      const notes = new Map(now.notes);
      const openings = [...now.openings, { id: program.random.uuid(), revision: now.revision }];
      const { id, revision } = now;
      now = { ...now, resources, notes, openings };

      function keep(entry: Entry): void {
        for (const { id: changed, after } of entry.changes) {
          if (after) resources.set(describeId(changed), after);
          else resources.delete(describeId(changed));
        }
        for (const [key, text] of entry.notes) {
          if (text === undefined) notes.delete(key);
          else notes.set(key, text);
        }
        const at = program.clock.now();
        const added = tombstonesOf(entry).map((tombstone) => ({ tombstone, at }));
        const remembered = now.deleted.filter((one) => one.at > at - tombstonesLastMs);
        now = { ...now, revision: entry.revision, deleted: [...remembered, ...added] };
        commits.push(entry);
      }

      return groupedStore(
        {
          id,
          revision,
          resources: [...resources.values()],
          notes: new Map(notes),
          openings,
          append(entry) {
            if (failure === "before") program.kill();
            if (!program.isAlive) return;
            keep(entry);
            if (failure === "after") program.kill();
          },
          tombstones: (kind, since) =>
            now.deleted.flatMap(({ tombstone }) =>
              tombstone.kind === kind && tombstone.revision > since ? tombstone : [],
            ),
          close: () => {},
        },
        program.clock.now,
      );
    },
  };
}

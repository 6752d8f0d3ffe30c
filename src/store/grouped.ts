// What all stores have in common: reads from memory, and group commit. Writes of one turn of the event loop wait in a queue;
// at its end they become one commit:
//
//   write ─┐
//   write ─┼─► preconditions, one by one ─► net changes ─► journal (durable) ─► index ─► acknowledgements, watchers
//   write ─┘    (broken: only this one rejects)

import { KodiakError } from "#lib/failure.ts";
import { describeId, keyOf, type Resource, type ResourceId } from "#resources/resource.ts";
import { isSameContent } from "#resources/rest.ts";
import type { Change, Commit, Edit, Expected, Store, Tombstone } from "#resources/store.ts";
import { resourceIndex } from "#store/resource-index.ts";

/** Where commits become durable. */
export interface Journal {
  readonly id: string;
  /** What it holds at the start. */
  readonly revision: number;
  readonly resources: Iterable<Resource>;
  readonly notes: ReadonlyMap<string, string>;
  /** Oldest first; the last is this one. `revision`: what it began with. */
  readonly openings: readonly Opening[];
  /** Returns when the entry is durable; throws `unavailable` and keeps nothing of it if that fails. */
  append(entry: Entry): void;
  tombstones(kind: string, since: number): readonly Tombstone[];
  close(): void;
}

export interface Opening {
  readonly id: string;
  readonly revision: number;
}

/** One of notes alone has the revision before. */
export interface Entry extends Commit {
  /** `undefined`: ended. */
  readonly notes: ReadonlyMap<string, string | undefined>;
}

interface Waiting {
  readonly edits: readonly Edit[];
  readonly resolve: (revision: number) => void;
  readonly reject: (reason: unknown) => void;
}
/** State after the edits so far, where it differs from the index; `undefined` is deleted. */
interface Overlay {
  readonly resources: Map<string, { readonly id: ResourceId; readonly after: Resource | undefined }>;
  readonly notes: Map<string, string | undefined>;
}
const emptyOverlay = (): Overlay => ({ resources: new Map(), notes: new Map() });

export function groupedStore(journal: Journal, now: () => number): Store {
  const index = resourceIndex(journal.resources);
  const notes = new Map(journal.notes);
  const watchers = new Set<(commit: Commit) => void>();
  const nextTime = risingTimes(now, index.all());
  let revision = journal.revision;
  let queue: Waiting[] = [];
  let turnEnd: NodeJS.Immediate | undefined;
  let isClosed = false;

  return {
    id: journal.id,
    get revision() {
      return revision;
    },
    opening: journal.openings.at(-1)?.id ?? "",
    includes({ store, opening, revision: then }) {
      const at = journal.openings.findIndex(({ id }) => id === opening);
      if (store !== journal.id || at < 0) return false;
      return then <= (journal.openings[at + 1]?.revision ?? revision);
    },
    get: index.get,
    list: index.list,
    all: index.all,
    tombstones: journal.tombstones,
    note: (key) => notes.get(key),
    write: (edits) =>
      new Promise((resolve, reject) => {
        if (isClosed) throw new KodiakError({ kind: "unavailable", what: "the store is closed" });
        queue.push({ edits, resolve, reject });
        turnEnd ??= setImmediate(commitQueue);
      }),
    watch: (onCommit) => {
      const watcher = (commit: Commit): void => onCommit(commit);
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      commitQueue();
      watchers.clear();
      journal.close();
    },
  };

  function commitQueue(): void {
    clearImmediate(turnEnd);
    turnEnd = undefined;
    const waiting = queue;
    queue = [];
    const time = nextTime();
    const overlay = emptyOverlay();
    const accepted: Waiting[] = [];
    for (const one of waiting) {
      try {
        const added = edited(overlay, one.edits, time);
        for (const [key, state] of added.resources) overlay.resources.set(key, state);
        for (const [key, text] of added.notes) overlay.notes.set(key, text);
        accepted.push(one);
      } catch (error) {
        one.reject(error);
      }
    }
    const changes = netChanges(overlay);
    const changedNotes = new Map([...overlay.notes].filter(([key, text]) => notes.get(key) !== text));
    if (changes.length > 0 || changedNotes.size > 0) {
      const commit: Commit = { revision: changes.length > 0 ? revision + 1 : revision, changes };
      try {
        journal.append({ ...commit, notes: changedNotes });
      } catch (error) {
        for (const one of accepted) one.reject(error);
        return;
      }
      for (const [key, text] of changedNotes) {
        if (text === undefined) notes.delete(key);
        else notes.set(key, text);
      }
      revision = commit.revision;
      index.apply(changes);
      if (changes.length > 0) for (const tell of [...watchers]) if (watchers.has(tell)) tell(commit);
    }
    for (const one of accepted) one.resolve(revision);
  }

  /** What one write adds to the overlay; throws `conflict` if an expectation is broken. */
  function edited(overlay: Overlay, edits: readonly Edit[], time: string): Overlay {
    const added = emptyOverlay();
    for (const edit of edits) {
      if (edit.kind === "note") {
        const [earlier] = [added.notes, overlay.notes].filter((known) => known.has(edit.key));
        if ((earlier ?? notes).get(edit.key) !== edit.before) throw conflict(`${edit.key} has been changed meanwhile`);
        added.notes.set(edit.key, edit.after);
        continue;
      }
      const { kind, mesh, name } = edit.kind === "put" ? edit.resource : edit.id;
      const id: ResourceId = { kind, mesh, name };
      const key = `${kind}/${keyOf(id)}`;
      const earlier = added.resources.get(key) ?? overlay.resources.get(key);
      const before = earlier ? earlier.after : index.get(id);
      if (edit.expected !== undefined) check(id, before, edit.expected);
      added.resources.set(key, { id, after: edit.kind === "put" ? written(edit.resource, before, time) : undefined });
    }
    return added;
  }

  function netChanges(overlay: Overlay): Change[] {
    const changes: Change[] = [];
    for (const { id, after } of overlay.resources.values()) {
      const before = index.get(id);
      if (before === after || (before && after && isSameContent(before, after))) continue;
      changes.push({ id, before, after });
    }
    return changes;
  }
}

function check(id: ResourceId, before: Resource | undefined, expected: Expected): void {
  if (expected === "absent") {
    if (before) throw conflict(`${describeId(id)} exists already`);
  } else if (!before) throw conflict(`${describeId(id)} has been deleted meanwhile`);
  else if (before.modificationTime !== expected.modificationTime)
    throw conflict(`${describeId(id)} has been changed meanwhile; read it again and repeat the change`);
}
const conflict = (what: string): KodiakError => new KodiakError({ kind: "conflict", what });

function written(resource: Resource, before: Resource | undefined, time: string): Resource {
  if (before && isSameContent(before, resource)) return before;
  return { ...resource, creationTime: before?.creationTime ?? time, modificationTime: time };
}

/**
 * Times of commits in RFC 3339, each later than all before, whatever the clock does: a modification time is a precondition,
 * so two states of a resource must not share one.
 */
function risingTimes(now: () => number, resources: Iterable<Resource>): () => string {
  let lastNs = 0n;
  for (const resource of resources) {
    const ns = nanoseconds(resource.modificationTime);
    if (ns > lastNs) lastNs = ns;
  }
  return () => {
    const clockNs = BigInt(Math.floor(now())) * nsPerMs;
    lastNs = clockNs > lastNs ? clockNs : lastNs + 1n;
    return timeText(lastNs);
  };
}

const nsPerMs = 1_000_000n;
const timeText = (ns: bigint): string => {
  const iso = new Date(Number(ns / nsPerMs)).toISOString();
  const rest = ns % nsPerMs;
  return rest === 0n ? iso : `${iso.slice(0, -1)}${String(rest).padStart(6, "0")}Z`;
};
function nanoseconds(time: string): bigint {
  const rest = /\.\d{3}(\d{1,6})Z$/.exec(time)?.[1] ?? "0";
  return BigInt(Date.parse(time)) * nsPerMs + BigInt(rest.padEnd(6, "0"));
}

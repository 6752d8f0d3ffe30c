// The contract of a store: a consistent start, an ordered watch, transactions, revisions that a watcher never skips.
// The implementations pass one suite: `contract.test.ts`.

import type { Labels, Resource, ResourceId } from "#resources/resource.ts";

export type Edit = ResourceEdit | NoteEdit;
export type ResourceEdit =
  | { readonly kind: "put"; readonly resource: Resource; readonly expected?: Expected }
  | { readonly kind: "delete"; readonly id: ResourceId; readonly expected?: Expected };
export interface NoteEdit {
  readonly kind: "note";
  readonly key: string;
  /** What it must be; else the transaction fails with a conflict. */
  readonly before: string | undefined;
  /** `undefined` ends it. */
  readonly after: string | undefined;
}

/** A precondition; broken, the whole transaction fails with a conflict. `absent`: must not exist. Else the modificationTime it must have. */
export type Expected = "absent" | { readonly modificationTime: string };

/** One transaction as watchers see it, in the order of revisions. */
export interface Commit {
  readonly revision: number;
  /** Net effect by identity: at most one entry each. Writes that changed nothing are not listed. */
  readonly changes: readonly Change[];
}
export interface Change {
  readonly id: ResourceId;
  readonly before: Resource | undefined;
  readonly after: Resource | undefined;
}

/** What is left of a resource that was deleted: for 30 days, or until it is made again and deleted later. */
export interface Tombstone extends ResourceId {
  readonly labels: Labels;
  /** In which it was deleted. */
  readonly revision: number;
}
export const tombstonesLastMs = 30 * 86_400_000;

/** A moment in the history of a store. */
export interface Moment {
  readonly store: string;
  /** Of those times that the store was opened. */
  readonly opening: string;
  readonly revision: number;
}

export interface Store {
  /** Made with the store, never changes: tells one store from another that replaced it. */
  readonly id: string;
  readonly revision: number;
  /** Made when it was opened: a copy that was put in its place has other openings from there on. */
  readonly opening: string;
  /** Whether the moment is in this store's past. One that was restored from an older copy does not know what came after that. */
  includes(moment: Moment): boolean;
  get(id: ResourceId): Resource | undefined;
  /** Sorted by mesh, then name. */
  list(kind: string): readonly Resource[];
  all(): Iterable<Resource>;
  /** Those later than the revision. */
  tombstones(kind: string, since: number): readonly Tombstone[];
  /** A text that this control plane keeps for itself. It is no resource: nobody watches it, and it makes no revision. */
  note(key: string): string | undefined;
  /**
   * All edits or none. Resolves when they are durable, with the revision that holds them. What is written in one turn of the
   * event loop is one commit and one fsync. The store sets the times of what it writes; a put that equals what is there
   * changes nothing but is no error. Rejects with a `conflict` where an expectation is broken.
   */
  write(edits: readonly Edit[]): Promise<number>;
  /** Called with each later commit, in order, after it is durable. Returns the end of the watch. */
  watch(onCommit: (commit: Commit) => void): () => void;
  close(): Promise<void>;
}

/** A state to check against: the store's, or the one after a transaction that is being put together. */
export type View = Pick<Store, "get" | "list">;

// The contract of a store: a consistent start, an ordered watch, transactions, revisions that a watcher never skips.
// The implementations pass one suite: `contract.test.ts`.

import type { Resource, ResourceId } from "#resources/resource.ts";

export type Edit =
  | { readonly kind: "put"; readonly resource: Resource; readonly expected?: Expected }
  | { readonly kind: "delete"; readonly id: ResourceId; readonly expected?: Expected };

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

export interface Store {
  /** Made with the store, never changes: tells one store from another that replaced it. */
  readonly id: string;
  readonly revision: number;
  get(id: ResourceId): Resource | undefined;
  /** Sorted by mesh, then name. */
  list(kind: string): readonly Resource[];
  all(): Iterable<Resource>;
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

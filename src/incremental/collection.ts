// What a derivation may read: collections, by key. Reads are recorded, so that a change finds its readers.

export interface Collection<V> {
  readonly name: string;
  get(key: string): V | undefined;
  keys(): Iterable<string>;
  readonly size: number;
}

/** How a derivation reads; every read is remembered as a dependency of the key that is being computed. */
export interface Read {
  one<V>(from: Collection<V>, key: string): V | undefined;
  /** Coarse: any change of the collection recomputes the reader. */
  all<V>(from: Collection<V>): ReadonlyMap<string, V>;
}

export interface Source<V> extends Collection<V> {
  /** `undefined` removes. Takes effect at once for `get`, for readers with the next `settle`. Equal values are no change. */
  set(key: string, value: V | undefined): void;
}

/** Members by the key of their input. */
export type Group<I> = ReadonlyMap<string, I>;

/**
 * Builds collections. A collection reads only those built before it, so cycles can't be written; the order of building is
 * the order of settling. Two implementations: `graph.ts` recomputes what changed, `plain.ts` everything.
 */
export interface Graph {
  source<V>(name: string): Source<V>;
  /** One output for each key of the input; `undefined` is none. An equal result keeps the old value's identity. */
  derive<I, O>(
    name: string,
    input: Collection<I>,
    compute: (value: I, read: Read, key: string) => O | undefined,
  ): Collection<O>;
  /** Regroups: each input yields `[group key, item]` any number of times; a group is a map from the input's key to its item. */
  group<I, G>(
    name: string,
    input: Collection<I>,
    split: (value: I, key: string) => Iterable<readonly [string, G]>,
  ): Collection<Group<G>>;
  /** The keys of both; what the first has of a key goes before what the second has. */
  union<V>(name: string, first: Collection<V>, second: Collection<V>): Collection<V>;
  /** Recomputes what is stale, then calls `publish` once with the changed keys of each collection that changed. */
  settle(): Changes;
  readonly counts: Counts;
}

export type Changes = ReadonlyMap<Collection<unknown>, ReadonlySet<string>>;

/** For tests and the bench: what the engine did since it was made. */
export interface Counts {
  /** Keys computed, by collection. */
  readonly recomputed: ReadonlyMap<string, number>;
  readonly reads: number;
}

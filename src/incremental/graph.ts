// The incremental engine: recomputes the keys whose reads changed, and nothing else.
//
//   source ──► derive ──► group ──► derive      each knows who read which of its keys;
//      └─────────────────read─────────▲         heights are the order of construction
//
// A key is recomputed at most once in a settle, after everything it may read is settled; an equal result stops there.

import type { Changes, Collection, Counts, Graph, Group, Read, Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";

export function incrementalGraph(): Graph {
  const nodes: Node[] = [];
  const recomputed = new Map<string, number>();
  const counts = { recomputed, reads: 0 };

  const count = (name: string) => recomputed.set(name, (recomputed.get(name) ?? 0) + 1);
  const add = <N extends Node>(node: N): N => {
    nodes.push(node);
    return node;
  };

  return {
    counts: counts satisfies Counts,
    source: <V>(name: string) => add(new SourceNode<V>(name, nodes.length)),
    derive: <I, O>(name: string, input: Collection<I>, compute: (value: I, read: Read, key: string) => O | undefined) =>
      add(
        new DerivedNode<I, O>(
          name,
          nodes.length,
          ownNode(input),
          compute,
          () => count(name),
          () => counts.reads++,
        ),
      ),
    group: <I, G>(
      name: string,
      input: Collection<I>,
      split: (value: I, key: string) => Iterable<readonly [string, G]>,
    ) => add(new GroupNode<I, G>(name, nodes.length, ownNode(input), split, () => count(name))),
    union: <V>(name: string, first: Collection<V>, second: Collection<V>) =>
      add(new UnionNode<V>(name, nodes.length, ownNode(first), ownNode(second))),
    settle(): Changes {
      const changes = new Map<Collection<unknown>, ReadonlySet<string>>();
      for (const node of nodes) {
        node.recompute();
        const changed = node.takeChanged();
        if (changed.size > 0) changes.set(node, changed);
      }
      return changes;
    },
  };
}

/** A key of a derivation that read something. */
interface Cell {
  readonly node: Node;
  readonly key: string;
  /** What it read when it was computed last; no key: all of it. */
  reads: { readonly from: Node; readonly key: string | undefined }[];
}

abstract class Node<V = unknown> implements Collection<V> {
  readonly name: string;
  readonly height: number;
  readonly stale = new Set<string>();
  readonly #values = new Map<string, V>();
  readonly #followers: Node[] = [];
  readonly #readersOf = new Map<string, Set<Cell>>();
  readonly #readersOfAll = new Set<Cell>();
  #changed = new Set<string>();

  constructor(name: string, height: number) {
    this.name = name;
    this.height = height;
  }

  get size(): number {
    return this.#values.size;
  }
  get(key: string): V | undefined {
    return this.#values.get(key);
  }
  keys(): Iterable<string> {
    return this.#values.keys();
  }

  abstract recompute(): void;

  /** `follower` is computed again for each key that changes here; it starts with those that are there. */
  followedBy(follower: Node): void {
    this.#followers.push(follower);
    for (const key of this.#values.keys()) follower.stale.add(key);
  }

  readOne(reader: Cell, key: string): V | undefined {
    const readers = this.#readersOf.get(key);
    if (readers) readers.add(reader);
    else this.#readersOf.set(key, new Set([reader]));
    reader.reads.push({ from: this, key });
    return this.#values.get(key);
  }

  readAll(reader: Cell): ReadonlyMap<string, V> {
    this.#readersOfAll.add(reader);
    reader.reads.push({ from: this, key: undefined });
    return this.#values;
  }

  forget(reader: Cell, key: string | undefined): void {
    if (key === undefined) {
      this.#readersOfAll.delete(reader);
      return;
    }
    const readers = this.#readersOf.get(key);
    readers?.delete(reader);
    if (readers?.size === 0) this.#readersOf.delete(key);
  }

  protected put(key: string, value: V | undefined): void {
    const old = this.#values.get(key);
    if (isEqual(old, value)) return;
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
    this.#changed.add(key);
    for (const follower of this.#followers) follower.stale.add(key);
    for (const reader of this.#readersOf.get(key) ?? []) reader.node.stale.add(reader.key);
    for (const reader of this.#readersOfAll) reader.node.stale.add(reader.key);
  }

  takeChanged(): ReadonlySet<string> {
    const changed = this.#changed;
    if (changed.size > 0) this.#changed = new Set();
    return changed;
  }
}

/** Collections of one graph can't be mixed with those of another: a programmer's mistake. */
function ownNode<V>(collection: Collection<V>): Node<V> {
  if (!(collection instanceof Node)) throw new TypeError(`${collection.name} belongs to another graph`);
  return collection;
}

class SourceNode<V> extends Node<V> implements Source<V> {
  set(key: string, value: V | undefined): void {
    this.put(key, value);
  }
  recompute(): void {}
}

class DerivedNode<I, O> extends Node<O> {
  readonly #input: Node<I>;
  readonly #compute: (value: I, read: Read, key: string) => O | undefined;
  readonly #computed: () => void;
  readonly #wasRead: () => void;
  readonly #cells = new Map<string, Cell>();

  constructor(
    name: string,
    height: number,
    input: Node<I>,
    compute: (value: I, read: Read, key: string) => O | undefined,
    computed: () => void,
    wasRead: () => void,
  ) {
    super(name, height);
    this.#input = input;
    this.#compute = compute;
    this.#computed = computed;
    this.#wasRead = wasRead;
    input.followedBy(this);
  }

  recompute(): void {
    for (const key of this.stale) {
      const cell = this.#cells.get(key) ?? { node: this, key, reads: [] };
      for (const read of cell.reads) read.from.forget(cell, read.key);
      cell.reads = [];
      const value = this.#input.get(key);
      if (value === undefined) {
        this.#cells.delete(key);
        this.put(key, undefined);
        continue;
      }
      this.#cells.set(key, cell);
      this.#computed();
      this.put(key, this.#compute(value, this.#readFor(cell), key));
    }
    this.stale.clear();
  }

  #readFor(cell: Cell): Read {
    const node = <V>(from: Collection<V>): Node<V> => {
      const own = ownNode(from);
      if (own.height >= this.height) throw new TypeError(`${this.name} can't read ${from.name}: it was built later`);
      this.#wasRead();
      return own;
    };
    return {
      one: (from, key) => node(from).readOne(cell, key),
      all: (from) => node(from).readAll(cell),
    };
  }
}

class GroupNode<I, G> extends Node<Group<G>> {
  readonly #input: Node<I>;
  readonly #split: (value: I, key: string) => Iterable<readonly [string, G]>;
  readonly #computed: () => void;
  /** Input key → the groups it is in, and as what. */
  readonly #membership = new Map<string, ReadonlyMap<string, G>>();

  constructor(
    name: string,
    height: number,
    input: Node<I>,
    split: (value: I, key: string) => Iterable<readonly [string, G]>,
    computed: () => void,
  ) {
    super(name, height);
    this.#input = input;
    this.#split = split;
    this.#computed = computed;
    input.followedBy(this);
  }

  recompute(): void {
    const touched = new Map<string, Map<string, G>>();
    const groupFor = (name: string): Map<string, G> => {
      const group = touched.get(name) ?? new Map(this.get(name));
      touched.set(name, group);
      return group;
    };
    for (const key of this.stale) {
      const value = this.#input.get(key);
      if (value !== undefined) this.#computed();
      const before = this.#membership.get(key);
      const after = new Map(value === undefined ? [] : this.#split(value, key));
      for (const name of before?.keys() ?? []) if (!after.has(name)) groupFor(name).delete(key);
      for (const [name, item] of after) if (!isEqual(before?.get(name), item)) groupFor(name).set(key, item);
      if (after.size === 0) this.#membership.delete(key);
      else this.#membership.set(key, after);
    }
    this.stale.clear();
    for (const [name, group] of touched) this.put(name, group.size === 0 ? undefined : group);
  }
}

class UnionNode<V> extends Node<V> {
  readonly #first: Node<V>;
  readonly #second: Node<V>;

  constructor(name: string, height: number, first: Node<V>, second: Node<V>) {
    super(name, height);
    this.#first = first;
    this.#second = second;
    first.followedBy(this);
    second.followedBy(this);
  }

  recompute(): void {
    for (const key of this.stale) this.put(key, this.#first.get(key) ?? this.#second.get(key));
    this.stale.clear();
  }
}

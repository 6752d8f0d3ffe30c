// The plain engine: every settle computes everything. Slow and evidently right; `graph.ts` must give the same.

import type { Changes, Collection, Graph, Group, Read, Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";

export function plainGraph(): Graph {
  const nodes: PlainNode<unknown>[] = [];
  const recomputed = new Map<string, number>();
  const read: Read = {
    one: (from, key) => from.get(key),
    all: (from) => new Map([...from.keys()].map((key) => [key, from.get(key)!] as const)),
  };

  function add<V>(name: string, compute: (() => Map<string, V>) | undefined): PlainNode<V> {
    const node = new PlainNode<V>(name, compute);
    nodes.push(node);
    return node;
  }
  const count = (name: string) => recomputed.set(name, (recomputed.get(name) ?? 0) + 1);

  return {
    counts: { recomputed, reads: 0 },
    source: <V>(name: string): Source<V> => add<V>(name, undefined),
    derive: <I, O>(name: string, input: Collection<I>, compute: (value: I, read: Read, key: string) => O | undefined) =>
      add<O>(name, () => {
        const output = new Map<string, O>();
        for (const key of input.keys()) {
          count(name);
          const value = compute(input.get(key)!, read, key);
          if (value !== undefined) output.set(key, value);
        }
        return output;
      }),
    group: <I, G>(
      name: string,
      input: Collection<I>,
      split: (value: I, key: string) => Iterable<readonly [string, G]>,
    ) =>
      add<Group<G>>(name, () => {
        const groups = new Map<string, Map<string, G>>();
        for (const key of input.keys()) {
          count(name);
          for (const [group, item] of split(input.get(key)!, key)) {
            if (!groups.has(group)) groups.set(group, new Map());
            groups.get(group)!.set(key, item);
          }
        }
        return groups;
      }),
    union: <V>(name: string, first: Collection<V>, second: Collection<V>) =>
      add<V>(name, () => new Map([second, first].flatMap((of) => [...of.keys()].map((key) => [key, of.get(key)!])))),
    settle(): Changes {
      const changes = new Map<Collection<unknown>, ReadonlySet<string>>();
      for (const node of nodes) {
        const changed = node.refresh();
        if (changed.size > 0) changes.set(node, changed);
      }
      return changes;
    },
  };
}

class PlainNode<V> implements Source<V> {
  readonly name: string;
  readonly #compute: (() => Map<string, V>) | undefined;
  #values = new Map<string, V>();
  #published: ReadonlyMap<string, V> = new Map();

  constructor(name: string, compute: (() => Map<string, V>) | undefined) {
    this.name = name;
    this.#compute = compute;
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
  set(key: string, value: V | undefined): void {
    if (value === undefined) this.#values.delete(key);
    else this.#values.set(key, value);
  }

  refresh(): Set<string> {
    if (this.#compute) this.#values = this.#compute();
    const changed = new Set<string>();
    for (const [key, value] of this.#values) if (!isEqual(value, this.#published.get(key))) changed.add(key);
    for (const key of this.#published.keys()) if (!this.#values.has(key)) changed.add(key);
    this.#published = new Map(this.#values);
    return changed;
  }
}

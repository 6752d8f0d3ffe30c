// The graph of a running control plane: its sources follow the store, and it settles once for each commit and once for each
// turn of the event loop in which the shell changed another source.

import type { Changes, Collection, Graph, Source } from "#incremental/collection.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

export interface Live {
  /** After building everything: settles, follows the store from here on, and publishes each batch of changes. */
  start(publish: (changes: Changes) => void): void;
  /** A source that is not the store's has changed: settles at the end of this turn. */
  touch(): void;
  stop(): void;
}

export interface ResourceSources {
  of<Spec>(kind: string): Collection<Resource<Spec>>;
}

/** One source for each kind, filled from the store. */
export function resourceSources(
  graph: Graph,
  store: Store,
): ResourceSources & { set(resource: Resource | undefined, kind: string, key: string): void } {
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  for (const resource of store.all()) sources.get(resource.kind)?.set(keyOf(resource), resource);
  const source = (kind: string): Source<Resource> => {
    const found = sources.get(kind);
    if (!found) throw new Error(`no kind ${kind}`);
    return found;
  };
  return {
    // The kind says what the spec is: the store holds only what its schema accepted.
    of: <Spec>(kind: string) => source(kind) as Collection<Resource<Spec>>,
    set: (resource, kind, key) => source(kind).set(key, resource),
  };
}

export function live(graph: Graph, store: Store, sources: ReturnType<typeof resourceSources>): Live {
  let publish: ((changes: Changes) => void) | undefined;
  let pending: NodeJS.Immediate | undefined;

  // Nothing is settled before somebody listens: what changes until then is part of the first batch.
  const settle = (): void => {
    pending = undefined;
    if (!publish) return;
    const changes = graph.settle();
    if (changes.size > 0) publish(changes);
  };
  const unwatch = store.watch(({ changes }) => {
    for (const { id, after } of changes) sources.set(after, id.kind, keyOf(id));
    settle();
  });

  return {
    start(onChanges) {
      publish = onChanges;
      settle();
    },
    touch() {
      pending ??= setImmediate(settle);
    },
    stop() {
      unwatch();
      clearImmediate(pending);
    },
  };
}

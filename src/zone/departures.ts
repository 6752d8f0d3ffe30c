// Instances whose Dataplane was deleted, or does not name their service any more. Other zones hear of it later than this zone, and
// what was on its way to them has to arrive: the way through the ingress stays as long as proxies drain, or until they have ended.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Clock } from "#host/world.ts";
import type { Collection, Source } from "#incremental/collection.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { departedFrom, isCounted, type Mark } from "#topology/provider.ts";

export interface DeparturesOptions {
  readonly store: Pick<Store, "watch">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** Of a proxy that was away already nothing is on its way. */
  readonly marked: Collection<Mark>;
  /** By a key of its own for each. */
  readonly departed: Source<Resource<DataplaneJson>>;
  /** Tells the graph that `departed` has changed later than a commit. */
  readonly touch: () => void;
}

export interface Departures {
  /**
   * The stream of a proxy has ended, by the key of its Dataplane. What had departed is taken for ended with it: an ingress tries three
   * instances for a connection, and must find one that serves among them.
   */
  gone(dataplane: string): void;
  stop(): void;
}

/** The time that proxies drain unless they are told another one (`kodiak run proxy --drain-time`). */
export const departedForMs = 30_000;

/** Must watch the store before the graph settles what is in a commit. */
export function departures({ store, clock, marked, departed, touch }: DeparturesOptions): Departures {
  /** What ends each, by Dataplane. */
  const ends = new Map<string, Set<() => void>>();
  let count = 0;
  const unwatch = store.watch(({ changes }) => {
    for (const { id, before, after } of changes) {
      if (id.kind !== "Dataplane" || !before || !isCounted(marked.get(keyOf(id)))) continue;
      const gone = departedFrom(before as Resource<DataplaneJson>, after as Resource<DataplaneJson> | undefined);
      if (gone) depart(keyOf(id), gone);
    }
  });

  function depart(dataplane: string, gone: Resource<DataplaneJson>): void {
    const key = `departed ${++count}`;
    departed.set(key, gone);
    const own = ends.get(dataplane) ?? new Set();
    const end = () => {
      cancel();
      departed.set(key, undefined);
      own.delete(end);
      if (own.size === 0) ends.delete(dataplane);
    };
    const cancel = clock.alarm(clock.now() + departedForMs, () => {
      end();
      touch();
    });
    ends.set(dataplane, own.add(end));
  }

  return {
    gone(dataplane) {
      const own = ends.get(dataplane);
      if (!own) return;
      for (const end of own) end();
      touch();
    },
    stop() {
      unwatch();
      for (const own of ends.values()) for (const end of own) end();
    },
  };
}

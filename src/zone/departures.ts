// Instances whose Dataplane was deleted, or does not name their service any more. Other zones hear of it later than this zone, and
// what was on its way to them has to arrive: the way through the ingress stays as long as proxies drain.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Clock } from "#host/world.ts";
import type { Collection, Source } from "#incremental/collection.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { departedFrom, type Mark, type Provided } from "#topology/provider.ts";

export interface DeparturesOptions {
  readonly store: Pick<Store, "watch">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** Of a proxy that was away already nothing is on its way. */
  readonly marked: Collection<Mark>;
  /** By a key of its own for each. */
  readonly departed: Source<Provided>;
  /** Tells the graph that `departed` has changed later, by itself. */
  readonly touch: () => void;
}

/** The time that proxies drain unless they are told another one (`kodiak run proxy --drain-time`). */
export const departedForMs = 30_000;

/** Must watch the store before the graph settles what is in a commit. Returns its end. */
export function departures({ store, clock, marked, departed, touch }: DeparturesOptions): () => void {
  const ends = new Set<() => void>();
  let count = 0;
  const unwatch = store.watch(({ changes }) => {
    for (const { id, before, after } of changes) {
      if (id.kind !== "Dataplane" || !before || marked.get(keyOf(id))) continue;
      const gone = departedFrom(before as Resource<DataplaneJson>, after as Resource<DataplaneJson> | undefined);
      if (gone.size === 0) continue;
      const key = `departed ${++count}`;
      departed.set(key, gone);
      const cancel = clock.alarm(clock.now() + departedForMs, () => {
        ends.delete(cancel);
        departed.set(key, undefined);
        touch();
      });
      ends.add(cancel);
    }
  });
  return () => {
    unwatch();
    for (const cancel of ends) cancel();
  };
}

// What is to be sent, shared by all streams: each resource encoded once, each kind one set. A stream has a set of its own only
// where something of the kind is not for its zone.
//
//   resources ─► derive (encode) ─► one set a kind ─┬─► zone-1: the same map
//                                                   └─► zone-2: without what it sent itself

import { type Item, type Wanted, wantedOf } from "#discovery/item.ts";
import type { Changes, Collection, Graph } from "#incremental/collection.ts";
import { type Audience, itemFor, type Outgoing } from "#kds/audience.ts";
import { downward } from "#kds/down.ts";
import { upward } from "#kds/up.ts";
import { globalToZoneKinds, zoneToGlobalKinds } from "#resources/kinds.ts";
import { label, type Resource } from "#resources/resource.ts";

export type SourceOf = (kind: string) => Collection<Resource>;
/** By the name of the kind. */
export type OutgoingByKind = ReadonlyMap<string, Collection<Outgoing>>;

const together = "all";

/** What global sends to its zones. */
export function downwardResources(graph: Graph, sourceOf: SourceOf): OutgoingByKind {
  const zones = sourceOf("Zone");
  const disabled = graph.group("disabled zones", zones, ({ spec }) =>
    spec.enabled === false ? [[together, true as const]] : [],
  );
  return new Map(
    globalToZoneKinds.map((kind) => [
      kind.name,
      graph.derive<Resource, Outgoing>(`kds ${kind.name}`, sourceOf(kind.name), (resource, read) =>
        downward(kind, resource, {
          disabled: [...(read.one(disabled, together)?.keys() ?? [])].sort(),
          drainedSince: (zone) => read.one(zones, zone)?.labels[label.drainedSince],
        }),
      ),
    ]),
  );
}

/** What a zone sends to global. */
export function upwardResources(graph: Graph, sourceOf: SourceOf, zone: string): OutgoingByKind {
  return new Map(
    zoneToGlobalKinds.map((kind) => [
      kind.name,
      graph.derive<Resource, Outgoing>(`kds ${kind.name}`, sourceOf(kind.name), (resource) =>
        upward(kind, resource, zone),
      ),
    ]),
  );
}

export interface SharedSets {
  has(kind: string): boolean;
  /** `undefined` before the first `settled`. */
  wanted(kind: string, audience: Audience): Wanted | undefined;
  /** Takes in what changed; for each kind the names that may differ. */
  settled(changes: Changes): ReadonlyMap<string, readonly string[]>;
}

export function sharedSets(outgoing: OutgoingByKind): SharedSets {
  const sets = new Map([...outgoing].map(([kind, collection]) => [kind, sharedSet(collection)]));
  let hasSettled = false;
  return {
    has: (kind) => sets.has(kind),
    wanted: (kind, audience) => (hasSettled ? sets.get(kind)?.for(audience) : undefined),
    settled(changes) {
      hasSettled = true;
      const names = new Map<string, readonly string[]>();
      for (const [kind, set] of sets) {
        const keys = changes.get(set.collection);
        if (keys) names.set(kind, set.update(keys));
      }
      return names;
    },
  };
}

function sharedSet(collection: Collection<Outgoing>) {
  const nameOf = new Map<string, string>();
  /** Those that are not for everybody. */
  const special = new Map<string, Outgoing>();
  let items: ReadonlyMap<string, Item> = new Map();
  let all = wantedOf(items);
  /** By what is left out or is another: streams with the same differences share a set. */
  let partial = new Map<string, Wanted>();

  function differing(names: readonly string[], audience: Audience): Wanted {
    const mark = `${audience.getsKeys} ${names.join(" ")}`;
    const known = partial.get(mark);
    if (known) return known;
    const others = new Map(
      names.map((name) => {
        const outgoing = special.get(name);
        return [name, outgoing && itemFor(outgoing, audience)] as const;
      }),
    );
    const rest = withOthers(items, others);
    partial.set(mark, rest);
    return rest;
  }

  return {
    collection,
    for(audience: Audience): Wanted {
      const names = [...special]
        .filter(([, outgoing]) => itemFor(outgoing, audience) !== outgoing.item)
        .map(([name]) => name);
      return names.length === 0 ? all : differing(names, audience);
    },
    update(keys: Iterable<string>): readonly string[] {
      const changed = [...keys];
      const next = new Map(items);
      const names = new Set(changed.flatMap((key) => nameOf.get(key) ?? []));
      for (const name of names) {
        next.delete(name);
        special.delete(name);
      }
      for (const key of changed) {
        const outgoing = collection.get(key);
        if (!outgoing) {
          nameOf.delete(key);
          continue;
        }
        const { item, notTo, onlyTo, needs, keyless } = outgoing;
        nameOf.set(key, item.name);
        names.add(item.name);
        next.set(item.name, item);
        if (notTo !== undefined || onlyTo !== undefined || needs.length > 0 || keyless)
          special.set(item.name, outgoing);
      }
      items = next;
      all = wantedOf(next);
      partial = new Map();
      return [...names];
    },
  };
}

/** `others`: `undefined` where there is none. */
const withOthers = (items: ReadonlyMap<string, Item>, others: ReadonlyMap<string, Item | undefined>): Wanted => ({
  get: (name) => (others.has(name) ? others.get(name) : items.get(name)),
  names: () => [...items.keys()].filter((name) => !others.has(name) || others.get(name) !== undefined),
});

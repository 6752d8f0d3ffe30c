// What one Envoy should have, as snapshots by type, made of the bundles that its configuration refers to.

import type { Item, Wanted } from "#discovery/item.ts";
import { type Change, type EnvoyType, envoyTypes } from "#discovery/order.ts";
import type { Bundle, BundleRef } from "#proxy/bundle.ts";

/** The items of each type, by name. */
export type Snapshots = Readonly<Record<EnvoyType, ReadonlyMap<string, Item>>>;

export function snapshotsOf(bundles: readonly BundleRef[]): Snapshots {
  const snapshots = { cluster: empty(), secret: empty(), endpoint: empty(), listener: empty(), route: empty() };
  for (const { from, key } of bundles) {
    for (const { type, item } of from.get(key) ?? []) snapshots[type].set(item.name, item);
  }
  return snapshots;
}
const empty = (): Map<string, Item> => new Map();

/** Items of a bundle that came, went or changed; names that went have no item. */
export interface BundleChange {
  readonly type: EnvoyType;
  readonly name: string;
  readonly item: Item | undefined;
}

export function bundleChanges(before: Bundle, after: Bundle): readonly BundleChange[] {
  const changes: BundleChange[] = [];
  const id = (type: EnvoyType, name: string): string => `${type} ${name}`;
  const old = new Map(before.map(({ type, item }) => [id(type, item.name), item]));
  for (const { type, item } of after) {
    if (old.get(id(type, item.name))?.version !== item.version) changes.push({ type, name: item.name, item });
    old.delete(id(type, item.name));
  }
  for (const { type, item } of before) {
    if (old.has(id(type, item.name))) changes.push({ type, name: item.name, item: undefined });
  }
  return changes;
}

/** New snapshots where something changed, and the names of what did. */
export function changed(now: Snapshots, news: readonly BundleChange[]) {
  const next: Record<EnvoyType, ReadonlyMap<string, Item>> = { ...now };
  const names = new Map<EnvoyType, readonly string[]>();
  for (const type of envoyTypes) {
    const own = news.filter((change) => change.type === type);
    if (own.length === 0) continue;
    const items = new Map(now[type]);
    for (const { name, item } of own) {
      if (item) items.set(name, item);
      else items.delete(name);
    }
    next[type] = items;
    names.set(
      type,
      own.map(({ name }) => name),
    );
  }
  return { next, names };
}

/** All of it, for a stream that had something else. No name is in two of the snapshots. */
export const everything = (wanted: readonly Snapshots[]): ReadonlyMap<EnvoyType, Change> =>
  new Map(envoyTypes.map((type) => [type, { wanted: wantedIn(wanted, type), names: "everything" }]));

/** What is under these names, for the machine of the stream. */
export const changesIn = (
  wanted: readonly Snapshots[],
  names: ReadonlyMap<EnvoyType, readonly string[]>,
): ReadonlyMap<EnvoyType, Change> =>
  new Map([...names].map(([type, changed]) => [type, { wanted: wantedIn(wanted, type), names: changed }]));

function wantedIn(snapshots: readonly Snapshots[], type: EnvoyType): Wanted {
  const layers = snapshots.map((one) => one[type]).filter(({ size }) => size > 0);
  return {
    get(name) {
      for (const layer of layers) {
        const item = layer.get(name);
        if (item) return item;
      }
      return undefined;
    },
    *names() {
      for (const layer of layers) yield* layer.keys();
    },
  };
}

// What a subscription sends: a resource encoded once, its bytes shared by every stream that carries it.
// What a peer is meant to have is a snapshot of items; streams share snapshots and never copy them.

export interface Item {
  readonly name: string;
  /** Opaque to receivers; equal content has an equal version. Never empty. */
  readonly version: string;
  /** An encoded `envoy.service.discovery.v3.Resource` as it stands in a `DeltaDiscoveryResponse`: with the tag and length of that field. */
  readonly bytes: Uint8Array;
  /** Listeners and route configurations: the clusters they send to. `order.ts` sends those first and removes them last. */
  readonly refers?: readonly string[];
}

/**
 * All items of one type that one peer should have: a snapshot, whose answers must never change once it is handed over. A
 * change is another snapshot; the same one again is no change.
 */
export interface Wanted {
  get(name: string): Item | undefined;
  names(): Iterable<string>;
}

export const wantedOf = (items: ReadonlyMap<string, Item>): Wanted => ({
  get: (name) => items.get(name),
  names: () => items.keys(),
});

/** What is wanted no more but kept is still there. */
export const withKept = (wanted: Wanted, kept: ReadonlyMap<string, Item>): Wanted =>
  kept.size === 0
    ? wanted
    : {
        get: (name) => wanted.get(name) ?? kept.get(name),
        *names() {
          yield* wanted.names();
          for (const name of kept.keys()) if (!wanted.get(name)) yield name;
        },
      };

/** What a peer has under a name: an item it accepted, or what it says it holds from an earlier stream. */
export type Holding = Item | { readonly version: string; readonly refers: "unknown" };

/** Equal versions are equal content; "" is nothing. */
export const versionOf = (holding: Holding | undefined): string => holding?.version ?? "";

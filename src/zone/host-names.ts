// Looks up the hosts that this zone connects to, as long as it does (decision 28). A note in the store keeps what was found over a restart of the
// control plane.

import type { Log } from "#host/log.ts";
import type { Clock, Network } from "#host/world.ts";
import type { Changes, Collection, Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import type { Edit, Store } from "#resources/store.ts";
import { keptWrites } from "#zone/kept-writes.ts";

export interface HostNames {
  publish(changes: Changes): void;
  stop(): void;
}

export interface HostNamesOptions {
  /** Each name that has an entry in one of them. */
  readonly wanted: readonly Collection<unknown>[];
  /** Set to what is found. */
  readonly addresses: Source<readonly string[]>;
  readonly network: Pick<Network, "lookup">;
  readonly store: Pick<Store, "note" | "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly log: Log;
  /** Tells the graph that `addresses` has changed. */
  readonly touch: () => void;
}

/** The machine's lookup tells no time to live; those of load balancers are a minute. */
export const againAfterMs = 30_000;
/** What is not known yet is wanted sooner. */
export const unknownAgainAfterMs = 5_000;
/** An address that is in none of so many answers in a row is not one any more: servers leave in turn, and some name servers tell one of several. */
export const answersWithout = 3;

/** In the store: JSON of addresses by name. */
const noteKey = "addresses of hosts";

/** Before anything is computed. */
export function hostNames({ wanted, addresses, network, store, clock, log, touch }: HostNamesOptions): HostNames {
  const kept = keptWrites({ store, clock, log });
  /** Names that are wanted, with what ends the wait for their next lookup. */
  const next = new Map<string, () => void>();
  const failing = new Set<string>();
  /** By name, of addresses that were not in the last answers: in how many. */
  const missing = new Map<string, Map<string, number>>();
  /** The machine looks up few at a time, and global's name is one of them. */
  let turn: Promise<unknown> = Promise.resolve();
  let [isFirst, isStopped] = [true, false];
  const remembered: Readonly<Record<string, readonly string[]>> = JSON.parse(store.note(noteKey) ?? "{}");
  for (const [name, found] of Object.entries(remembered)) addresses.set(name, found);

  async function look(name: string): Promise<void> {
    /** As long as it is the last one that was asked. */
    const asked = (): void => {};
    next.set(name, asked);
    try {
      const found = await inTurn(async () => (next.get(name) === asked ? network.lookup(name) : []));
      if (next.get(name) !== asked) return;
      if (failing.delete(name)) log.info({ name, addresses: found }, "a host is found again");
      set(name, withRecent(name, found));
    } catch (error) {
      if (next.get(name) !== asked) return;
      if (!failing.has(name))
        log.warn({ name, error: String(error), addresses: addresses.get(name) ?? [] }, lost(name));
      failing.add(name);
    }
    const wait = addresses.get(name) === undefined ? unknownAgainAfterMs : againAfterMs;
    next.set(
      name,
      clock.alarm(clock.now() + wait, () => void look(name)),
    );
  }

  const inTurn = <V>(act: () => Promise<V>): Promise<V> => {
    const done = turn.then(act);
    turn = done.catch(() => {});
    return done;
  };

  /** The ones that have been known for longer first: of some resources only the first counts. */
  function withRecent(name: string, found: readonly string[]): readonly string[] {
    const before = missing.get(name) ?? new Map<string, number>();
    const known = addresses.get(name) ?? [];
    const gone = known.filter((one) => !found.includes(one)).map((one) => [one, (before.get(one) ?? 0) + 1] as const);
    const kept = new Map(gone.filter(([, answers]) => answers < answersWithout));
    missing.set(name, kept);
    return [
      ...known.filter((one) => found.includes(one) || kept.has(one)),
      ...found.filter((one) => !known.includes(one)),
    ];
  }

  const lost = (name: string): string =>
    addresses.get(name) === undefined
      ? "a host is not found: what is there is not reached until it is"
      : "a host is not found any more: it is taken to be where it was";

  function set(name: string, found: readonly string[] | undefined): void {
    if (isEqual(found, addresses.get(name))) return;
    addresses.set(name, found);
    touch();
    kept.write("addresses of hosts", noteOfAll);
  }

  function noteOfAll(): readonly Edit[] {
    const before = store.note(noteKey);
    const all = [...addresses.keys()].sort().map((name) => [name, addresses.get(name)] as const);
    const after = all.length > 0 ? JSON.stringify(Object.fromEntries(all)) : undefined;
    return before === after ? [] : [{ kind: "note", key: noteKey, before, after }];
  }

  function forget(name: string): void {
    next.get(name)?.();
    next.delete(name);
    failing.delete(name);
    missing.delete(name);
    set(name, undefined);
  }

  return {
    publish(changes) {
      if (isStopped) return;
      const changed = wanted.flatMap((names) => [...(changes.get(names) ?? [])]);
      // What is remembered may not be wanted any more.
      for (const name of new Set(isFirst ? [...changed, ...addresses.keys()] : changed)) {
        const isWanted = wanted.some((names) => names.get(name) !== undefined);
        if (isWanted && !next.has(name)) void look(name);
        else if (!isWanted) forget(name);
      }
      isFirst = false;
    },
    stop() {
      isStopped = true;
      for (const cancel of next.values()) cancel();
      next.clear();
      kept.stop();
    },
  };
}

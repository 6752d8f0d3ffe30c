// What the beginning and the end of proxies' streams say about the proxies. An end is evidence, not a removal: the instance is
// marked at once, and forgotten if it does not come back. When most streams end together, or this control plane has just
// started, it is the control plane that has lost something: then nothing is concluded until proxies are back. How long ends may
// lie apart and have one cause goes by what was seen of them (decision 24).
//
//   starting ─► serving ─┬► closed ─► (10 s) ─┬► forgotten      frozen ─► some are back ─► (40 s) ─► the others are gone
//   new                  │  doubtful          │                 as before
//                        └► silent ─► (40 s) ─┘
//
// A proxy whose token is not taken any more is no matter of evidence: it is refused, and forgotten with the end of its stream.

import type { Clock } from "#host/world.ts";
import type { Mark } from "#topology/provider.ts";

export interface PresenceOptions {
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** It is taken away when the proxy serves, or serves again. */
  readonly setMark: (proxy: string, mark: Mark | undefined) => void;
  /** It has been away for long enough. */
  readonly forget: (proxy: string) => void;
  /** Nothing is concluded since then; `undefined`: what is known of proxies holds again. */
  readonly onFrozen: (since: number | undefined) => void;
  /** Proxies that were there when this control plane was there last. */
  readonly expected: Iterable<string>;
}

/** The other side said so, and its process ended; or no answer came any more, and it may be there. */
export type End = "closed" | "silent";

export interface Presence {
  /** It asks to be let in, and is marked before others hear of it. `isStarting`: its Envoy has nothing yet. */
  comes(proxy: string, isStarting: boolean): void;
  /** It was let in. */
  begins(proxy: string): void;
  /** It came, and could not be let in: unless an earlier stream of it is there, it is away. */
  turnedAway(proxy: string): void;
  /** Its Envoy has all that it needs. */
  serves(proxy: string): void;
  ends(proxy: string, how: End): void;
  /** It took no traffic any more before it ended: when it starts again it is as one that was never there. */
  left(proxy: string): void;
  /** Its stream is about to be ended, for good. */
  refused(proxy: string): void;
  /** Its resource was deleted: nobody waits for it to come back. */
  removed(proxy: string): void;
  stop(): void;
}

/**
 * Streams that end within this time of each other may have one cause. One cut is noticed for each connection at another moment: the first
 * 10 s after it, the last 40 s (`host/keepalive.ts`).
 */
const togetherMs: Readonly<Record<End, number>> = { closed: 1_000, silent: 40_000 };
/** A proxy that comes back within this time keeps what it brought (interop 6.4). Not shorter than it may take to know that it was not alone. */
const forgetAfterMs: Readonly<Record<End, number>> = { closed: 10_000, silent: togetherMs.silent };
/** So few are no sign of a common cause while anybody is there. */
const few = 2;
/** When some are back, the others have this long: Envoy waits for up to 30 s before it tries again. */
const comeBackMs = 40_000;

export function presence({ clock, setMark, forget, onFrozen, expected }: PresenceOptions): Presence {
  const there = new Set<string>();
  const starting = new Map<string, Mark>();
  /** Who was there before: an Envoy that starts anew takes what no other can, as it may be back in a moment. */
  const known = new Set(expected);
  /** What cancels that they are forgotten. */
  const gone = new Map<string, () => void>();
  let recent: readonly { readonly proxy: string; readonly at: number; readonly how: End }[] = [];
  /** Who is away while nothing is concluded from it. */
  let missing: Set<string> | undefined;
  let cancelThaw: (() => void) | undefined;
  const refused = new Set<string>();
  let isStopped = false;

  if (known.size > 0) freeze(known);

  function freeze(proxies: ReadonlySet<string>): void {
    missing = new Set(proxies);
    for (const proxy of proxies) {
      gone.get(proxy)?.();
      gone.delete(proxy);
      setMark(proxy, starting.get(proxy));
    }
    onFrozen(clock.now());
  }

  function thaw(): void {
    const away = missing ?? [];
    cancelThaw?.();
    cancelThaw = undefined;
    missing = undefined;
    onFrozen(undefined);
    for (const proxy of away) if (!there.has(proxy)) leave(proxy, "closed");
  }

  function leave(proxy: string, how: End): void {
    setMark(proxy, starting.get(proxy) ?? (how === "silent" ? "silent" : "doubtful"));
    const cancel = clock.alarm(clock.now() + forgetAfterMs[how], () => {
      // Who did not bring what it is stays known.
      if (how === "silent") setMark(proxy, starting.get(proxy) ?? "doubtful");
      forgetNow(proxy);
    });
    gone.set(proxy, cancel);
  }

  function stay(proxy: string): void {
    gone.get(proxy)?.();
    gone.delete(proxy);
    setMark(proxy, starting.get(proxy));
  }

  function forgetNow(proxy: string): void {
    gone.delete(proxy);
    starting.delete(proxy);
    known.delete(proxy);
    forget(proxy);
  }

  return {
    comes(proxy, isStarting) {
      refused.delete(proxy);
      if (isStarting && !starting.has(proxy)) starting.set(proxy, known.has(proxy) ? "doubtful" : "new");
      known.add(proxy);
      stay(proxy);
    },
    begins(proxy) {
      there.add(proxy);
      recent = recent.filter((end) => end.proxy !== proxy);
      // An earlier stream of it has ended since it came.
      if (gone.has(proxy)) stay(proxy);
      if (!missing) return;
      missing.delete(proxy);
      if (missing.size === 0) thaw();
      else cancelThaw ??= clock.alarm(clock.now() + comeBackMs, thaw);
    },
    turnedAway(proxy) {
      if (!there.has(proxy) && !missing?.has(proxy) && !isStopped) leave(proxy, "closed");
    },
    serves(proxy) {
      if (starting.delete(proxy)) setMark(proxy, undefined);
    },
    ends(proxy, how) {
      if (!there.delete(proxy) || isStopped) return;
      if (refused.delete(proxy)) return forgetNow(proxy);
      if (missing) {
        missing.add(proxy);
        return;
      }
      const now = clock.now();
      recent = [...recent.filter((end) => now - end.at < togetherMs[end.how]), { proxy, at: now, how }];
      const isAlone = how === "silent" && there.size === 0;
      if (isAlone || (recent.length > few && recent.length > there.size))
        freeze(new Set(recent.map((end) => end.proxy)));
      else leave(proxy, how);
    },
    left: (proxy) => void known.delete(proxy),
    refused(proxy) {
      refused.add(proxy);
      setMark(proxy, "refused");
    },
    removed(proxy) {
      recent = recent.filter((end) => end.proxy !== proxy);
      if (missing?.delete(proxy) && missing.size === 0) thaw();
    },
    stop() {
      isStopped = true;
      cancelThaw?.();
      for (const cancel of gone.values()) cancel();
    },
  };
}

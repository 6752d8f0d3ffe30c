// What the beginning and the end of proxies' streams say about the proxies. An end is evidence, not a removal: the instance is
// doubtful at once, and forgotten if it does not come back. When most streams end together, or this control plane has just
// started, it is the control plane that has lost something: then nothing is concluded until proxies are back.
//
//   starting ─► serving ─► gone ─► (10 s) ─► forgotten          frozen ─► some are back ─► (10 s) ─► the others are gone
//   new                    doubtful                             as before
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

export interface Presence {
  /** A new stream. `isStarting`: of an Envoy that has nothing yet. */
  begins(proxy: string, isStarting: boolean): void;
  /** Its Envoy has all that it needs. */
  serves(proxy: string): void;
  ends(proxy: string): void;
  /** It took no traffic any more before it ended: when it starts again it is as one that was never there. */
  left(proxy: string): void;
  /** Its stream is about to be ended, for good. */
  refused(proxy: string): void;
  /** Its resource was deleted: nobody waits for it to come back. */
  removed(proxy: string): void;
  stop(): void;
}

/** A proxy that comes back within this time keeps what it brought (interop 6.4). */
const forgetAfterMs = 10_000;
/** Streams that end within this time of each other may have one cause. */
const togetherMs = 1_000;
/** So few are no sign of a common one. */
const few = 2;
/** When some are back, the others have this long; after a start of the control plane at least the second. */
const comeBackMs = 10_000;
const startMs = 30_000;

export function presence({ clock, setMark, forget, onFrozen, expected }: PresenceOptions): Presence {
  const there = new Set<string>();
  const starting = new Map<string, Mark>();
  /** Who was there before: an Envoy that starts anew takes what no other can, as it may be back in a moment. */
  const known = new Set(expected);
  /** What cancels that they are forgotten. */
  const gone = new Map<string, () => void>();
  let recent: readonly { readonly proxy: string; readonly at: number }[] = [];
  /** Who is away while nothing is concluded from it. */
  let missing: Set<string> | undefined;
  let thawNotBefore = 0;
  let cancelThaw: (() => void) | undefined;
  const refused = new Set<string>();
  let isStopped = false;

  if (known.size > 0) {
    thawNotBefore = clock.now() + startMs;
    freeze(known);
  }

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
    for (const proxy of away) leave(proxy);
  }

  function leave(proxy: string): void {
    setMark(proxy, starting.get(proxy) ?? "doubtful");
    const cancel = clock.alarm(clock.now() + forgetAfterMs, () => forgetNow(proxy));
    gone.set(proxy, cancel);
  }

  function forgetNow(proxy: string): void {
    gone.delete(proxy);
    starting.delete(proxy);
    known.delete(proxy);
    forget(proxy);
  }

  return {
    begins(proxy, isStarting) {
      there.add(proxy);
      refused.delete(proxy);
      recent = recent.filter((end) => end.proxy !== proxy);
      gone.get(proxy)?.();
      gone.delete(proxy);
      if (isStarting && !starting.has(proxy)) starting.set(proxy, known.has(proxy) ? "doubtful" : "new");
      known.add(proxy);
      setMark(proxy, starting.get(proxy));
      if (!missing) return;
      missing.delete(proxy);
      if (missing.size === 0) thaw();
      else cancelThaw ??= clock.alarm(Math.max(clock.now() + comeBackMs, thawNotBefore), thaw);
    },
    serves(proxy) {
      if (starting.delete(proxy)) setMark(proxy, undefined);
    },
    ends(proxy) {
      if (!there.delete(proxy) || isStopped) return;
      if (refused.delete(proxy)) return forgetNow(proxy);
      if (missing) {
        missing.add(proxy);
        return;
      }
      const now = clock.now();
      recent = [...recent.filter(({ at }) => now - at < togetherMs), { proxy, at: now }];
      if (recent.length > few && recent.length > there.size) freeze(new Set(recent.map((end) => end.proxy)));
      else leave(proxy);
    },
    left: (proxy) => void known.delete(proxy),
    refused(proxy) {
      refused.add(proxy);
      setMark(proxy, "refused");
    },
    removed(proxy) {
      if (missing?.delete(proxy) && missing.size === 0) thaw();
    },
    stop() {
      isStopped = true;
      cancelThaw?.();
      for (const cancel of gone.values()) cancel();
    },
  };
}

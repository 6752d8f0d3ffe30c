// Work for many proxies that waits for more of its kind: one alarm for all of them.

import type { Clock } from "#host/world.ts";

export interface Gathered {
  /** Instead of what was to be done for the same proxy. */
  add(proxy: string, act: () => void): void;
  /** What was to be done for this one, if anything. */
  doNow(proxy: string): void;
  remove(proxy: string): void;
  stop(): void;
}

/** Done together, `afterMs` after the first was added. */
export function gathered(clock: Pick<Clock, "now" | "alarm">, afterMs: number): Gathered {
  const waiting = new Map<string, () => void>();
  let cancel: (() => void) | undefined;

  function act(): void {
    cancel = undefined;
    const due = [...waiting.values()];
    waiting.clear();
    for (const one of due) one();
  }

  return {
    add(proxy, one) {
      waiting.set(proxy, one);
      cancel ??= clock.alarm(clock.now() + afterMs, act);
    },
    doNow(proxy) {
      const one = waiting.get(proxy);
      waiting.delete(proxy);
      one?.();
    },
    remove: (proxy) => void waiting.delete(proxy),
    stop: () => cancel?.(),
  };
}

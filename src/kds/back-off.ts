// How long to wait before the next attempt. Kuma waits 5 s at first and a minute at most. Here the first wait is short: a zone
// whose link blinked, or whose global was restarted, is back before anybody notices. The waits double, up to what a zone may be late
// when its global is back after an hour; each is cut by chance, so that all zones of that global do not come at once.

import type { Random } from "#host/world.ts";

const firstMs = 100;
const mostMs = 4_000;

export interface BackOff {
  /** `lastedMs`: how long the connection stood that has just ended; 0 if it never did. */
  nextMs(lastedMs: number): number;
}

export function backOff(random: Pick<Random, "fraction">): BackOff {
  let waitMs = firstMs;
  return {
    nextMs(lastedMs) {
      // One that stood for longer than we would wait was a good one: begin anew.
      if (lastedMs > waitMs) waitMs = firstMs;
      const next = waitMs * (0.5 + random.fraction() / 2);
      waitMs = Math.min(2 * waitMs, mostMs);
      return next;
    },
  };
}

// A bound on what a port holds of messages and bodies that are not whole yet, from callers that nobody has answered: whoever reaches the
// port can begin as many as it likes. All of them together share it. Who has been answered, and what comes whole, is not counted.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";

export const defaultMaxHeldBytes = 128 * 1024 * 1024;

/** Of one caller. */
export interface HeldShare {
  /** It holds so much now. False: that is too much for all of them together, and it must give up. */
  hold(bytes: number): boolean;
  /** It holds nothing, and is not counted any more. */
  release(): void;
}

const sayEveryMs = 1_000;

export function heldShares(maxBytes: number, clock: Pick<Clock, "now">, log: Log): () => HeldShare {
  let total = 0;
  let refused = 0;
  let saidAt = Number.NEGATIVE_INFINITY;

  function refuse(): void {
    refused++;
    const now = clock.now();
    if (now >= saidAt && now < saidAt + sayEveryMs) return;
    saidAt = now;
    log.warn(
      { refused, maxBytes },
      "refused what is too much to hold: messages of callers that nobody has answered yet",
    );
    refused = 0;
  }

  return () => {
    let own = 0;
    let isCounted = true;
    return {
      hold(bytes) {
        if (!isCounted) return true;
        const added = bytes - own;
        if (added > 0 && total + added > maxBytes) {
          refuse();
          return false;
        }
        total += added;
        own = bytes;
        return true;
      },
      release() {
        total -= own;
        own = 0;
        isCounted = false;
      },
    };
  };
}

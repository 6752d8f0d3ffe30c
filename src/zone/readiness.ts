// When a zone's control plane is ready: once it has heard from global all that there is for it, so that no proxy is configured
// from less. It does not wait for ever: a zone works without global, too, with what it has.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";

export interface Readiness {
  /** Why it is not ready; `undefined`: it is. */
  readonly notReady: string | undefined;
  synced(): void;
  stopping(): void;
}

/** docs/operations.md says so, too. */
const firstSyncWithinMs = 10_000;

export function readiness(isFederated: boolean, clock: Pick<Clock, "now" | "alarm">, log: Log): Readiness {
  let notReady: string | undefined;
  let cancel = (): void => {};
  if (isFederated) {
    notReady = "waiting for the first sync with global";
    cancel = clock.alarm(clock.now() + firstSyncWithinMs, () => {
      notReady = undefined;
      log.warn({}, `nothing complete from global for ${firstSyncWithinMs / 1000} s: ready with what is stored`);
    });
  }
  return {
    get notReady() {
      return notReady;
    },
    synced() {
      cancel();
      notReady = undefined;
    },
    stopping() {
      cancel();
      notReady = "shutting down";
    },
  };
}

// Proxies that come back to a control plane that knows of none: its store was lost, or it has taken another one's place. What they bring is
// written in one commit when no more of them come: of a part of them other zones would conclude that the rest is gone.

import type { Clock } from "#host/world.ts";
import type { Edit, Store } from "#resources/store.ts";

export interface Returns {
  /** Resolves when it is written, with what the others brought. `edits`: as of then; a later call for the same proxy replaces them. */
  wait(proxy: string, edits: () => readonly Edit[]): Promise<void>;
  stop(): void;
}

/** Envoy tries again after up to as long as it has tried, and at most after 30 s. */
export const quietMs = 10_000;
export const longestMs = 30_000;

export interface ReturnsOptions {
  readonly store: Pick<Store, "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** The first of them waits. */
  readonly onBegin: () => void;
}

export function returns({ store, clock, onBegin }: ReturnsOptions): Returns {
  const waiting = new Map<string, () => readonly Edit[]>();
  let written = Promise.withResolvers<void>();
  let latest = 0;
  let cancel: (() => void) | undefined;

  function end(): void {
    cancel = undefined;
    const all = [...waiting.values()].flatMap((edits) => edits());
    waiting.clear();
    const { resolve, reject } = written;
    written = Promise.withResolvers();
    store.write(all).then(() => resolve(), reject);
  }

  return {
    wait(proxy, edits) {
      if (waiting.size === 0) {
        latest = clock.now() + longestMs;
        onBegin();
      }
      waiting.set(proxy, edits);
      cancel?.();
      cancel = clock.alarm(Math.min(clock.now() + quietMs, latest), end);
      return written.promise;
    },
    stop: () => cancel?.(),
  };
}

// Proxies that come back to a control plane that knows of none: its store was lost, or it has taken another one's place. What they bring is
// written in one commit when no more of them come: of a part of them other zones would conclude that the rest is gone.

import type { Clock } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import type { Edit, Store } from "#resources/store.ts";

export interface Returns {
  /** Resolves when what it brings is written, with what the others bring. `edits`: as of then. Rejects if that fails, and with `superseded`. */
  wait(proxy: string, brings: Resource, edits: () => readonly Edit[]): Promise<void>;
  /** What this one waits with. */
  of(proxy: string): Resource | undefined;
  /** It has come anew: the earlier stream, which may have ended, waits no more. */
  supersede(proxy: string): void;
  stop(): void;
}

/** Envoy tries again after up to as long as it has tried, and at most after 30 s. */
export const quietMs = 10_000;
export const longestMs = 30_000;
/** No failure of the proxy. */
export const superseded = new KodiakError({ kind: "unavailable", what: "a newer stream of the same proxy has come" });

export interface ReturnsOptions {
  readonly store: Pick<Store, "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** The first of them waits. */
  readonly onBegin: () => void;
}

export function returns({ store, clock, onBegin }: ReturnsOptions): Returns {
  const waiting = new Map<string, Waiting>();
  let latest = 0;
  let cancel: (() => void) | undefined;

  function end(): void {
    cancel = undefined;
    const all = [...waiting.values()];
    waiting.clear();
    if (all.length === 0) return;
    store.write(all.flatMap(({ edits }) => edits())).then(
      () => {
        for (const { resolve } of all) resolve();
      },
      (error: unknown) => {
        for (const { reject } of all) reject(error);
      },
    );
  }

  return {
    wait(proxy, brings, edits) {
      if (cancel === undefined) {
        latest = clock.now() + longestMs;
        onBegin();
      }
      cancel?.();
      cancel = clock.alarm(Math.min(clock.now() + quietMs, latest), end);
      return new Promise((resolve, reject) => void waiting.set(proxy, { brings, edits, resolve, reject }));
    },
    of: (proxy) => waiting.get(proxy)?.brings,
    supersede(proxy) {
      waiting.get(proxy)?.reject(superseded);
      waiting.delete(proxy);
    },
    stop: () => cancel?.(),
  };
}

interface Waiting {
  readonly brings: Resource;
  readonly edits: () => readonly Edit[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

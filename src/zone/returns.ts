// Proxies that come back to a control plane whose store remembers none: it was lost, or this control plane has taken another one's place. What
// they bring is written in one commit, when all must have come: of a part of them others would conclude that the rest is gone.
//
//   nothing remembered ─► the first comes back ─► (32 s) ─► one commit ─► remembered
//            └── one was forgotten ────────────────────────────────────────┘

import type { Clock } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import type { Edit, Store } from "#resources/store.ts";

export interface Returns {
  /** Whether who comes back is to wait. */
  isOpen(): boolean;
  /** Resolves when what it brings is written, with what the others bring. `edits`: as of then. Rejects if that fails, and with `superseded`. */
  wait(proxy: string, brings: Resource, edits: () => readonly Edit[]): Promise<void>;
  /** What this one waits with, until it is written. */
  of(proxy: string): Resource | undefined;
  /** It has come anew: the earlier stream, which may have ended, waits no more. */
  supersede(proxy: string): void;
  /** Its store knows of proxies, if nobody waits: who comes back later was forgotten. */
  remembers(): void;
  stop(): void;
}

/** Envoy tries again after 30 s at most. */
export const gatheredForMs = 32_000;
/** No failure of the proxy. */
export const superseded = new KodiakError({ kind: "unavailable", what: "a newer stream of the same proxy has come" });

export interface ReturnsOptions {
  readonly store: Pick<Store, "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** The store has something of proxies. */
  readonly isRemembered: boolean;
  /** The first of them waits. */
  readonly onBegin: () => void;
}

export function returns({ store, clock, isRemembered, onBegin }: ReturnsOptions): Returns {
  const waiting = new Map<string, Waiting>();
  let isOpen = !isRemembered;
  let isStopped = false;
  let cancel: (() => void) | undefined;

  async function end(): Promise<void> {
    cancel = undefined;
    const all = [...waiting.values()];
    if (all.length === 0) return;
    // Nobody joins them from here on.
    isOpen = false;
    try {
      await store.write(all.flatMap(({ edits }) => edits()));
      for (const { resolve } of all) resolve();
    } catch (error) {
      isOpen = true;
      for (const { reject } of all) reject(error);
    }
    waiting.clear();
  }

  return {
    isOpen: () => isOpen,
    wait(proxy, brings, edits) {
      if (cancel === undefined && !isStopped) {
        cancel = clock.alarm(clock.now() + gatheredForMs, () => void end());
        onBegin();
      }
      return new Promise((resolve, reject) => void waiting.set(proxy, { brings, edits, resolve, reject }));
    },
    of: (proxy) => waiting.get(proxy)?.brings,
    supersede(proxy) {
      waiting.get(proxy)?.reject(superseded);
      waiting.delete(proxy);
    },
    remembers() {
      if (cancel === undefined) isOpen = false;
    },
    // Who waits, or comes yet, waits again at the next control plane.
    stop() {
      isStopped = true;
      cancel?.();
    },
  };
}

interface Waiting {
  readonly brings: Resource;
  readonly edits: () => readonly Edit[];
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

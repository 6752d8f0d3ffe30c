// Writes that nobody waits for and that nobody would ask for again. What the disk does not take is said once and tried again every
// five seconds, as what it would be then.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import { isConflict } from "#lib/failure.ts";
import type { Edit, Store } from "#resources/store.ts";
import { gathered } from "#zone/gathered.ts";

export interface KeptWrites {
  /**
   * `what`: by which it is known, and said; a later one of the same replaces it, and waits for one that is being written. `edits`: as of when
   * it is called, perhaps none.
   */
  write(what: string, edits: () => readonly Edit[]): void;
  stop(): void;
}

export const againAfterMs = 5_000;

export interface KeptWritesOptions {
  readonly store: Pick<Store, "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly log: Log;
}

export function keptWrites({ store, clock, log }: KeptWritesOptions): KeptWrites {
  const again = gathered(clock, againAfterMs);
  const failed = new Set<string>();
  /** What is being written, and what is to be after that. */
  const writing = new Map<string, (() => readonly Edit[]) | undefined>();
  let isStopped = false;

  async function attempt(what: string, edits: () => readonly Edit[]): Promise<void> {
    if (writing.has(what)) return void writing.set(what, edits);
    writing.set(what, undefined);
    let next: (() => readonly Edit[]) | undefined;
    try {
      await writeNow(what, edits);
    } finally {
      next = writing.get(what);
      writing.delete(what);
    }
    if (next) await attempt(what, next);
  }

  async function writeNow(what: string, edits: () => readonly Edit[]): Promise<void> {
    again.remove(what);
    const all = edits();
    try {
      if (all.length > 0) await store.write(all);
    } catch (error) {
      // Whoever was faster wrote the same, or made a commit that brings the writer here anew.
      if (!isConflict(error)) return tryAgain(what, edits, error);
    }
    if (failed.delete(what)) log.info({}, `${what}: written`);
  }

  function tryAgain(what: string, edits: () => readonly Edit[], error: unknown): void {
    if (isStopped) return;
    if (!failed.has(what))
      log.error({ error: String(error) }, `${what}: could not be written, and is tried again every 5 s`);
    failed.add(what);
    again.add(what, () => void attempt(what, edits));
  }

  return {
    write: (what, edits) => void attempt(what, edits),
    stop() {
      isStopped = true;
      again.stop();
    },
  };
}

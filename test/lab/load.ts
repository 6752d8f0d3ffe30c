// Requests without a pause or at a rate, several at a time on connections that are kept, until they are stopped. After one that failed there
// is a pause, longer than it takes until what is gone is marked: where all fail at once, only their rate would be counted.

import { setTimeout as pause } from "node:timers/promises";
import { get } from "./http.ts";
import { times } from "./soak.ts";

const afterFailureMs = 50;

export interface Load {
  /** So far. */
  sent(): number;
  /** Since it began. */
  perSecond(): number;
  /** Of the next answers: the instance of each, or what it was instead. */
  next(count: number): Promise<readonly string[]>;
  /** Resolves when the last request is answered. `failures`: what was not a 200; `lastFailureAt` in ms since the epoch. */
  stop(): Promise<{ readonly sent: number; readonly failures: readonly string[]; readonly lastFailureAt?: number }>;
}

/** Leaves two cores something for what the load is there to see; soak sends as many as are answered. */
const usualPerSecond = times(300, Number.POSITIVE_INFINITY);

/** `renews`: each request has a connection of its own. What could not be sent in time is made up for. */
export function load(url: string, atOnce = 4, renews = false, perSecond = usualPerSecond): Load {
  const start = performance.now();
  const failures: string[] = [];
  let isStopped = false;
  let sent = 0;
  let lastFailureAt: number | undefined;
  const listeners = new Set<(said: string) => void>();
  const tell = (answer: () => string): void => {
    for (const listener of listeners) listener(answer());
  };
  const worker = async () => {
    while (!isStopped) {
      const early = start + (sent++ * 1_000) / perSecond - performance.now();
      if (early > 0) await pause(early);
      const answer = await get(url, renews ? { connection: "close" } : {}).catch((error: unknown) => ({
        status: 0,
        text: String(error),
      }));
      if (answer.status === 200) {
        tell(() => JSON.parse(answer.text).instance);
        continue;
      }
      const failure = `${answer.status} ${answer.text}`;
      failures.push(failure);
      lastFailureAt = Date.now();
      tell(() => failure);
      await pause(afterFailureMs);
    }
  };
  const done = Promise.all(Array.from({ length: atOnce }, worker));
  return {
    sent: () => sent,
    perSecond: () => (sent * 1_000) / (performance.now() - start),
    next: (count) =>
      new Promise((resolve) => {
        const heard: string[] = [];
        const listener = (said: string): void => {
          if (heard.push(said) < count) return;
          listeners.delete(listener);
          resolve(heard);
        };
        listeners.add(listener);
      }),
    async stop() {
      isStopped = true;
      await done;
      return { sent, failures, ...(lastFailureAt !== undefined && { lastFailureAt }) };
    },
  };
}

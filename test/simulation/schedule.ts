// Virtual time. Events happen one after the other, each at its moment; between two of them everything that the programs do
// by themselves (promises, ends of turns, commits) is done. So time passes only where a program waits for it, an hour costs
// nothing, and the order of everything follows from the seed.

export interface Schedule {
  /** Milliseconds since the epoch. */
  now(): number;
  /** At the same moment: in the order of asking. Returns what cancels it. */
  at(ms: number, run: () => void): () => void;
  /** Lets time pass, and with it everything that is due until then. */
  advance(ms: number): Promise<void>;
  /** Which event this is: what happens in one event happens at once. */
  readonly step: number;
}

interface Due {
  readonly ms: number;
  readonly run: () => void;
}

export function schedule(startMs: number): Schedule {
  /** Sorted by time, latest first; few are waiting at any time. */
  const waiting: Due[] = [];
  let now = startMs;
  let step = 0;

  return {
    now: () => now,
    at(ms, run) {
      const due = { ms: Math.max(ms, now), run };
      let place = waiting.length;
      while (place > 0 && waiting[place - 1]!.ms <= due.ms) place--;
      waiting.splice(place, 0, due);
      return () => {
        const found = waiting.indexOf(due);
        if (found >= 0) waiting.splice(found, 1);
      };
    },
    async advance(ms) {
      const until = now + ms;
      await quiet();
      for (let next = waiting.at(-1); next && next.ms <= until; next = waiting.at(-1)) {
        waiting.pop();
        now = next.ms;
        step++;
        next.run();
        await quiet();
      }
      now = until;
    },
    get step() {
      return step;
    },
  };
}

/**
 * Resolves when the programs have nothing to do. At the beginning of an immediate Node.js has run all promises and ticks; if no
 * other immediate waits then, there is nothing that could go on by itself: no program here uses other timers, files or threads.
 */
const quiet = (): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (process.getActiveResourcesInfo().includes("Immediate")) setImmediate(look);
      else resolve();
    };
    setImmediate(look);
  });

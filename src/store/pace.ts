// When work is done that many small events ask for: at the end of the turn of the event loop in which the first asks. After a
// run that took long the next waits as long again, and takes with it what has come meanwhile: a thousand proxies that connect
// at once are read from their sockets between two settles, and not one between each two. Nothing waits while little is to do.

export interface Pace {
  soon(): void;
  /** At once, with what was asked for. */
  now(): void;
  cancel(): void;
}

const longestPauseMs = 250;

/** `now`: a clock in ms. Where it stands still, as in a simulation, nothing waits. */
export function paced(work: () => void, now: () => number): Pace {
  let asked: NodeJS.Immediate | undefined;
  let endedAt = 0;
  let tookMs = 0;

  function turnEnd(): void {
    const since = now() - endedAt;
    // A clock that was set back keeps nothing waiting.
    if (since < 0 || since >= tookMs) run();
    else asked = setImmediate(turnEnd);
  }

  function run(): void {
    cancel();
    const start = now();
    try {
      work();
    } finally {
      endedAt = now();
      tookMs = Math.min(endedAt - start, longestPauseMs);
    }
  }

  function cancel(): void {
    clearImmediate(asked);
    asked = undefined;
  }

  return {
    soon() {
      asked ??= setImmediate(turnEnd);
    },
    now: run,
    cancel,
  };
}

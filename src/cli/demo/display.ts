// How the demo is shown: as lines, one after the other, for a pipe or a terminal that can do no more.

import { otherCommands } from "#cli/demo/keys.ts";
import type { Live } from "#cli/demo/measure.ts";
import { headLine, type Outcome, outcomeLine } from "#cli/demo/picture.ts";

export interface Display {
  /** Before the mesh stands. */
  starting(what: string): void;
  up(live: Live, seconds: string): void;
  begins(title: string, commands: readonly string[]): void;
  ended(outcome: Outcome): void;
  /** The story has ended, the mesh stays. */
  stays(): void;
  /** Resolves with the next key that is pressed, `undefined` when there is none any more. */
  key(): Promise<string | undefined>;
  /** Whether `key` has one already. */
  hasKey(): boolean;
  close(): void;
}

export function linesDisplay(print: (line: string) => void, stop: AbortSignal): Display {
  let shown: Live | undefined;
  return {
    starting: (what) => print(`starting ${what} …`),
    up(live, seconds) {
      shown = live;
      print(headLine(live.stage, seconds));
    },
    begins() {},
    ended: (outcome) => print(outcomeLine(outcome)),
    stays() {
      if (shown) print(["", "The mesh stays up until Ctrl-C.", ...otherCommands(shown.stage), ""].join("\n"));
    },
    async key() {
      if (!stop.aborted) await new Promise((done) => stop.addEventListener("abort", done, { once: true }));
      return undefined;
    },
    hasKey: () => false,
    close() {},
  };
}

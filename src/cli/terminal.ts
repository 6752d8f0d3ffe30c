// What a verb sees of the process it runs in, so that tests can look at what it prints.

import { styleText } from "node:util";

export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether a person reads along: colours then, and nowhere else. */
  readonly hasColours: boolean;
  now(): number;
  out(text: string): void;
  err(text: string): void;
  /** All of standard input. */
  input(): Promise<string>;
}

export function processTerminal(): Terminal {
  // A reader that has seen enough, like `| head`, or a terminal that was closed (EIO), is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
    process.exit();
  });
  return {
    env: process.env,
    hasColours: process.stdout.isTTY === true && !process.env.NO_COLOR,
    now: Date.now,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    input: async () => Buffer.concat(await process.stdin.toArray()).toString(),
  };
}

export const coloured = (terminal: Terminal, colour: "green" | "red" | "yellow" | "dim", text: string): string =>
  terminal.hasColours ? styleText(colour, text, { validateStream: false }) : text;

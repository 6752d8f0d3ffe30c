// A verb of the command line: its words, its settings, what it does. `program.ts` makes the commands out of them.

import type { Terminal } from "#cli/terminal.ts";
import type { Schema, Settings } from "#host/settings.ts";

export interface Verb<S extends Schema = Schema> {
  /** `get` or `run proxy`. */
  readonly name: string;
  readonly summary: string;
  /** Left out of the list of commands. */
  readonly isHidden?: boolean;
  /** What stands after the name, as in `<kind> [name]`. */
  readonly args?: string;
  readonly settings: S;
  readonly examples: readonly string[];
  /** Resolves with the exit code; throws `KodiakError` (1) or `Usage` (2). */
  run(values: Settings<S>, args: readonly string[], terminal: Terminal): Promise<number>;
}

// A method, so that verbs with different settings stand in one list: each is given values of its own schema.
export const defineVerb = <const S extends Schema>(verb: Verb<S>): Verb<S> => verb;

/** The command was put wrongly; nothing was tried. */
export class Usage extends Error {
  override readonly name = "Usage";
}

export const outputSetting = {
  type: "string",
  short: "o",
  help: "form of the output",
  choices: ["text", "yaml", "json"],
  default: "text",
} as const;

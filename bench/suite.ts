// Rows that are measured on one stage, in their order.

import type { Processes } from "./processes.ts";

export interface Measured {
  readonly name: string;
  readonly unit: "ms" | "CPU ms" | "MiB" | "KiB" | "%" | "resources" | "connections" | "requests/s" | "answers/s";
  readonly values: readonly number[];
}

export interface Suite {
  readonly names: readonly string[];
  /** Opens its stage, and yields what is wanted as soon as it is measured. */
  measure(
    started: Processes,
    isWanted: (name: string) => boolean,
    progress: (what: string) => void,
  ): AsyncIterable<Measured>;
}

// Structured logs: one line an event, as JSON for programs or as text for people. A secret is never passed to a log, and a long text
// is cut.
//
// A log made with a field `component`, and what is made from that, has the level of that component; levels may change while
// the program runs.

import { type Logger, pino } from "pino";
import { textLine } from "#host/log-text.ts";

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A log that adds these fields to every line. */
  child(fields: object): Log;
}

/** From the least important on. */
export const logLevels = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];
export const isLogLevel = (level: string): level is LogLevel => logLevels.some((known) => known === level);

export type LogFormat = "json" | "text";

/** What is logged, as it can be changed at run time. */
export interface LogLevels {
  /** Components whose level was set. */
  readonly set: ReadonlyMap<string, LogLevel>;
  /** All that may be set; the first stands for those that have no level of their own. */
  readonly components: readonly string[];
  change(component: string, level: LogLevel): void;
  /** As at the start. Absent: all components. */
  reset(component?: string): void;
}

export interface OpenedLog {
  readonly log: Log;
  readonly levels: LogLevels;
}

/** The component that stands for all others. */
const everything = "all";

export function openLogs(level: LogLevel, format: LogFormat = "json"): OpenedLog {
  const known = new Set([everything]);
  const set = new Map<string, LogLevel>();
  const rankOf = (component: string): number => logLevels.indexOf(set.get(component) ?? set.get(everything) ?? level);

  function logOf(sink: Logger, component: string): Log {
    const line = (level: Exclude<LogLevel, "silent">) => {
      const rank = logLevels.indexOf(level);
      return (fields: object, message: string): void => {
        if (rank >= rankOf(component)) sink[level](bounded(fields), message);
      };
    };
    return {
      debug: line("debug"),
      info: line("info"),
      warn: line("warn"),
      error: line("error"),
      child(fields) {
        const named = "component" in fields ? String(fields.component) : component;
        known.add(named);
        return logOf(sink.child(fields), named);
      },
    };
  }

  const options = { level: "debug", base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const sink =
    format === "json"
      ? pino(options)
      : pino(options, { write: (line: string) => void process.stdout.write(textLine(line)) });
  return {
    log: logOf(sink, everything),
    levels: {
      set,
      get components() {
        return [...known];
      },
      change: (component, level) => void set.set(component, level),
      reset: (component) => (component === undefined ? set.clear() : void set.delete(component)),
    },
  };
}

/** What a peer sends may be in a text. */
const mostCharacters = 2_000;
const bounded = (fields: object): object =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) =>
      typeof value === "string" && value.length > mostCharacters
        ? [name, `${value.slice(0, mostCharacters)}… (${value.length} characters)`]
        : [name, value],
    ),
  );

export const openLog = (level: string, format: LogFormat = "json"): Log =>
  openLogs(isLogLevel(level) ? level : "info", format).log;

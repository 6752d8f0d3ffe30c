// A log that keeps its lines and lets a test wait for one.

import type { Log } from "#host/log.ts";

export interface Line {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}
export interface RecordingLog extends Log {
  readonly lines: readonly Line[];
  /** The next line after the last one that was waited for whose message matches. */
  next(pattern: RegExp): Promise<Line>;
}

/** `also`: gets the same lines. */
export function recordingLog(also?: Log): RecordingLog {
  const lines: Line[] = [];
  let waited = 0;
  let wake: () => void = () => {};
  const add = (level: Line["level"]) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
    also?.[level](fields, message);
    wake();
  };
  const log: RecordingLog = {
    lines,
    debug: add("debug"),
    info: add("info"),
    warn: add("warn"),
    error: add("error"),
    child: () => log,
    next: (pattern) =>
      new Promise((resolve) => {
        wake = () => {
          const at = lines.findIndex((line, i) => i >= waited && pattern.test(line.message));
          if (at < 0) return;
          waited = at + 1;
          wake = () => {};
          resolve(lines[at]!);
        };
        wake();
      }),
  };
  return log;
}

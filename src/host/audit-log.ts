// Who changed what, and who tried: one JSON line each, on the disk before whoever asked is answered. What was refused lies in a
// file of its own, so that being refused again and again pushes out nothing of what was changed (decision 13).

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "#host/connection-failure.ts";
import { type DurableLines, openDurableLines } from "#host/durable-lines.ts";
import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { JsonObject, JsonValue } from "#lib/json.ts";

export interface AuditEntry {
  readonly who: AuditedUser | { readonly zone: string } | { readonly proxy: string };
  /** `address:port` of the peer. */
  readonly from: string;
  /** One for all lines of a request. */
  readonly request?: string;
  /** `create`, `update`, `delete`, `issue`, or a request's method; of zones and proxies what they did (docs/operations.md). */
  readonly verb: string;
  /** What it was about: kind, mesh and name, or a path. */
  readonly what: JsonObject;
  readonly changes?: readonly Difference[];
  /** HTTP status, where something was refused. */
  readonly status?: number;
  readonly why?: string;
  /** How often it came again since the line before, and how many lines are missing before this one (`host/refusal-record.ts`). */
  readonly repeated?: number;
  readonly leftOut?: number;
}
export interface AuditedUser {
  readonly name: string;
  readonly groups: readonly string[];
  /** Id of the user token. */
  readonly token?: string;
}
/** Absent: not there before, or not there any more. */
export interface Difference {
  /** As in `lib/issue.ts`. */
  readonly path: string;
  readonly before?: JsonValue;
  readonly after?: JsonValue;
}

export interface AuditLog {
  /** Called before it is done: resolves when the lines are on the disk; rejects with `unavailable`, and then it must not be done. */
  accepted(entries: readonly AuditEntry[]): Promise<void>;
  /** What was accepted and then could not be done. Resolves like `refused`. */
  failed(entries: readonly AuditEntry[]): Promise<void>;
  /** Resolves when the line is on the disk; also when it can't be written, which is logged: what is refused stays refused. */
  refused(entry: AuditEntry): Promise<void>;
  close(): Promise<void>;
}

/** Where nobody asks afterwards: simulations, and tests of other things. */
export const noAuditLog: AuditLog = {
  accepted: async () => {},
  failed: async () => {},
  refused: async () => {},
  close: async () => {},
};

export interface AuditOptions {
  readonly folder: string;
  /** Of each of the two files, before it makes way for a new one. */
  readonly maxBytes: number;
  /** How many old ones of each are kept. */
  readonly keep: number;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}

/** Rejects with `unavailable` if the files can't be opened. */
export async function openAuditLog({ folder, clock, log, ...rotation }: AuditOptions): Promise<AuditLog> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const changes = await openDurableLines(join(folder, "audit.log"), rotation);
  const refusals = await openDurableLines(join(folder, "audit-refused.log"), rotation);
  const written = (lines: DurableLines, outcome: string, entries: readonly AuditEntry[]): Promise<void> => {
    const time = new Date(clock.now()).toISOString();
    return lines.append(entries.map((entry) => `${JSON.stringify({ time, outcome, ...entry })}\n`).join(""));
  };
  const orLogged = (lines: DurableLines, outcome: string, entries: readonly AuditEntry[]): Promise<void> =>
    written(lines, outcome, entries).catch((error: unknown) => {
      log.error({ err: error, file: lines.file, outcome }, "the audit log can't be written");
    });
  return {
    accepted: (entries) =>
      written(changes, "accepted", entries).catch((error: unknown) => {
        const what = `the audit log ${changes.file} can't be written (${messageOf(error)}), so nothing is changed`;
        log.error({ err: error, file: changes.file }, "the audit log can't be written; changes are refused");
        throw new KodiakError({ kind: "unavailable", what }, { cause: error });
      }),
    failed: (entries) => orLogged(changes, "failed", entries),
    refused: (entry) => orLogged(refusals, "refused", [entry]),
    async close() {
      await changes.close();
      await refusals.close();
    },
  };
}

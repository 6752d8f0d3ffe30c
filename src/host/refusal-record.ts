// Refusals of callers that come again by themselves (zones, proxies), for the audit log: not a line for each time. The rest is
// counted, here and by metrics.

import type { AuditEntry, AuditLog } from "#host/audit-log.ts";
import type { Clock } from "#host/world.ts";
import type { JsonObject } from "#lib/json.ts";

/** Resolves when the line is on the disk, or left out. */
type Note = (entry: AuditEntry) => Promise<void>;

export interface RefusalRecord {
  /** An attempt: of the same caller (from any port), for the same and with the same outcome, one line an hour. */
  readonly attempt: Note;
  /** What was not so before: a line each time. */
  readonly news: Note;
}

/** In both: no more than these in a minute; how many were left out says the next line, in `leftOut`. */
export const mostLinesAMinute = 600;
/** Callers write names: what is remembered of them has an end, and what is written has, too. */
const mostRemembered = 1_000;
const longestText = 500;
const minute = 60_000;

export function refusalRecord({ refused }: Pick<AuditLog, "refused">, clock: Pick<Clock, "now">): RefusalRecord {
  /** Since when, the latest line last; and how often it came since then. */
  const known = new Map<string, { readonly sinceMs: number; times: number }>();
  let minuteSinceMs = Number.NEGATIVE_INFINITY;
  let lines = 0;
  let leftOut = 0;

  function hasRoom(): boolean {
    const now = clock.now();
    if (now - minuteSinceMs >= minute) {
      minuteSinceMs = now;
      lines = 0;
    }
    if (lines < mostLinesAMinute) return true;
    leftOut++;
    return false;
  }

  async function write(entry: AuditEntry): Promise<void> {
    lines++;
    const missing = leftOut > 0 ? { leftOut } : {};
    leftOut = 0;
    await refused({ ...entry, ...missing });
  }

  return {
    async news(entry) {
      if (hasRoom()) await write(shortened(entry));
    },
    async attempt(entry) {
      const short = shortened(entry);
      const { who, verb, what, why } = short;
      const key = JSON.stringify([who, hostOf(short.from), verb, what, why]);
      const now = clock.now();
      const last = known.get(key);
      if (last && now - last.sinceMs < 60 * minute) {
        last.times++;
        return;
      }
      if (!hasRoom()) return;
      known.delete(key);
      known.set(key, { sinceMs: now, times: 0 });
      if (known.size > mostRemembered) for (const oldest of known.keys()) if (known.delete(oldest)) break;
      await write({ ...short, ...(last && last.times > 0 && { repeated: last.times }) });
    },
  };
}

const hostOf = (peer: string): string => peer.slice(0, peer.lastIndexOf(":"));
const cut = (text: string): string => (text.length > longestText ? `${text.slice(0, longestText)}…` : text);
const cutTexts = <T extends object>(fields: T): T =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === "string" ? cut(value) : value]),
  ) as T;
const shortened = (entry: AuditEntry): AuditEntry => ({
  ...cutTexts(entry),
  who: cutTexts(entry.who),
  what: cutTexts<JsonObject>(entry.what),
});

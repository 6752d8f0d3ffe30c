// What `kodiak get zones` says of zones that do not answer others, as the ingresses and egresses of those report: a column only when there is one, and a
// sentence below the table.

import type { Column } from "#cli/columns.ts";
import { ageOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

export interface Silence {
  /** The zone that does not answer. */
  readonly zone: string;
  /** Whom. */
  readonly to: string;
  readonly since: string;
}

/** `own`: what the control plane that was asked found itself. */
export function silencesIn(links: ReadonlyMap<string, JsonObject>, own: unknown): readonly Silence[] {
  const all = [["this zone", own] as const, ...[...links].map(([peer, link]) => [peer, link.silentZones] as const)];
  return all.flatMap(([to, list]) =>
    (Array.isArray(list) ? list.filter(isObject) : []).map(({ zone, since }) => ({
      zone: String(zone),
      to,
      since: String(since),
    })),
  );
}

export const silentColumns = (silences: readonly Silence[], { now }: Pick<Terminal, "now">): readonly Column[] =>
  silences.length === 0
    ? []
    : [
        {
          head: "SILENT",
          show({ name }) {
            const of = silences.filter(({ zone }) => zone === name);
            return of.map(({ to, since }) => `to ${to} for ${ageOf(since, now())}`).join(", ") || "-";
          },
        },
      ];

export const silentText = (silences: readonly Silence[], { now }: Pick<Terminal, "now">): string =>
  silences
    .map(
      ({ zone, to, since }) =>
        `\n${zone}: no ingress of it answers ${to} for ${ageOf(since, now())}: what ${to} finds elsewhere goes there, until one answers\n`,
    )
    .join("");

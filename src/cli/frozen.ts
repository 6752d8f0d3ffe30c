// What `kodiak get zones` says of zones that conclude nothing of their proxies for now: a column only when there is one, and a
// sentence below the table.

import type { Column } from "#cli/columns.ts";
import { ageOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import type { JsonObject } from "#lib/json.ts";

type Links = ReadonlyMap<string, JsonObject>;

export const frozenColumns = (links: Links, { now }: Pick<Terminal, "now">): readonly Column[] =>
  [...links.values()].some((link) => sinceIn(link) !== undefined)
    ? [
        {
          head: "FROZEN",
          show({ name }) {
            const since = sinceIn(links.get(String(name)));
            return since === undefined ? "-" : `for ${ageOf(since, now())}`;
          },
        },
      ]
    : [];

/** `own`: since when the control plane that was asked is frozen itself. */
export function frozenText(links: Links, own: string | undefined, { now }: Pick<Terminal, "now">): string {
  const all = [["this zone", own] as const, ...[...links].map(([zone, link]) => [zone, sinceIn(link)] as const)];
  return all
    .flatMap(([zone, since]) => (since === undefined ? [] : `\n${zone}: frozen for ${ageOf(since, now())}: ${why}\n`))
    .join("");
}

const why =
  "its proxies went away together, or it has just started; nothing is concluded from that until some are back, and traffic goes on";

const sinceIn = (link: JsonObject | undefined): string | undefined =>
  typeof link?.frozenSince === "string" ? link.frozenSince : undefined;

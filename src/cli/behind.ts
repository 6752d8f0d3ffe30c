// What `kodiak get zones | dataplanes` says of objects that have not arrived: refused, or not taken yet. A column only when there
// is something, and below the table which, since when and why. What is held is in `held.ts`.

import type { Column } from "#cli/columns.ts";
import { ageOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { behindKey, refusedKey } from "#owned/proxy-insight.ts";
import { describeId } from "#resources/resource.ts";

export interface Trouble {
  /** Who is behind. */
  readonly name: string;
  readonly refused: readonly { readonly what: string; readonly why: string; readonly since: string }[];
  readonly behind: { readonly objects: number; readonly since: string; readonly why: string } | undefined;
}

/** Of links, as `/_links` answers. */
export const troubleOfLink = (name: string, link: JsonObject | undefined): Trouble => ({
  name,
  refused: objects(link?.refused).map(({ type, mesh, name: refused, where, why, since }) => ({
    what: `${nameOf(type, mesh, refused)} ${refusedWhere(where)} ${name}`,
    why: String(why),
    since: String(since),
  })),
  behind: behindIn(link?.behind),
});

/** Of a proxy, as its overview tells. */
export function troubleOfProxy(item: JsonObject, insight: string): Trouble {
  const spec = item[insight];
  const metadata = isObject(spec) && isObject(spec.metadata) ? spec.metadata : {};
  return {
    name: String(item.name),
    refused: objects(metadata[refusedKey]).map(({ type, name, reason, since }) => ({
      what: `${String(type)} ${String(name)}`,
      why: String(reason),
      since: String(since),
    })),
    behind: behindIn(metadata[behindKey]),
  };
}

export function behindColumns(
  troubles: readonly Trouble[],
  { now }: Pick<Terminal, "now">,
  of: (item: JsonObject) => Trouble,
): readonly Column[] {
  const refused: Column = { head: "REFUSED", show: (item) => String(of(item).refused.length || "-") };
  const behind: Column = {
    head: "BEHIND",
    show: (item) => {
      const { behind } = of(item);
      return behind ? `${counted(behind.objects)} for ${ageOf(behind.since, now())}, ${behind.why}` : "-";
    },
  };
  return [
    ...(troubles.some((one) => one.refused.length > 0) ? [refused] : []),
    ...(troubles.some((one) => one.behind !== undefined) ? [behind] : []),
  ];
}

const mostShown = 20;

/** A paragraph for each that refuses something, or of which something is refused. */
export const refusedText = (troubles: readonly Trouble[], { now }: Pick<Terminal, "now">): string =>
  troubles
    .filter(({ refused }) => refused.length > 0)
    .map(({ name, refused }) => {
      const lines = refused
        .slice(0, mostShown)
        .map(({ what, why, since }) => `  ${what} for ${ageOf(since, now())}: ${why}\n`);
      const rest = refused.length > mostShown ? `  and ${refused.length - mostShown} more\n` : "";
      return `\n${name}: ${refused.length} refused, until changed; all else goes on\n${lines.join("")}${rest}`;
    })
    .join("");

const objects = (list: unknown): readonly JsonObject[] => (Array.isArray(list) ? list.filter(isObject) : []);
const refusedWhere = (where: unknown): string => (where === "here" ? "from" : where === "there" ? "by" : "to");
const counted = (count: number): string => `${count} object${count === 1 ? "" : "s"}`;

function nameOf(type: unknown, mesh: unknown, name: unknown): string {
  if (name === undefined) return `one of several of kind ${String(type)}`;
  return describeId({ kind: String(type), mesh: String(mesh ?? ""), name: String(name) });
}

function behindIn(value: unknown): Trouble["behind"] {
  if (!isObject(value)) return undefined;
  return { objects: Number(value.objects), since: String(value.since), why: String(value.why) };
}

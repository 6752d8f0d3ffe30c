// What `kodiak get zones` says of links that are held: a column, and below the table what waits, why, and what ends it.

import type { Api } from "#cli/client.ts";
import type { Column } from "#cli/columns.ts";
import { ageOf } from "#cli/print.ts";
import { type Silence, silencesIn } from "#cli/silent.ts";
import type { Terminal } from "#cli/terminal.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { describeId } from "#resources/resource.ts";

export interface LinksShown {
  /** By peer: a zone, or `global`. */
  readonly links: ReadonlyMap<string, JsonObject>;
  /** Of the control plane itself. */
  readonly frozenSince: string | undefined;
  readonly silences: readonly Silence[];
  /** Zones that reach no other for want of an egress, and the meshes that it is for. */
  readonly withoutEgress: readonly JsonObject[];
  /** Zones whose control planes have lost their ingresses, and since when. */
  readonly ingressesAway: readonly JsonObject[];
}

/** As `/_links` answers. Empty from a control plane that does not know such links. */
export async function linksAt(api: Api): Promise<LinksShown> {
  const { status, json } = await api.ask("GET", "/_links");
  const listOf = (member: string) => {
    const found = json[member];
    return status === 200 && Array.isArray(found) ? found.filter(isObject) : [];
  };
  const frozenSince = typeof json.frozenSince === "string" ? json.frozenSince : undefined;
  const links = new Map(listOf("items").map((link) => [String(link.peer), link]));
  return {
    ...{ links, frozenSince, silences: silencesIn(links, json.silentZones) },
    ...{ withoutEgress: listOf("withoutEgress"), ingressesAway: listOf("ingressesAway") },
  };
}

/** None while nothing is held. */
export const heldColumns = (links: ReadonlyMap<string, JsonObject>): readonly Column[] =>
  [...links.values()].some((link) => heldIn(link).length > 0)
    ? [{ head: "HELD", show: ({ name }) => counted(heldIn(links.get(String(name)))) || "-" }]
    : [];

/** A zone's link to global as a row of its own. */
export const rowsBesides = (
  links: ReadonlyMap<string, JsonObject>,
  zones: readonly JsonObject[],
): readonly JsonObject[] =>
  [...links]
    .filter(([peer]) => !zones.some(({ name }) => name === peer))
    .map(([name, { connected, since }]) => ({
      name,
      zoneInsight: { subscriptions: [connected === true ? { connectTime: since } : { disconnectTime: since }] },
    }));

/** A paragraph for each link that is held. */
export function heldText(links: ReadonlyMap<string, JsonObject>, terminal: Pick<Terminal, "now">): string {
  return [...links]
    .flatMap(([peer, link]) => {
      const held = heldIn(link);
      return held.length === 0 ? [] : [paragraph(peer, held, ageOf(String(link.heldSince), terminal.now()))];
    })
    .join("");
}

const mostShown = 20;

function paragraph(peer: string, held: readonly JsonObject[], age: string): string {
  const whys = [...new Set(held.map(({ why }) => String(why)))];
  const lines = held.slice(0, mostShown).map(({ what, type, mesh, name }) => {
    const id = { kind: String(type), mesh: String(mesh ?? ""), name: String(name) };
    return `  ${what} of ${describeId(id)}\n`;
  });
  const rest = held.length > mostShown ? `  and ${held.length - mostShown} more: GET /_links lists them\n` : "";
  const end = `They end when they come back as they are here; \`kodiak zone accept ${peer}\` does what is held.\n`;
  return `\n${peer}: ${counted(held)} held for ${age}: ${whys.join("; ")}\n${lines.join("")}${rest}${end}`;
}

const heldIn = (link: JsonObject | undefined): readonly JsonObject[] =>
  Array.isArray(link?.held) ? link.held.filter(isObject) : [];

function counted(held: readonly JsonObject[]): string {
  const removals = held.filter(({ what }) => what === "removal").length;
  return [number(removals, "removal"), number(held.length - removals, "change")].filter(Boolean).join(", ");
}
const number = (count: number, what: string): string =>
  count === 0 ? "" : `${count} ${what}${count === 1 ? "" : "s"}`;

// What `kodiak get zones` says of zones of which nothing new is concluded for now, whose traffic goes on: a column only when there is one,
// and a sentence below the table.

import type { Column } from "#cli/columns.ts";
import { ageOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { presenceIn } from "#owned/online.ts";

export interface Frozen {
  readonly zone: string;
  readonly since: string;
  readonly why: string;
}

export interface FrozenCase {
  readonly links: ReadonlyMap<string, JsonObject>;
  /** Since when the control plane that was asked is frozen itself. */
  readonly own: string | undefined;
  /** As overviews show them. */
  readonly zones: readonly JsonObject[];
  /** Zones whose control planes have lost their ingresses, and since when. */
  readonly ingressesAway: readonly JsonObject[];
}

const proxiesAway =
  "its proxies went away together, or it has just started; nothing is concluded from that until some are back, and traffic goes on";
const controlPlaneAway = "its control plane is away; what was known of it then holds, and it keeps its traffic";
const ingressAway =
  "its control plane has lost its ingress; what that led to then holds, and others send there as long as it answers them";

/** Of a zone what says most. */
export function frozenIn({ links, own, zones, ingressesAway }: FrozenCase): readonly Frozen[] {
  const all = [
    ...zones.flatMap((zone) => {
      const { isOnline, since } = presenceIn(isObject(zone.zoneInsight) ? zone.zoneInsight : undefined);
      return isOnline || since === undefined ? [] : [{ zone: String(zone.name), since, why: controlPlaneAway }];
    }),
    ...[["this zone", own] as const, ...[...links].map(([zone, link]) => [zone, link.frozenSince] as const)].flatMap(
      ([zone, since]) => (typeof since === "string" ? [{ zone, since, why: proxiesAway }] : []),
    ),
    ...ingressesAway.map(({ zone, since }) => ({ zone: String(zone), since: String(since), why: ingressAway })),
  ];
  return all.filter(({ zone }, i) => all.findIndex((one) => one.zone === zone) === i);
}

export const frozenColumns = (frozen: readonly Frozen[], { now }: Pick<Terminal, "now">): readonly Column[] =>
  frozen.length === 0
    ? []
    : [
        {
          head: "FROZEN",
          show({ name }) {
            const found = frozen.find(({ zone }) => zone === name);
            return found ? `for ${ageOf(found.since, now())}` : "-";
          },
        },
      ];

export const frozenText = (frozen: readonly Frozen[], { now }: Pick<Terminal, "now">): string =>
  frozen.map(({ zone, since, why }) => `\n${zone}: frozen for ${ageOf(since, now())}: ${why}\n`).join("");

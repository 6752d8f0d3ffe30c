// What `kodiak get zones` says of zones that get no traffic of others because somebody said so: a column only when there is one, and
// below the table what ends it.

import type { Column } from "#cli/columns.ts";
import { ageOf } from "#cli/print.ts";
import type { Terminal } from "#cli/terminal.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { label } from "#resources/resource.ts";

/** `zones`: as overviews show them. */
export const stateColumns = (zones: readonly JsonObject[], terminal: Pick<Terminal, "now">): readonly Column[] =>
  zones.some((zone) => isDisabled(zone) || drainedSince(zone) !== undefined)
    ? [{ head: "STATE", show: (zone) => stateOf(zone, terminal) }]
    : [];

export const stateText = (zones: readonly JsonObject[]): string =>
  zones
    .flatMap((zone) => {
      const name = String(zone.name);
      if (isDisabled(zone))
        return [
          `\n${name}: disabled: other zones get nothing of it, nor it of them; \`enabled: true\` in its Zone ends that\n`,
        ];
      return drainedSince(zone) === undefined
        ? []
        : [`\n${name}: drained: it gets what no other zone has; \`kodiak zone restore ${name}\` ends that\n`];
    })
    .join("");

function stateOf(zone: JsonObject, { now }: Pick<Terminal, "now">): string {
  if (isDisabled(zone)) return "disabled";
  const since = drainedSince(zone);
  return since === undefined ? "-" : `drained for ${ageOf(since, now())}`;
}

const isDisabled = ({ zone }: JsonObject): boolean => isObject(zone) && zone.enabled === false;

function drainedSince({ labels }: JsonObject): string | undefined {
  const since = isObject(labels) ? labels[label.drainedSince] : undefined;
  return typeof since === "string" ? new Date(Number(since)).toISOString() : undefined;
}

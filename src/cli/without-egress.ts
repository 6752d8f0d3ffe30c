// What `kodiak get zones` says of zones that reach no other zone for want of an egress: a sentence below the table.

import type { JsonObject } from "#lib/json.ts";

export const withoutEgressText = (zones: readonly JsonObject[]): string =>
  zones
    .map(({ zone, meshes }) => {
      const names = Array.isArray(meshes) ? meshes.map(String) : [];
      const which = names.length === 1 ? `mesh ${names[0]} reaches` : `meshes ${names.join(", ")} reach`;
      return `\n${zone}: ${which} other zones through a zone egress, and none is alive: requests to them are answered 503 until \`kodiak run egress\` runs there\n`;
    })
    .join("");

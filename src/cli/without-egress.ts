// What `kodiak get zones` says of zones that nothing leaves for want of an egress: a sentence below the table for each way out.

import type { JsonObject, JsonValue } from "#lib/json.ts";

export const withoutEgressText = (zones: readonly JsonObject[]): string =>
  zones
    .flatMap(({ zone, meshes, external }) => [
      ...sentence(zone, meshes, "other zones and services outside"),
      ...sentence(zone, external, "MeshExternalServices"),
    ])
    .join("");

function sentence(zone: JsonValue | undefined, meshes: JsonValue | undefined, what: string): readonly string[] {
  const names = Array.isArray(meshes) ? meshes.map(String) : [];
  if (names.length === 0) return [];
  const which = names.length === 1 ? `mesh ${names[0]} reaches` : `meshes ${names.join(", ")} reach`;
  return [
    `\n${zone}: ${which} ${what} through a zone egress, and none is alive: requests to them are answered 503 until \`kodiak run egress\` runs there\n`,
  ];
}

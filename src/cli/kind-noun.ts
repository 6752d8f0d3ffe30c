// What users call a kind: `meshtimeouts`, `mesh-timeout`, `MeshTimeout`, `mt` are one.

import { Usage } from "#cli/verb.ts";
import { didYouMean } from "#lib/nearest.ts";
import type { Kind } from "#resources/kind.ts";
import { kinds } from "#resources/kinds.ts";

const served: readonly Kind[] = kinds.filter((kind) => kind.plural !== undefined);
export const kindNames: readonly string[] = served.map((kind) => kind.name);

const plain = (noun: string): string => noun.toLowerCase().replaceAll("-", "");
const byNoun: ReadonlyMap<string, Kind> = new Map(
  served.flatMap((kind) => nounsOf(kind).map((noun) => [plain(noun), kind] as const)),
);

function nounsOf(kind: Kind): readonly string[] {
  return [kind.name, kind.plural, kind.alias, kind.short].flatMap((noun) => noun || []);
}

/** Throws `Usage` for what is no kind. */
export function kindCalled(noun: string): Kind {
  const kind = byNoun.get(plain(noun));
  if (kind) return kind;
  const hint =
    didYouMean(noun, served.flatMap(nounsOf)) ||
    "; there are meshes, dataplanes, zones, meshtimeouts and more (GET /_resources lists all)";
  throw new Usage(`there is no kind called "${noun}"${hint}`);
}

/** The path of a list, or of one resource, in the API. */
export function pathOf(kind: Kind, mesh: string | undefined, name?: string): string {
  const prefix = kind.scope === "Mesh" && mesh !== undefined ? `/meshes/${encodeURIComponent(mesh)}` : "";
  return `${prefix}/${kind.plural}${name === undefined ? "" : `/${encodeURIComponent(name)}`}`;
}

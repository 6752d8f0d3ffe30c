// Zones whose proxies cannot reach other zones, because a mesh takes them through zone egresses and none of theirs is alive.

import { isOnline } from "#owned/online.ts";
import { asMesh } from "#resources/mesh.ts";
import type { View } from "#resources/store.ts";
import { asZoneEgress } from "#resources/zone-egress.ts";
import { meshFactsOf } from "#topology/mesh.ts";

export interface WithoutEgress {
  readonly zone: string;
  readonly meshes: readonly string[];
}

/** `zones`: those that are looked at. `own`: the one that an egress belongs to that does not say. */
export function zonesWithoutEgress(
  view: Pick<View, "get" | "list">,
  zones: readonly string[],
  own = "",
): readonly WithoutEgress[] {
  const facts = view.list("Mesh").map((mesh) => meshFactsOf(asMesh(mesh)));
  const meshes = facts.flatMap(({ name, mtls, usesEgress }) => (mtls && usesEgress ? [name] : [])).sort();
  if (meshes.length === 0) return [];
  const alive = new Set(
    view
      .list("ZoneEgress")
      .filter(({ name }) => isOnline(view.get({ kind: "ZoneEgressInsight", mesh: "", name })))
      .map((egress) => asZoneEgress(egress).spec.zone || own),
  );
  return zones.filter((zone) => !alive.has(zone)).map((zone) => ({ zone, meshes }));
}

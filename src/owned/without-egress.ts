// Zones whose proxies cannot leave them, because a mesh takes them through zone egresses and none of theirs is alive.

import { isOnline } from "#owned/online.ts";
import { asMesh } from "#resources/mesh.ts";
import { type Labels, label } from "#resources/resource.ts";
import type { View } from "#resources/store.ts";
import { asZoneEgress } from "#resources/zone-egress.ts";
import { meshFactsOf } from "#topology/mesh.ts";

export interface WithoutEgress {
  readonly zone: string;
  /** Those that leave zones through egresses only. */
  readonly meshes: readonly string[];
  /** Others, that have MeshExternalServices, which egresses alone lead to. */
  readonly external: readonly string[];
}

/** One that is written in a zone is for that zone; one that is pinned to it, by global, is called from others through its egress (decision 26). */
const isCalledFrom = (zone: string, labels: Labels): boolean =>
  labels[label.origin] === "global" || (labels[label.zone] ?? zone) === zone;

/** `zones`: those that are looked at. `own`: the one that an egress belongs to that does not say. */
export function zonesWithoutEgress(
  view: Pick<View, "get" | "list">,
  zones: readonly string[],
  own = "",
): readonly WithoutEgress[] {
  const facts = view.list("Mesh").map((mesh) => meshFactsOf(asMesh(mesh)));
  const secure = facts.filter(({ mtls }) => mtls !== undefined);
  const meshes = secure.flatMap(({ name, usesEgress }) => (usesEgress ? [name] : [])).sort();
  const others = secure.flatMap(({ name, usesEgress }) => (usesEgress ? [] : [name])).sort();
  const resources = others.length > 0 ? view.list("MeshExternalService") : [];
  if (meshes.length === 0 && resources.length === 0) return [];
  const alive = new Set(
    view
      .list("ZoneEgress")
      .filter(({ name }) => isOnline(view.get({ kind: "ZoneEgressInsight", mesh: "", name })))
      .map((egress) => asZoneEgress(egress).spec.zone || own),
  );
  return zones
    .filter((zone) => !alive.has(zone))
    .map((zone) => {
      const called = resources.filter(({ labels }) => isCalledFrom(zone, labels)).map(({ mesh }) => mesh);
      return { zone, meshes, external: others.filter((name) => called.includes(name)) };
    })
    .filter(({ meshes, external }) => meshes.length + external.length > 0);
}

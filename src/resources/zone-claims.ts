// Where a proxy or policy says to which zone it belongs. Who takes it from elsewhere compares that with where it comes from.

import { at } from "#lib/issue.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { label, type Resource, tag } from "#resources/resource.ts";
import { asZoneIngress } from "#resources/zone-ingress.ts";

export interface ZoneClaim {
  /** As in the resource's REST form. */
  readonly path: string;
  readonly zone: string;
}

/** What is absent claims nothing. */
export function zoneClaims(resource: Resource): readonly ZoneClaim[] {
  const claims = [[at("labels", label.zone), resource.labels[label.zone]] as const, ...claimsInSpec(resource)];
  return claims.flatMap(([path, zone]) => (typeof zone === "string" && zone !== "" ? [{ path, zone }] : []));
}

function claimsInSpec(resource: Resource): readonly (readonly [path: string, zone: unknown])[] {
  switch (resource.kind) {
    case "Dataplane": {
      const { gateway, inbound = [] } = asDataplane(resource).spec.networking ?? {};
      return [
        [at("networking", "gateway", "tags", tag.zone), gateway?.tags?.[tag.zone]],
        ...inbound.map(({ tags }, i) => [at("networking", "inbound", i, "tags", tag.zone), tags?.[tag.zone]] as const),
      ];
    }
    case "ZoneIngress": {
      const { zone, availableServices = [] } = asZoneIngress(resource).spec;
      return [
        ["zone", zone],
        ...availableServices.map(
          ({ tags }, i) => [at("availableServices", i, "tags", tag.zone), tags?.[tag.zone]] as const,
        ),
      ];
    }
    case "ZoneEgress":
      return [["zone", resource.spec.zone]];
  }
  return [];
}

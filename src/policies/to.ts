// What the `to` parts of policies say of one destination (interop 3.4). A destination is a service by its tags, or a resource
// with a port; entries for the whole mesh are for every one.

import type { JsonObject } from "#lib/json.ts";
import type { Match } from "#policies/match.ts";
import { mergeConfs } from "#policies/merge.ts";
import { byAttributes, byDestination, byName, firstOf, topLevelOf } from "#policies/precedence.ts";
import { type Identity, identityOf, refersTo } from "#policies/reference.ts";
import type { PolicySpec, TargetRef } from "#policies/schema.ts";
import { type Labels, type Resource, tag } from "#resources/resource.ts";

export type Destination =
  | { readonly kind: "service"; readonly service: string; readonly tags: Labels }
  | (Identity & {
      readonly kind: "resource";
      readonly resource: "MeshService" | "MeshMultiZoneService" | "MeshExternalService";
      /** Name of its port, else the port. */
      readonly section: string;
    });

/** An entry of a policy's `to`, with the policy that it comes from. */
export interface ToEntry<Entry> {
  readonly entry: Entry;
  readonly policy: Resource<PolicySpec>;
}
interface Targeted {
  readonly targetRef: TargetRef;
}
type WithTo<Entry> = Omit<PolicySpec, "to"> & { readonly to?: readonly Entry[] | undefined };

/** The entries that are for the destination, ascending. `routes` are the MeshHTTPRoutes that made the route in question:
 * what is said of them counts for it, too. */
export function toEntries<Entry extends Targeted>(
  matches: readonly Match<WithTo<Entry>>[],
  destination: Destination,
  routes: readonly Resource<PolicySpec>[] = [],
): readonly ToEntry<Entry>[] {
  const isForRoutes = (ref: TargetRef, policy: Resource<PolicySpec>): boolean =>
    routes.some((route) => refersTo(ref, identityOf(route), policy));

  const entries = matches.flatMap(({ policy }) => {
    const top = topLevelOf(policy);
    if (top.kind === "MeshHTTPRoute" && !isForRoutes(top, policy)) return [];
    return (policy.spec.to ?? []).map((entry) => ({ entry, policy }));
  });
  const ofRoutes = entries.filter(
    ({ entry, policy }) => entry.targetRef.kind === "MeshHTTPRoute" && isForRoutes(entry.targetRef, policy),
  );
  // A resource's route that has entries of its own takes no others but those for the mesh.
  const onlyMesh = destination.kind === "resource" && ofRoutes.length > 0;
  const ofDestination = entries.filter(
    ({ entry: { targetRef }, policy }) =>
      targetRef.kind === "Mesh" || (!onlyMesh && isForDestination(targetRef, policy, destination)),
  );
  return [...ofDestination, ...ofRoutes].sort(
    firstOf<ToEntry<Entry>>(
      (a, b) => byAttributes(a.policy, b.policy),
      (a, b) => byDestination(a.entry.targetRef, b.entry.targetRef),
      (a, b) => byName(a.policy, b.policy),
    ),
  );
}

function isForDestination(ref: TargetRef, policy: Resource<PolicySpec>, destination: Destination): boolean {
  switch (destination.kind) {
    case "service": {
      if (ref.kind !== "MeshService" && ref.kind !== "MeshServiceSubset") return false;
      const has: Labels = { ...destination.tags, [tag.service]: destination.service };
      const wanted = { ...ref.tags, [tag.service]: ref.name ?? "" };
      return Object.entries(wanted).every(([key, value]) => has[key] === value);
    }
    case "resource":
      return (
        ref.kind === destination.resource &&
        (ref.sectionName === undefined || ref.sectionName === destination.section) &&
        refersTo(ref, destination, policy)
      );
  }
}

export interface ToConf<Conf> {
  readonly conf: Conf;
  /** The policies that it comes from, ascending. */
  readonly origins: readonly Resource<PolicySpec>[];
}

/** The conf of the destination, merged; `undefined` if no policy says anything of it. */
export function toConf<Conf extends JsonObject>(
  matches: readonly Match<WithTo<Targeted & { readonly default?: Conf | undefined }>>[],
  destination: Destination,
  routes: readonly Resource<PolicySpec>[] = [],
): ToConf<Conf> | undefined {
  const entries = toEntries(matches, destination, routes);
  const conf = mergeConfs(entries.flatMap(({ entry }) => (entry.default ? [entry.default] : [])));
  return conf && { conf, origins: [...new Set(entries.map(({ policy }) => policy))] };
}

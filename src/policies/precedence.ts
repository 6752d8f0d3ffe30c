// Which policy wins where several say something of the same thing (interop 3.4). Ascending: later overrides earlier.

import { type PolicySpec, type TargetKind, type TargetRef, targetKinds } from "#policies/schema.ts";
import { displayNameOf, label, type Resource } from "#resources/resource.ts";

export type Compare<T> = (a: T, b: T) => number;

/** The first comparison that tells them apart decides. */
export const firstOf =
  <T>(...comparisons: readonly Compare<T>[]): Compare<T> =>
  (a, b) => {
    for (const compare of comparisons) {
      const order = compare(a, b);
      if (order !== 0) return order;
    }
    return 0;
  };
/** Ascending by a number. */
export const by =
  <T>(rank: (value: T) => number): Compare<T> =>
  (a, b) =>
    rank(a) - rank(b);

type Policy = Pick<Resource<PolicySpec>, "labels" | "name" | "spec">;

const everywhere: TargetRef = { kind: "Mesh" };
/** A policy that doesn't say what it is for is for the whole mesh. */
export const topLevelOf = (policy: Pick<Policy, "spec">): TargetRef => policy.spec.targetRef ?? everywhere;

// The list is in the order of precedence.
const kindRank = (kind: TargetKind): number => targetKinds.indexOf(kind);

const origins: readonly (string | undefined)[] = ["global", undefined, "zone"];
const roles = ["system", "producer", "consumer", "workload-owner"] as const;
export type PolicyRole = (typeof roles)[number];

/** Universal policies have no role: they are the system's (interop 1.6). */
export const roleOf = (policy: Pick<Policy, "labels">): PolicyRole =>
  roles.find((role) => role === policy.labels[label.policyRole]) ?? "system";

function dataplaneRank(ref: TargetRef): number {
  if (ref.kind !== "Dataplane") return 0;
  return (ref.name === undefined ? 0 : 2) + (ref.sectionName === undefined ? 0 : 1);
}
const listenerTags = (ref: TargetRef): number => (ref.kind === "MeshGateway" ? Object.keys(ref.tags ?? {}).length : 0);

/** Everything but the name. */
export const byAttributes: Compare<Policy> = firstOf<Policy>(
  by((policy) => kindRank(topLevelOf(policy).kind)),
  by((policy) => dataplaneRank(topLevelOf(policy))),
  by((policy) => origins.indexOf(policy.labels[label.origin])),
  by((policy) => listenerTags(topLevelOf(policy))),
  by((policy) => roles.indexOf(roleOf(policy))),
);

const textOrder = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);

/** Of two that differ in nothing else, the lexicographically smaller display name wins; then the later in the store's list. */
export const byName: Compare<Policy> = firstOf<Policy>(
  (a, b) => textOrder(displayNameOf(b), displayNameOf(a)),
  (a, b) => textOrder(a.name, b.name),
);

/** Order of `to` entries: by what they are for, and for a port after for the whole. */
export const byDestination: Compare<TargetRef> = firstOf<TargetRef>(
  by((ref) => kindRank(ref.kind)),
  by((ref) => (ref.kind === "MeshService" && ref.sectionName !== undefined ? 1 : 0)),
);

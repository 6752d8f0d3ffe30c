// Role: what some users and groups may do at this control plane's API (decision 13). Not a policy of the mesh, but written,
// checked and stored like all else that users write.

import { z } from "zod";
import { at, type Issue } from "#lib/issue.ts";
import { didYouMean } from "#lib/nearest.ts";
import { issuesOf, type SpecOf, sayMissing } from "#policies/schema.ts";
import { findKind, kinds } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";

export const allRights = ["read", "write", "secrets", "dataplane-tokens", "zone-tokens", "user-tokens"] as const;
export type Right = (typeof allRights)[number];

const names = z.array(z.string().min(1)).min(1);
const rule = z.strictObject({
  rights: z.array(z.enum(allRights)).min(1),
  /** Narrows `read` and `write`; absent: all kinds. */
  kinds: names.optional(),
  /** Absent: all meshes, and what is in none. */
  meshes: names.optional(),
});
const schema = z.strictObject({
  groups: names.optional(),
  users: names.optional(),
  rules: z.array(rule).min(1),
});
export type Role = SpecOf<typeof schema>;
export type Rule = Role["rules"][number];

export function roleIssues(resource: Pick<Resource, "spec">): readonly Issue[] {
  const parsed = schema.safeParse(resource.spec, { error: sayMissing });
  if (!parsed.success) return issuesOf(parsed.error);
  const { groups = [], users = [], rules } = parsed.data;
  const nobody = groups.length + users.length === 0;
  return [
    ...(nobody ? [{ path: "spec", message: "must say whose it is: groups, users or both" }] : []),
    ...rules.flatMap((one, i) => ruleIssues(one, ["spec", "rules", i])),
  ];
}

function ruleIssues({ rights, kinds: narrowed = [], meshes }: Rule, path: readonly (string | number)[]): Issue[] {
  const without = (member: string, what: readonly Right[]): Issue[] =>
    rights
      .filter((right) => what.includes(right))
      .map((right) => ({
        path: at(...path, member),
        message: `says nothing of the right ${right}; give that in a rule of its own`,
      }));
  return [
    ...(narrowed.length > 0 ? without("kinds", ["secrets", "dataplane-tokens", "zone-tokens", "user-tokens"]) : []),
    ...(meshes ? without("meshes", ["zone-tokens", "user-tokens"]) : []),
    ...narrowed.flatMap((name, i) => kindIssues(name, at(...path, "kinds", i))),
  ];
}

function kindIssues(name: string, path: string): Issue[] {
  const kind = findKind(name);
  if (!kind || kind.plural === undefined)
    return [{ path, message: `there is no kind ${JSON.stringify(name)}${didYouMean(name, kindNames)}` }];
  const isNobodys = kind.adminOnly && kind.name !== "Secret";
  return isNobodys ? [{ path, message: `${name} is the administrators' alone, and no Role gives it` }] : [];
}
const kindNames: readonly string[] = kinds.filter(({ plural }) => plural !== undefined).map(({ name }) => name);

const read = new WeakMap<Resource, Role | undefined>();

/** One that does not fit, as an older version may have stored it, gives nothing. */
export function roleIn(resource: Resource): Role | undefined {
  if (!read.has(resource)) {
    const parsed = roleIssues(resource).length === 0 ? schema.parse(resource.spec) : undefined;
    read.set(resource, parsed);
  }
  return read.get(resource);
}

// MeshTrafficPermission as Envoy's RBAC (interop 7.3). What nothing allows is denied. `from` knows clients by their tags,
// `rules` by their identity; an inbound that has rules heeds no `from`.
//
// RBAC's `principal_name` looks at every URI SAN of a certificate. Its matcher tree doesn't: there, `uri_san` is all of them
// joined by commas, so that a classic certificate, which has a SAN for each tag, never equals an identity.

import { serviceIdentity } from "#envoy/tls.ts";
import type { PermissionJson, PolicyJson, PrincipalJson } from "#gen/envoy/config/rbac/v3/rbac_pb.ts";
import { type FromRule, fromRules, type InboundRule, inboundRules } from "#policies/inbound.ts";
import { type MeshTrafficPermission, schema } from "#policies/mesh-traffic-permission/schema.ts";
import { definePolicy, type Permissions } from "#policies/policy.ts";
import type { ClientMatch, TargetKind } from "#policies/schema.ts";
import { type Labels, tag } from "#resources/resource.ts";
import { isSubset } from "#topology/provider.ts";

const tops: readonly TargetKind[] = ["Mesh", "MeshSubset", "MeshService", "MeshServiceSubset", "Dataplane"];
const clients: readonly TargetKind[] = ["Mesh", "MeshSubset", "MeshService", "MeshServiceSubset"];

export const meshTrafficPermission = definePolicy({
  kind: "MeshTrafficPermission",
  schema,
  targets: {
    top: { system: tops, namespaced: tops },
    listenerTags: false,
    parts: ["from", "rules"],
    needsPart: true,
    from: () => clients,
  },
  check: () => [],
  translate: {
    inbound: (matches, { mesh, section }) => {
      const rules = inboundRules(matches, section, (spec: MeshTrafficPermission) => spec.rules ?? []);
      return { permissions: rules.length > 0 ? byIdentity(rules) : byTags(fromRules(matches, section), mesh) };
    },
  },
});

/** RBAC without a policy denies everything. */
const nothing: Permissions = { rules: {} };
const policyName = "MeshTrafficPermission";
const anyone: PermissionJson[] = [{ any: true }];

type FromConf = NonNullable<MeshTrafficPermission["from"]>[number]["default"];
type RuleConf = NonNullable<MeshTrafficPermission["rules"]>[number]["default"];

/** Later rules override earlier ones, so each holds for its clients less those of later rules that say otherwise. */
function byTags(rules: readonly FromRule<FromConf>[], mesh: string): Permissions {
  const principalsWhere = (holds: (action: FromConf["action"]) => boolean): PrincipalJson[] =>
    rules.flatMap((rule, i) => {
      if (!holds(rule.conf.action)) return [];
      const exceptions = rules.slice(i + 1).filter((later) => !holds(later.conf.action));
      if (exceptions.some((later) => isSubset(later.tags, rule.tags))) return [];
      const ids = [withTags(rule.tags, mesh), ...exceptions.map(({ tags }) => not(withTags(tags, mesh)))];
      return [allOf(ids)];
    });
  const allowed = principalsWhere((action) => action !== "Deny");
  const shadowDenied = principalsWhere((action) => action === "AllowWithShadowDeny");
  if (allowed.length === 0) return nothing;
  return {
    rules: { policies: { [policyName]: { permissions: anyone, principals: allowed } } },
    ...(shadowDenied.length > 0 && {
      shadowRules: { action: "DENY", policies: { [policyName]: { permissions: anyone, principals: shadowDenied } } },
    }),
  };
}

const withTags = (tags: Labels, mesh: string): PrincipalJson =>
  allOf(
    Object.entries(tags).map(([key, value]) =>
      named(key === tag.service ? serviceIdentity(mesh, value) : `kuma://${key}/${value}`),
    ),
  );

/** `*` at the end is any value. */
const named = (san: string): PrincipalJson => ({
  authenticated: { principalName: san.endsWith("/*") ? { prefix: san.slice(0, -1) } : { exact: san } },
});

/** What is denied is denied whatever else allows it. */
function byIdentity(rules: readonly InboundRule<RuleConf>[]): Permissions {
  const of = (part: keyof RuleConf): readonly ClientMatch[] => rules.flatMap(({ conf }) => conf[part] ?? []);
  const denied = of("deny");
  const shadowDenied = of("allowWithShadowDeny");
  const allowed = [...of("allow"), ...shadowDenied];
  const policies = policiesOf(allowed, denied);
  if (Object.keys(policies).length === 0) return nothing;
  return {
    rules: { policies },
    ...(shadowDenied.length > 0 && { shadowRules: { action: "DENY", policies: policiesOf(shadowDenied, []) } }),
  };
}

/** An RBAC policy joins permissions (here: the SNI) and principals by AND, and can't say NOT of both together: so one policy
 * for each SNI that is mentioned, and one for all others. */
function policiesOf(allowed: readonly ClientMatch[], denied: readonly ClientMatch[]): Record<string, PolicyJson> {
  const names = [...new Set([...allowed, ...denied].flatMap(({ sni }) => (sni ? [sni.value] : [])))].sort();
  const policyFor = (sni: string | undefined, permission: PermissionJson): PolicyJson[] => {
    const isFor = (match: ClientMatch): boolean => match.sni === undefined || match.sni.value === sni;
    const [may, mayNot] = [allowed.filter(isFor), denied.filter(isFor)];
    if (may.length === 0) return [];
    const except = mayNot.length > 0 ? [not(oneOf(mayNot.map(identified)))] : [];
    return [{ permissions: [permission], principals: [allOf([oneOf(may.map(identified)), ...except])] }];
  };
  const bySni = names.flatMap((name) =>
    policyFor(name, { requestedServerName: { exact: name } }).map(
      (policy) => [`${policyName} ${name}`, policy] as const,
    ),
  );
  const others = policyFor(
    undefined,
    names.length === 0
      ? { any: true }
      : { notRule: { orRules: { rules: names.map((name) => ({ requestedServerName: { exact: name } })) } } },
  );
  return Object.fromEntries([...bySni, ...others.map((policy) => [policyName, policy] as const)]);
}

const identified = ({ spiffeID }: ClientMatch): PrincipalJson => {
  if (!spiffeID) return { any: true };
  const { type, value } = spiffeID;
  return { authenticated: { principalName: type === "Exact" ? { exact: value } : { prefix: value } } };
};

const not = (id: PrincipalJson): PrincipalJson => ({ notId: id });
function allOf(ids: PrincipalJson[]): PrincipalJson {
  if (ids.length === 0) return { any: true };
  return ids.length === 1 ? ids[0]! : { andIds: { ids } };
}
const oneOf = (ids: PrincipalJson[]): PrincipalJson => (ids.length === 1 ? ids[0]! : { orIds: { ids } });

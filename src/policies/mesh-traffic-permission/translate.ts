// MeshTrafficPermission as Envoy's RBAC (interop 7.3). What nothing allows is denied. `from` knows clients by their tags,
// `rules` by their identity; an inbound that has rules heeds no `from`.
//
// Envoy says which RBAC policy has decided, so RBAC lists what is denied, each under the KRI of the MeshTrafficPermission that
// denies it, and under `none` what no one allows. Of several that fit Envoy names the first in the order of their names.
//
// RBAC's `principal_name` looks at every URI SAN of a certificate. Its matcher tree doesn't: there, `uri_san` is all of them
// joined by commas, so that a classic certificate, which has a SAN for each tag, never equals an identity.

import { serviceIdentity } from "#envoy/tls.ts";
import type { PermissionJson, PolicyJson, PrincipalJson } from "#gen/envoy/config/rbac/v3/rbac_pb.ts";
import { type FromRule, fromRules, type InboundRule, inboundRules } from "#policies/inbound.ts";
import { type MeshTrafficPermission, schema } from "#policies/mesh-traffic-permission/schema.ts";
import { definePolicy, type Permissions } from "#policies/policy.ts";
import type { ClientMatch, PolicySpec, TargetKind } from "#policies/schema.ts";
import { kindNamed } from "#resources/kinds.ts";
import { type Labels, type Resource, tag } from "#resources/resource.ts";
import { kriOf } from "#resources/rest.ts";
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

const policyName = "MeshTrafficPermission";
/** Denies everything. */
const nothing: Permissions = { rules: {} };
const anyone: PrincipalJson = { any: true };

type FromConf = NonNullable<MeshTrafficPermission["from"]>[number]["default"];
type RuleConf = NonNullable<MeshTrafficPermission["rules"]>[number]["default"];
type Policies = Readonly<Record<string, PolicyJson>>;

/** `denied` is never without a policy, by which RBAC would allow everything: that is said outright. */
function permissionsOf(denied: Policies, shadowDenied: Policies): Permissions {
  const allowsAll = Object.keys(denied).length === 0;
  return {
    rules: allowsAll
      ? { policies: { [policyName]: { permissions: [{ any: true }], principals: [anyone] } } }
      : { action: "DENY", policies: denied },
    ...(Object.keys(shadowDenied).length > 0 && { shadowRules: { action: "DENY", policies: shadowDenied } }),
  };
}

/** Clients that a policy is for. Absent `sni`: whatever name they ask for. */
interface Case {
  readonly name: string;
  readonly sni?: string | undefined;
  readonly principal: PrincipalJson;
}
const nameOf = (policy: Resource<PolicySpec>): string => kriOf(kindNamed(policyName), policy);
/** What no policy allows; no KRI begins so. */
const none = "none";

/** An RBAC policy joins permissions (here: the SNI) and principals by AND: so one for each SNI, `<name>/<sni>`. */
function policiesOf(cases: readonly Case[]): Policies {
  const keyOf = ({ name, sni }: Case): string => (sni === undefined ? name : `${name}/${sni}`);
  return Object.fromEntries(
    [...Map.groupBy(cases, keyOf)].map(([key, all]): [string, PolicyJson] => [
      key,
      {
        permissions: all.slice(0, 1).map(({ sni }) => (sni === undefined ? { any: true } : asks(sni))),
        principals: all.map(({ principal }) => principal),
      },
    ]),
  );
}
const asks = (sni: string): PermissionJson => ({ requestedServerName: { exact: sni } });

/** Later rules override earlier ones, so each holds for its clients less those of later rules, unless they say the same. */
function byTags(rules: readonly FromRule<FromConf>[], mesh: string): Permissions {
  if (rules.length === 0) return nothing;
  const casesOf = (action: FromConf["action"]): readonly Case[] =>
    rules.flatMap(({ tags, conf, policy }, i) => {
      if (conf.action !== action) return [];
      const later = rules.slice(i + 1).filter((one) => one.policy !== policy || one.conf.action !== action);
      if (later.some((one) => isSubset(one.tags, tags))) return [];
      const ids = [withTags(tags, mesh), ...later.map((one) => not(withTags(one.tags, mesh)))];
      return [{ name: nameOf(policy), principal: allOf(ids) }];
    });
  const isForAll = rules.some(({ tags }) => Object.keys(tags).length === 0);
  const unknown = isForAll ? [] : [{ name: none, principal: noneOf(rules.map(({ tags }) => withTags(tags, mesh))) }];
  return permissionsOf(policiesOf([...casesOf("Deny"), ...unknown]), policiesOf(casesOf("AllowWithShadowDeny")));
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
  const casesOf = (part: keyof RuleConf): readonly Case[] =>
    rules.flatMap(({ conf, policy }) =>
      (conf[part] ?? []).map((match) => ({
        name: nameOf(policy),
        sni: match.sni?.value,
        principal: identified(match),
      })),
    );
  const allowed = rules.flatMap(({ conf }) => [...(conf.allow ?? []), ...(conf.allowWithShadowDeny ?? [])]);
  return permissionsOf(
    { ...policiesOf(casesOf("deny")), ...unlessAllowed(allowed) },
    policiesOf(casesOf("allowWithShadowDeny")),
  );
}

/** Whom none of these allows: those who ask for a name that is mentioned, for each, and all others. */
function unlessAllowed(allowed: readonly ClientMatch[]): Policies {
  const mentioned = [...new Set(allowed.flatMap(({ sni }) => (sni ? [sni.value] : [])))].sort();
  const bySni = mentioned.flatMap((sni): readonly Case[] => {
    const may = allowed.filter((match) => match.sni === undefined || match.sni.value === sni);
    return may.some(({ spiffeID }) => !spiffeID) ? [] : [{ name: none, sni, principal: noneOf(may.map(identified)) }];
  });
  const others: PolicyJson = {
    permissions: [mentioned.length === 0 ? { any: true } : { notRule: { orRules: { rules: mentioned.map(asks) } } }],
    principals: [noneOf(allowed.filter(({ sni }) => !sni).map(identified))],
  };
  return { ...policiesOf(bySni), [none]: others };
}

const identified = ({ spiffeID }: ClientMatch): PrincipalJson => {
  if (!spiffeID) return anyone;
  const { type, value } = spiffeID;
  return { authenticated: { principalName: type === "Exact" ? { exact: value } : { prefix: value } } };
};

const not = (id: PrincipalJson): PrincipalJson => ({ notId: id });
function allOf(ids: PrincipalJson[]): PrincipalJson {
  if (ids.length === 0) return anyone;
  return ids.length === 1 ? ids[0]! : { andIds: { ids } };
}
function noneOf(ids: PrincipalJson[]): PrincipalJson {
  if (ids.length === 0) return anyone;
  return not(ids.length === 1 ? ids[0]! : { orIds: { ids } });
}

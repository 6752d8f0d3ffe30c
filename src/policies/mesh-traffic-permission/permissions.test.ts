// For any policies and any client, Envoy's RBAC decides as the policies read: here RBAC is evaluated as Envoy documents it.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { PermissionJson, PrincipalJson, RBACJson } from "#gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { JsonObject } from "#lib/json.ts";
import { matchedPolicies } from "#policies/match.ts";
import { meshTrafficPermission } from "#policies/mesh-traffic-permission/translate.ts";
import type { Permissions } from "#policies/policy.ts";
import { backendProxy, policyOf } from "#policies/policy-for-test.ts";

interface Caller {
  /** URI SANs of its certificate. */
  readonly sans: readonly string[];
  readonly sni: string;
}

const isPrincipal = (id: PrincipalJson, caller: Caller): boolean => {
  if (id.andIds) return (id.andIds.ids ?? []).every((one) => isPrincipal(one, caller));
  if (id.orIds) return (id.orIds.ids ?? []).some((one) => isPrincipal(one, caller));
  if (id.notId) return !isPrincipal(id.notId, caller);
  const name = id.authenticated?.principalName;
  if (!name) return id.any === true;
  return caller.sans.some((san) => san === name.exact || (name.prefix !== undefined && san.startsWith(name.prefix)));
};
const isPermitted = (rule: PermissionJson, caller: Caller): boolean => {
  if (rule.orRules) return (rule.orRules.rules ?? []).some((one) => isPermitted(one, caller));
  if (rule.notRule) return !isPermitted(rule.notRule, caller);
  return rule.requestedServerName ? caller.sni === rule.requestedServerName.exact : rule.any === true;
};
/** The policy that Envoy names: of those that are for this caller, the first in the order of their names. */
const policyFor = ({ policies = {} }: RBACJson, caller: Caller): string | undefined =>
  Object.keys(policies)
    .sort()
    .find((name) => {
      const { permissions = [], principals = [] } = policies[name] ?? {};
      return permissions.some((rule) => isPermitted(rule, caller)) && principals.some((id) => isPrincipal(id, caller));
    });
const isAllowed = ({ rules = {} }: Permissions, caller: Caller): boolean =>
  (policyFor(rules, caller) === undefined) === (rules.action === "DENY");
/** Without the SNI. */
const deciding = (rbac: RBACJson | undefined, caller: Caller): string | undefined =>
  rbac?.action === "DENY" ? policyFor(rbac, caller)?.split("/")[0] : undefined;
const kri = (i: number): string => `kri_mtp_default___p${i}_`;

function permissionsOf(specs: readonly JsonObject[]): Permissions {
  const policies = specs.map((spec, i) => policyOf(meshTrafficPermission, { name: `p${i}`, spec }));
  const pieces = meshTrafficPermission.translate.inbound?.(matchedPolicies(policies, backendProxy), {
    mesh: "default",
    section: "http",
  });
  assert.ok(pieces?.permissions);
  return pieces.permissions;
}

const services = ["web", "db"];
const versions = ["v1", "v2"];
const clientRef = fc.oneof(
  fc.constant({ kind: "Mesh" }),
  fc.record({ kind: fc.constant("MeshService"), name: fc.constantFrom(...services) }),
  fc.record({ kind: fc.constant("MeshSubset"), tags: fc.record({ version: fc.constantFrom(...versions, "*") }) }),
  fc.record({
    kind: fc.constant("MeshServiceSubset"),
    name: fc.constantFrom(...services),
    tags: fc.record({ version: fc.constantFrom(...versions) }),
  }),
);
type ClientRef = { readonly kind: string; readonly name?: string; readonly tags?: { readonly version: string } };
const action = fc.constantFrom("Allow", "Deny", "AllowWithShadowDeny");
const from = fc.array(fc.record({ targetRef: clientRef, default: fc.record({ action }) }), {
  minLength: 1,
  maxLength: 6,
});
const tagged = fc.record({ service: fc.constantFrom(...services), version: fc.option(fc.constantFrom(...versions)) });

test("from: the last entry whose tags a client has decides, under its policy's name; without one it is denied", () => {
  fc.assert(
    fc.property(from, from, tagged, (one, other, { service, version }) => {
      const has = ({ name, tags }: ClientRef): boolean =>
        (name === undefined || name === service) &&
        (tags === undefined || tags.version === version || (tags.version === "*" && version !== null));
      // Of policies that are equally specific the one whose name is first comes last.
      const entries = [
        ...other.map((entry) => ({ ...entry, of: kri(1) })),
        ...one.map((entry) => ({ ...entry, of: kri(0) })),
      ];
      const decisive = entries.findLast(({ targetRef }) => has(targetRef)) ?? {
        default: { action: "Deny" },
        of: "none",
      };
      const version_ = version === null ? [] : [`kuma://version/${version}`];
      const caller = {
        sans: [`kuma://kuma.io/service/${service}`, ...version_, `spiffe://default/${service}`],
        sni: "",
      };
      const permissions = permissionsOf([{ from: one }, { from: other }]);
      const { action } = decisive.default;
      assert.equal(isAllowed(permissions, caller), action !== "Deny");
      assert.equal(deciding(permissions.rules, caller), action === "Deny" ? decisive.of : undefined);
      assert.equal(
        deciding(permissions.shadowRules, caller),
        action === "AllowWithShadowDeny" ? decisive.of : undefined,
      );
    }),
    { numRuns: 2_000 },
  );
});

const ids = ["spiffe://default/web", "spiffe://default/webshop", "spiffe://default/db"];
const names = ["a.example", "b.example"];
const match = fc
  .record(
    {
      spiffeID: fc.record({
        type: fc.constantFrom("Exact", "Prefix"),
        value: fc.constantFrom(...ids, "spiffe://default"),
      }),
      sni: fc.record({ type: fc.constant("Exact"), value: fc.constantFrom(...names) }),
    },
    { requiredKeys: [], noNullPrototype: true },
  )
  .filter(({ spiffeID, sni }) => spiffeID !== undefined || sni !== undefined);
const matches = fc.array(match, { maxLength: 3 });
const rules = fc.array(
  fc.record({ default: fc.record({ allow: matches, deny: matches, allowWithShadowDeny: matches }) }),
  { minLength: 1, maxLength: 3 },
);

test("rules: what any denies is denied, under its name; of the rest, what any allows is allowed", () => {
  fc.assert(
    fc.property(
      rules,
      rules,
      fc.constantFrom(...ids),
      fc.constantFrom("", "c.example", ...names),
      (one, other, id, sni) => {
        const policyWith = (part: "allow" | "deny" | "allowWithShadowDeny"): string | undefined =>
          [one, other].flatMap((all, i) =>
            all
              .flatMap((rule) => rule.default[part])
              .some(
                ({ spiffeID, sni: wanted }) =>
                  (!spiffeID || (spiffeID.type === "Exact" ? id === spiffeID.value : id.startsWith(spiffeID.value))) &&
                  (!wanted || wanted.value === sni),
              )
              ? [kri(i)]
              : [],
          )[0];
        const permissions = permissionsOf([{ rules: one }, { rules: other }]);
        const caller = { sans: ["kuma://version/v1", id], sni };
        const [denied, shadowDenied] = [policyWith("deny"), policyWith("allowWithShadowDeny")];
        const isAllowedByAny = policyWith("allow") !== undefined || shadowDenied !== undefined;
        assert.equal(isAllowed(permissions, caller), denied === undefined && isAllowedByAny);
        assert.equal(deciding(permissions.rules, caller), denied ?? (isAllowedByAny ? undefined : "none"));
        assert.equal(deciding(permissions.shadowRules, caller), shadowDenied);
      },
    ),
    { numRuns: 2_000 },
  );
});

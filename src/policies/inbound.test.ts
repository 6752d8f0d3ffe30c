// What is said of an inbound (interop 3.4, "From-rules" and "Rules").

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { fromRules, inboundRules } from "#policies/inbound.ts";
import { matchedPolicies } from "#policies/match.ts";
import type { MeshTimeout } from "#policies/mesh-timeout/schema.ts";
import { meshTimeout } from "#policies/mesh-timeout/translate.ts";
import { meshTrafficPermission } from "#policies/mesh-traffic-permission/translate.ts";
import { backendProxy, policyOf } from "#policies/policy-for-test.ts";

const exact = { spiffeID: { type: "Exact", value: "spiffe://default/client" } };
const prefix = { spiffeID: { type: "Prefix", value: "spiffe://default/c" } };
const sni = { sni: { type: "Exact", value: "backend.example" } };

const rule = (requestTimeout: string, ...matches: JsonObject[]): JsonObject => ({
  ...(matches.length > 0 && { matches }),
  default: { http: { requestTimeout } },
});
const timeout = (name: string, rules: readonly JsonObject[], targetRef: JsonObject = { kind: "Mesh" }) =>
  policyOf(meshTimeout, { name, spec: { targetRef, rules } });

const rows: readonly {
  readonly rule: string;
  readonly rules: readonly JsonObject[];
  readonly order: readonly string[];
}[] = [
  {
    rule: "a rule with an identity comes before one without",
    rules: [rule("1s"), rule("2s", prefix)],
    order: ["2s", "1s"],
  },
  { rule: "an exact identity before a prefix", rules: [rule("1s", prefix), rule("2s", exact)], order: ["2s", "1s"] },
  { rule: "an SNI before none", rules: [rule("1s"), rule("2s", sni)], order: ["2s", "1s"] },
  { rule: "an identity counts more than an SNI", rules: [rule("1s", sni), rule("2s", prefix)], order: ["2s", "1s"] },
  {
    rule: "identity and SNI before the identity alone",
    rules: [rule("1s", exact), rule("2s", { ...exact, ...sni })],
    order: ["2s", "1s"],
  },
  {
    rule: "each match is a rule of its own",
    rules: [rule("1s", prefix, exact), rule("2s", exact)],
    order: ["1s", "2s", "1s"],
  },
  { rule: "of equal ones the order stays", rules: [rule("1s"), rule("2s"), rule("3s")], order: ["1s", "2s", "3s"] },
];
const requestTimeouts = (policies: readonly ReturnType<typeof timeout>[], section = "http") =>
  inboundRules(matchedPolicies(policies, backendProxy), section, (spec: MeshTimeout) => spec.rules ?? []).map(
    ({ conf }) => conf.http?.requestTimeout,
  );

for (const { rule: what, rules, order } of rows)
  test(what, () => assert.deepEqual(requestTimeouts([timeout("p", rules)]), order));

test("rules for all come in the order of their policies", () => {
  const policies = [timeout("a", [rule("2s")]), timeout("z", [rule("1s")])];
  assert.deepEqual(requestTimeouts(policies), ["1s", "2s"]);
});

test("a policy for another inbound says nothing of this one", () => {
  const forAdmin = timeout("p", [rule("1s")], { kind: "MeshService", name: "admin" });
  assert.deepEqual(requestTimeouts([forAdmin], "http"), []);
  assert.deepEqual(requestTimeouts([forAdmin], "8081"), ["1s"]);
});

test("from knows clients by their tags", () => {
  const permission = policyOf(meshTrafficPermission, {
    spec: {
      from: [
        { targetRef: { kind: "Mesh" }, default: { action: "Deny" } },
        { targetRef: { kind: "MeshSubset", tags: { version: "v1" } }, default: { action: "Allow" } },
        { targetRef: { kind: "MeshService", name: "web" }, default: { action: "Allow" } },
        { targetRef: { kind: "MeshServiceSubset", name: "web", tags: { a: "b" } }, default: { action: "Deny" } },
      ],
    },
  });
  const rules = fromRules(matchedPolicies([permission], backendProxy), "http");
  assert.deepEqual(
    rules.map(({ tags, conf }) => [tags, conf]),
    [
      [{}, { action: "Deny" }],
      [{ version: "v1" }, { action: "Allow" }],
      [{ "kuma.io/service": "web" }, { action: "Allow" }],
      [{ a: "b", "kuma.io/service": "web" }, { action: "Deny" }],
    ],
  );
});

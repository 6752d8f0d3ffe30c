// What a stock control plane takes and refuses (`test/recorded/api/policy-validation.json`): the same, in the same fields.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";

const issuesOf = (kind: string, spec: JsonObject) => validateResource(kindNamed(kind), written(kind, { spec }));

const refs: Readonly<Record<string, JsonObject | undefined>> = {
  "(none)": undefined,
  Mesh: { kind: "Mesh" },
  "Mesh+Sidecar": { kind: "Mesh", proxyTypes: ["Sidecar"] },
  "Mesh+Gateway": { kind: "Mesh", proxyTypes: ["Gateway"] },
  MeshSubset: { kind: "MeshSubset", tags: { version: "v1" } },
  "MeshSubset+Sidecar": { kind: "MeshSubset", tags: { version: "v1" }, proxyTypes: ["Sidecar"] },
  Dataplane: { kind: "Dataplane" },
  "Dataplane+labels": { kind: "Dataplane", labels: { app: "x" } },
  "Dataplane+section": { kind: "Dataplane", labels: { app: "x" }, sectionName: "http" },
  MeshGateway: { kind: "MeshGateway", name: "x" },
  "MeshGateway+tags": { kind: "MeshGateway", name: "x", tags: { port: "http" } },
  MeshService: { kind: "MeshService", name: "x" },
  MeshServiceSubset: { kind: "MeshServiceSubset", name: "x", tags: { version: "v1" } },
  MeshExternalService: { kind: "MeshExternalService", name: "x" },
  MeshMultiZoneService: { kind: "MeshMultiZoneService", name: "x" },
  MeshHTTPRoute: { kind: "MeshHTTPRoute", name: "x" },
};

const httpRules = [
  {
    matches: [{ path: { type: "PathPrefix", value: "/" } }],
    default: { backendRefs: [{ kind: "MeshService", name: "x" }] },
  },
];
/** What an entry of a part says, beside its targetRef. */
const entries: Readonly<Record<string, JsonObject>> = {
  MeshCircuitBreaker: { default: { connectionLimits: { maxRequests: 1 } } },
  MeshHealthCheck: { default: { http: {} } },
  MeshTimeout: { default: { connectionTimeout: "1s" } },
  MeshRetry: { default: { tcp: { maxConnectAttempt: 3 } } },
  MeshTrafficPermission: { default: { action: "Allow" } },
  MeshHTTPRoute: { rules: httpRules },
  MeshLoadBalancingStrategy: { default: { loadBalancer: { type: "Random" } } },
  MeshTCPRoute: { rules: [{ default: { backendRefs: [{ kind: "MeshService", name: "x" }] } }] },
};
const ruleEntries: Readonly<Record<string, JsonObject>> = {
  MeshCircuitBreaker: { default: { connectionLimits: { maxRequests: 1 } } },
  MeshTimeout: { default: { connectionTimeout: "1s" } },
  MeshTrafficPermission: { default: { allow: [{ spiffeID: { type: "Exact", value: "spiffe://a/b" } }] } },
};

/** The manifest that a key of the recording stands for: `MeshTimeout: to, top MeshGateway` and a kind. */
function specOf(kind: string, what: string, ref: string): JsonObject {
  const entry = entries[kind] ?? {};
  const inner = { targetRef: refs[ref] ?? null, ...entry };
  const inMesh = { targetRef: { kind: "Mesh" }, ...entry };
  const top = /top (\S+)$/.exec(what);
  if (what.startsWith("to, top")) return { targetRef: refs[top?.[1] ?? ""] ?? null, to: [inner] };
  if (what.startsWith("from, top")) return { targetRef: refs[top?.[1] ?? ""] ?? null, from: [inner] };
  const targetRef = refs[ref] ?? null;
  switch (what) {
    case "top with to":
      return {
        targetRef,
        to: [/Route$/.test(kind) ? { ...inMesh, targetRef: refs.MeshService ?? null } : inMesh],
      };
    case "top with from":
      return { targetRef, from: [inMesh] };
    case "top with rules":
      return { targetRef, rules: [ruleEntries[kind] ?? {}] };
    case "from and rules":
      return { from: [inMesh], rules: [ruleEntries[kind] ?? {}] };
    case "to and from":
      return { to: [inMesh], from: [inMesh] };
    case "empty":
      return {};
    default:
      throw new Error(`unknown case ${what}`);
  }
}

type Recorded = Readonly<Record<string, string | Readonly<Record<string, string>>>>;
const recorded: Recorded = JSON.parse(
  readFileSync(new URL("../../test/recorded/api/policy-validation.json", import.meta.url), "utf8"),
);
/** `spec.a: reason; spec.b: reason` */
const fieldsOf = (answer: string): string[] =>
  answer === "ok" ? [] : answer.split("; ").map((issue) => issue.slice(0, issue.indexOf(": ")));

for (const [key, answers] of Object.entries(recorded)) {
  const [kind = "", what = ""] = key.split(": ");
  for (const [ref, answer] of typeof answers === "string" ? [["", answers] as const] : Object.entries(answers))
    test(`as a stock control plane: ${key} ${ref}`, () => {
      assert.deepEqual(
        issuesOf(kind, specOf(kind, what, ref))
          .map(({ path }) => path)
          .sort(),
        fieldsOf(answer).sort(),
      );
    });
}

// Interop 3.3, a row for each rule.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { matchedPolicies, type ProxyFacts } from "#policies/match.ts";
import { meshHttpRoute } from "#policies/mesh-http-route/translate.ts";
import { meshTimeout } from "#policies/mesh-timeout/translate.ts";
import { backendProxy, policyOf } from "#policies/policy-for-test.ts";
import type { Labels } from "#resources/resource.ts";

const gateway: ProxyFacts = {
  ...backendProxy,
  name: "edge-1",
  isGateway: true,
  inbounds: [],
  gatewayTags: { "kuma.io/service": "edge", team: "web" },
};
const east = { "kuma.io/origin": "zone", "kuma.io/zone": "east" };
const west = { "kuma.io/origin": "zone", "kuma.io/zone": "west" };
const inNamespace = (namespace: string, role: string): Labels => ({
  "k8s.kuma.io/namespace": namespace,
  "kuma.io/policy-role": role,
});

interface Row {
  readonly rule: string;
  readonly target?: JsonObject;
  readonly labels?: Labels;
  readonly mesh?: string;
  readonly proxy?: ProxyFacts;
  /** Selected inbounds; absent: the policy is not for the proxy. */
  readonly sections?: readonly string[];
}
const both = ["http", "8081"];

const rows: readonly Row[] = [
  { rule: "a policy is for its mesh only", mesh: "other" },
  { rule: "a shadow policy is skipped", labels: { "kuma.io/effect": "shadow" } },
  { rule: "another effect is no shadow", labels: { "kuma.io/effect": "loud" }, sections: both },

  { rule: "1 zone: a policy of another zone is not for the proxy", labels: west },
  { rule: "1 zone: a policy of its own zone is", labels: east, sections: both },
  { rule: "1 zone: a global policy is for all zones", labels: { "kuma.io/origin": "global" }, sections: both },
  {
    rule: "1 zone: a producer speaks to clients in every zone",
    labels: { ...west, "kuma.io/policy-role": "producer" },
    sections: both,
  },

  { rule: "2 namespace: a consumer policy of the same one", labels: inNamespace("shop", "consumer"), sections: both },
  { rule: "2 namespace: a consumer policy of another one", labels: inNamespace("bank", "consumer") },
  {
    rule: "2 namespace: a workload owner of the same one",
    labels: inNamespace("shop", "workload-owner"),
    sections: both,
  },
  { rule: "2 namespace: a workload owner of another one", labels: inNamespace("bank", "workload-owner") },
  { rule: "2 namespace: a producer of another one", labels: inNamespace("bank", "producer"), sections: both },
  { rule: "2 namespace: a system policy of another one", labels: inNamespace("kuma-system", "system"), sections: both },

  { rule: "3 no targetRef is Mesh", sections: both },
  { rule: "3 Mesh: all", target: { kind: "Mesh" }, sections: both },
  { rule: "3 Mesh: sidecars", target: { kind: "Mesh", proxyTypes: ["Sidecar"] }, sections: both },
  { rule: "3 Mesh: gateways, not a sidecar", target: { kind: "Mesh", proxyTypes: ["Gateway"] } },
  { rule: "3 Mesh: gateways", target: { kind: "Mesh", proxyTypes: ["Gateway"] }, proxy: gateway, sections: [] },
  { rule: "3 Mesh: sidecars, not a gateway", target: { kind: "Mesh", proxyTypes: ["Sidecar"] }, proxy: gateway },
  {
    rule: "3 MeshSubset: inbounds with the tag",
    target: { kind: "MeshSubset", tags: { version: "v1" } },
    sections: ["http"],
  },
  { rule: "3 MeshSubset: all tags must be there", target: { kind: "MeshSubset", tags: { version: "v1", a: "b" } } },
  { rule: "3 MeshSubset: * is any value", target: { kind: "MeshSubset", tags: { version: "*" } }, sections: ["http"] },
  { rule: "3 MeshSubset: without tags, all", target: { kind: "MeshSubset" }, sections: both },
  { rule: "3 MeshSubset: proxy types", target: { kind: "MeshSubset", proxyTypes: ["Gateway"] } },
  {
    rule: "3 MeshSubset: tags of a gateway",
    target: { kind: "MeshSubset", tags: { team: "web" } },
    proxy: gateway,
    sections: [],
  },
  { rule: "3 MeshService: its inbounds", target: { kind: "MeshService", name: "admin" }, sections: ["8081"] },
  { rule: "3 MeshService: another", target: { kind: "MeshService", name: "frontend" } },
  { rule: "3 MeshService: of a gateway", target: { kind: "MeshService", name: "edge" }, proxy: gateway, sections: [] },
  {
    rule: "3 MeshServiceSubset: name and tags",
    target: { kind: "MeshServiceSubset", name: "backend", tags: { version: "v1" } },
    sections: ["http"],
  },
  {
    rule: "3 MeshServiceSubset: other tags",
    target: { kind: "MeshServiceSubset", name: "backend", tags: { version: "v2" } },
  },
  { rule: "3 Dataplane: all", target: { kind: "Dataplane" }, sections: both },
  {
    rule: "3 Dataplane: by name, in the policy's zone",
    target: { kind: "Dataplane", name: "backend-1", namespace: "shop" },
    labels: east,
    sections: both,
  },
  {
    rule: "3 Dataplane: by name, in the policy's namespace",
    target: { kind: "Dataplane", name: "backend-1" },
    labels: { ...east, ...inNamespace("shop", "workload-owner") },
    sections: both,
  },
  { rule: "3 Dataplane: by name, from no namespace", target: { kind: "Dataplane", name: "backend-1" }, labels: east },
  { rule: "3 Dataplane: by name, from no zone", target: { kind: "Dataplane", name: "backend-1", namespace: "shop" } },
  { rule: "3 Dataplane: by labels", target: { kind: "Dataplane", labels: { app: "backend" } }, sections: both },
  { rule: "3 Dataplane: all labels must be there", target: { kind: "Dataplane", labels: { app: "backend", a: "b" } } },
  { rule: "3 Dataplane: a section narrows", target: { kind: "Dataplane", sectionName: "8081" }, sections: ["8081"] },
  { rule: "3 Dataplane: no such section", target: { kind: "Dataplane", sectionName: "grpc" } },
  { rule: "3 MeshGateway: no data plane proxy", target: { kind: "MeshGateway", name: "edge" } },
  {
    rule: "3 MeshHTTPRoute: the proxies of the route",
    target: { kind: "MeshHTTPRoute", name: "for-admin" },
    sections: ["8081"],
  },
  { rule: "3 MeshHTTPRoute: by labels", target: { kind: "MeshHTTPRoute", labels: { team: "a" } }, sections: ["8081"] },
  { rule: "3 MeshHTTPRoute: a route for others", target: { kind: "MeshHTTPRoute", name: "for-frontend" } },
  { rule: "3 MeshHTTPRoute: no such route", target: { kind: "MeshHTTPRoute", name: "none" } },
];

const route = (name: string, service: string, labels: Labels = {}) =>
  policyOf(meshHttpRoute, { name, labels, spec: { targetRef: { kind: "MeshService", name: service } } });
const routes = [route("for-admin", "admin", { team: "a" }), route("for-frontend", "frontend")];

for (const { rule, target, labels = {}, mesh = "default", proxy = backendProxy, sections } of rows) {
  test(rule, () => {
    const spec = { ...(target && { targetRef: target }), to: [] };
    const matches = matchedPolicies([policyOf(meshTimeout, { mesh, labels, spec })], proxy, routes);
    assert.deepEqual(
      matches.map((match) => match.sections),
      sections === undefined ? [] : [sections],
    );
  });
}

// What is said of a destination (interop 3.4, "To-rules"): each row, the timeouts that apply, in the order in which they do.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { matchedPolicies } from "#policies/match.ts";
import { meshHttpRoute } from "#policies/mesh-http-route/translate.ts";
import type { TimeoutConf } from "#policies/mesh-timeout/schema.ts";
import { meshTimeout } from "#policies/mesh-timeout/translate.ts";
import { backendProxy, policyOf } from "#policies/policy-for-test.ts";
import { type Destination, toConf, toEntries } from "#policies/to.ts";

const service: Destination = { kind: "service", service: "api", tags: { version: "v2" } };
const resource: Destination = {
  kind: "resource",
  resource: "MeshService",
  name: "api",
  namespace: "",
  zone: "east",
  labels: { team: "a" },
  section: "http",
};
const inEast = { "kuma.io/origin": "zone", "kuma.io/zone": "east" };
const route = policyOf(meshHttpRoute, { name: "route", labels: inEast, spec: {} });

const mesh = { kind: "Mesh" };
const byName = { kind: "MeshService", name: "api" };
const toRoute = { kind: "MeshHTTPRoute", name: "route" };

interface Row {
  readonly rule: string;
  readonly to: readonly JsonObject[];
  readonly destination: Destination;
  readonly ofRoute?: boolean;
  readonly top?: JsonObject;
  /** Indices into `to`. */
  readonly applies: readonly number[];
}
const rows: readonly Row[] = [
  { rule: "an entry for the mesh is for every service", to: [mesh], destination: service, applies: [0] },
  { rule: "an entry for the mesh is for every resource", to: [mesh], destination: resource, applies: [0] },
  { rule: "a service by its name", to: [byName], destination: service, applies: [0] },
  { rule: "a service of another name", to: [{ kind: "MeshService", name: "db" }], destination: service, applies: [] },
  { rule: "the more specific one comes later", to: [byName, mesh], destination: service, applies: [1, 0] },
  { rule: "a resource by its name, in the policy's zone", to: [byName], destination: resource, applies: [0] },
  {
    rule: "a resource of another zone is another",
    to: [byName],
    destination: { ...resource, zone: "west" },
    applies: [],
  },
  {
    rule: "a resource by labels, whatever its zone",
    to: [{ kind: "MeshService", labels: { team: "a" } }],
    destination: { ...resource, zone: "west" },
    applies: [0],
  },
  {
    rule: "all labels must be there",
    to: [{ kind: "MeshService", labels: { team: "a", x: "y" } }],
    destination: resource,
    applies: [],
  },
  {
    rule: "an entry without section is for every section",
    to: [{ ...byName, sectionName: "http" }, byName, mesh],
    destination: resource,
    applies: [2, 1, 0],
  },
  {
    rule: "an entry for another section is not",
    to: [{ ...byName, sectionName: "grpc" }],
    destination: resource,
    applies: [],
  },
  {
    rule: "a MeshService is no MeshMultiZoneService",
    to: [byName],
    destination: { ...resource, resource: "MeshMultiZoneService" },
    applies: [],
  },
  { rule: "what is for a route is not for the destination", to: [toRoute], destination: resource, applies: [] },
  { rule: "what is for a route is for it", to: [toRoute], destination: service, ofRoute: true, applies: [0] },
  {
    rule: "a route of a service takes what is for the service, too",
    to: [toRoute, byName, mesh],
    destination: service,
    ofRoute: true,
    applies: [2, 1, 0],
  },
  {
    rule: "a route of a resource with an entry of its own takes only that and the mesh's",
    to: [toRoute, byName, mesh],
    destination: resource,
    ofRoute: true,
    applies: [2, 0],
  },
  {
    rule: "a route of a resource without an entry of its own takes the resource's",
    to: [byName, mesh],
    destination: resource,
    ofRoute: true,
    applies: [1, 0],
  },
  {
    rule: "a policy for a route is for it",
    to: [mesh],
    top: toRoute,
    destination: service,
    ofRoute: true,
    applies: [0],
  },
  { rule: "and for nothing else", to: [mesh], top: toRoute, destination: service, applies: [] },
];

for (const { rule, to, destination, ofRoute = false, top, applies } of rows) {
  test(rule, () => {
    const entries = to.map((targetRef, i) => ({ targetRef, default: { http: { requestTimeout: `${i}s` } } }));
    const policy = policyOf(meshTimeout, { labels: inEast, spec: { ...(top && { targetRef: top }), to: entries } });
    const matches = matchedPolicies([policy], backendProxy, [route]);
    const found = toEntries(matches, destination, ofRoute ? [route] : []);
    assert.deepEqual(
      found.map(({ entry }) => entry.default?.http?.requestTimeout),
      applies.map((i) => `${i}s`),
    );
  });
}

test("the confs that apply are merged, and their policies named in order", () => {
  const timeout = (name: string, targetRef: JsonObject, conf: JsonObject) =>
    policyOf(meshTimeout, { name, spec: { to: [{ targetRef, default: conf }] } });
  const forMesh = timeout("m", mesh, { idleTimeout: "1s", http: { requestTimeout: "1s", streamIdleTimeout: "1s" } });
  const forService = timeout("s", byName, { http: { requestTimeout: "2s" } });
  const other = timeout("o", { kind: "MeshService", name: "db" }, { idleTimeout: "9s" });
  const matches = matchedPolicies([forService, other, forMesh], backendProxy);
  const found = toConf<TimeoutConf>(matches, service);
  assert.deepEqual(found?.conf, { idleTimeout: "1s", http: { requestTimeout: "2s", streamIdleTimeout: "1s" } });
  assert.deepEqual(found.origins, [forMesh, forService]);
});

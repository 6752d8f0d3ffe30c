// Interop 3.4, a row for each rule of the order: of two policies that differ in it, which one wins.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "#lib/json.ts";
import { matchedPolicies } from "#policies/match.ts";
import { meshHttpRoute } from "#policies/mesh-http-route/translate.ts";
import type { TimeoutConf } from "#policies/mesh-timeout/schema.ts";
import { meshTimeout } from "#policies/mesh-timeout/translate.ts";
import { backendProxy, policyOf } from "#policies/policy-for-test.ts";
import { byAttributes } from "#policies/precedence.ts";
import { type Destination, toConf } from "#policies/to.ts";
import type { Labels } from "#resources/resource.ts";

interface Side {
  readonly target?: JsonObject;
  readonly to?: JsonObject;
  readonly labels?: Labels;
  readonly name?: string;
}
interface Row {
  readonly rule: string;
  readonly loser: Side;
  readonly winner: Side;
  readonly destination?: Destination;
}

const mesh = { kind: "Mesh" };
const subset = { kind: "MeshSubset", tags: { version: "v1" } };
const service = { kind: "MeshService", name: "backend" };
const serviceSubset = { kind: "MeshServiceSubset", name: "backend" };
const route = { kind: "MeshHTTPRoute", name: "r" };
const dataplane = { kind: "Dataplane" };
const labelled = { kind: "Dataplane", labels: { app: "backend" } };
const named = { kind: "Dataplane", name: "backend-1", namespace: "shop" };
const inEast = { "kuma.io/origin": "zone", "kuma.io/zone": "east" };
const role = (name: string): Labels => ({ "kuma.io/policy-role": name, "k8s.kuma.io/namespace": "shop" });

const legacy: Destination = { kind: "service", service: "api", tags: {} };
const resource: Destination = {
  kind: "resource",
  resource: "MeshService",
  name: "api",
  namespace: "",
  zone: "",
  labels: {},
  section: "http",
};

const rows: readonly Row[] = [
  { rule: "1 Mesh < Dataplane", loser: { target: mesh }, winner: { target: dataplane } },
  {
    rule: "1 Dataplane < MeshSubset",
    loser: { target: named, labels: inEast },
    winner: { target: subset, labels: inEast },
  },
  { rule: "1 MeshSubset < MeshService", loser: { target: subset }, winner: { target: service } },
  { rule: "1 MeshService < MeshServiceSubset", loser: { target: service }, winner: { target: serviceSubset } },
  { rule: "1 MeshServiceSubset < MeshHTTPRoute", loser: { target: serviceSubset }, winner: { target: route } },
  {
    rule: "1 before 3: the kind counts more than the origin",
    loser: { target: mesh, labels: inEast },
    winner: { target: dataplane },
  },
  {
    rule: "2 Dataplane by labels < by name",
    loser: { target: labelled, labels: inEast },
    winner: { target: named, labels: inEast },
  },
  {
    rule: "2 Dataplane without section < with",
    loser: { target: labelled },
    winner: { target: { ...labelled, sectionName: "http" } },
  },
  {
    rule: "2 name counts more than section",
    loser: { target: { ...labelled, sectionName: "http" }, labels: inEast },
    winner: { target: named, labels: inEast },
  },
  { rule: "3 origin global < unset", loser: { labels: { "kuma.io/origin": "global" } }, winner: {} },
  { rule: "3 origin unset < zone", loser: {}, winner: { labels: inEast } },
  {
    rule: "3 before 5: the origin counts more than the role",
    loser: { labels: role("consumer") },
    winner: { labels: inEast },
  },
  { rule: "5 role system < producer", loser: { labels: role("system") }, winner: { labels: role("producer") } },
  { rule: "5 role producer < consumer", loser: { labels: role("producer") }, winner: { labels: role("consumer") } },
  {
    rule: "5 role consumer < workload-owner",
    loser: { labels: role("consumer") },
    winner: { labels: role("workload-owner") },
  },
  {
    rule: "5 no role is system",
    loser: { labels: { "k8s.kuma.io/namespace": "shop" } },
    winner: { labels: role("producer") },
  },
  {
    rule: "5 before 6: the role counts more than the destination",
    loser: { to: { kind: "MeshService", name: "api" } },
    winner: { labels: role("consumer") },
  },
  { rule: "6 to Mesh < to MeshService", loser: { to: mesh }, winner: { to: { kind: "MeshService", name: "api" } } },
  {
    rule: "6 to MeshService < to MeshHTTPRoute",
    loser: { to: { kind: "MeshService", name: "api" } },
    winner: { to: route },
  },
  {
    rule: "6 to MeshService without section < with",
    loser: { to: { kind: "MeshService", name: "api" } },
    winner: { to: { kind: "MeshService", name: "api", sectionName: "http" } },
    destination: resource,
  },
  {
    rule: "6 before 7: the destination counts more than the name",
    loser: { to: mesh, name: "a" },
    winner: { to: { kind: "MeshService", name: "api" }, name: "z" },
  },
  { rule: "7 the smaller name wins", loser: { name: "z" }, winner: { name: "a" } },
  {
    rule: "7 it is the display name that counts",
    loser: { name: "a-hash", labels: { "kuma.io/display-name": "z" } },
    winner: { name: "z-hash", labels: { "kuma.io/display-name": "a" } },
  },
  {
    rule: "of equal display names the later in the list wins",
    loser: { name: "a", labels: { "kuma.io/display-name": "same" } },
    winner: { name: "b", labels: { "kuma.io/display-name": "same" } },
  },
];

const routeR = policyOf(meshHttpRoute, { name: "r", spec: {} });

const timeout = ({ target, to = mesh, labels = {}, name = "p" }: Side, value: string) =>
  policyOf(meshTimeout, {
    name,
    labels,
    spec: { ...(target && { targetRef: target }), to: [{ targetRef: to, default: { idleTimeout: value } }] },
  });

for (const { rule, loser, winner, destination = legacy } of rows) {
  test(rule, () => {
    const [loses, wins] = [timeout(loser, "1s"), timeout(winner, "2s")];
    for (const candidates of [
      [loses, wins],
      [wins, loses],
    ]) {
      const matches = matchedPolicies(candidates, backendProxy, [routeR]);
      assert.equal(matches.length, 2);
      const found = toConf<TimeoutConf>(matches, destination, [routeR]);
      assert.equal(found?.conf.idleTimeout, "2s");
      assert.deepEqual(found.origins.at(-1), wins);
    }
  });
}

test("4 with MeshGateway, more listener tags win", () => {
  const gateway = (tags: Labels) => timeout({ target: { kind: "MeshGateway", name: "edge", tags } }, "1s");
  assert.ok(byAttributes(gateway({ a: "1" }), gateway({ a: "1", b: "2" })) < 0);
});

test("the order of the candidates makes no difference", () => {
  const sides = [...rows.flatMap(({ loser, winner }) => [loser, winner])];
  const policies = sides.map((side, i) => timeout({ ...side, name: `${side.name ?? "p"}-${i}` }, "1s"));
  fc.assert(
    fc.property(fc.shuffledSubarray(policies, { minLength: 2 }), (shuffled) => {
      const sorted = [...shuffled].sort((a, b) => (a.name < b.name ? -1 : 1));
      const names = (list: typeof policies) =>
        matchedPolicies(list, backendProxy, [routeR]).map(({ policy }) => policy.name);
      assert.deepEqual(names(shuffled), names(sorted));
    }),
  );
});

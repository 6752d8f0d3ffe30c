import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Locality,
  localFirst,
  nearness,
  priorityOf,
  relevantTags,
  type Tier,
  together,
} from "#topology/locality.ts";
import type { Instance, RemoteOffer } from "#topology/provider.ts";
import { endpointsOf } from "#topology/service.ts";

const others = (...tiers: readonly Tier[]): Locality => ({ others: tiers, affinity: [] });
const any: Tier = { takes: "any", zones: [] };
const none: Tier = { takes: "none", zones: [] };
const only = (...zones: readonly string[]): Tier => ({ takes: "only", zones });
const except = (...zones: readonly string[]): Tier => ({ takes: "except", zones });

const rows: readonly (readonly [what: string, locality: Locality, b: number | undefined, c: number | undefined])[] = [
  ["all alike", together, 0, 0],
  ["after the own zone", localFirst, 1, 1],
  ["a listed zone, then any", others(only("c"), any), 2, 1],
  ["the first rule that takes a zone counts", others(any, only("c")), 1, 1],
  ["what no rule takes gets nothing", others(only("c")), undefined, 1],
  ["nobody", others(), undefined, undefined],
  ["all but one", others(except("b")), undefined, 1],
  ["after None there is no other", others(only("c"), none, any), undefined, 1],
  [
    "a rule for other clients is none",
    others({ ...only("b"), from: ["x"] }, { ...only("c"), from: ["a", "x"] }),
    undefined,
    1,
  ],
  ["nor does their None end the list", others({ ...none, from: ["x"] }, any), 1, 1],
];
for (const [what, locality, b, c] of rows)
  test(`priorities of other zones, seen from a: ${what}`, () =>
    assert.deepEqual([priorityOf(locality, "a", "b"), priorityOf(locality, "a", "c")], [b, c]));

test("what stands for several zones is as preferred as the first of them, if one is taken at all", () => {
  const locality = others(only("c"), only("d"));
  assert.equal(priorityOf(locality, "a", "b,d,c"), 1);
  assert.equal(priorityOf(locality, "a", "b,d"), 2);
  assert.equal(priorityOf(locality, "a", "b,e"), undefined);
});

const affinity = [
  { key: "node", weight: 90 },
  { key: "rack", weight: 9 },
];
const near: Locality = { others: [any], affinity };

test("the first tag of the client that an endpoint shares says how near it is", () => {
  const own = { node: "1", rack: "1" };
  assert.deepEqual(nearness(near, own, { node: "1", rack: "2" }), { subZone: "node=1", weight: 90 });
  assert.deepEqual(nearness(near, own, { node: "2", rack: "1" }), { subZone: "rack=1", weight: 9 });
  assert.deepEqual(nearness(near, own, { node: "2" }), { subZone: "", weight: 1 });
  assert.deepEqual(nearness(near, {}, {}), { subZone: "", weight: 1 });
  assert.deepEqual(relevantTags(near, { ...own, version: "v1" }), own);
  assert.deepEqual(relevantTags(near, { version: "v1" }), {});
  assert.deepEqual(relevantTags(undefined, own), {});
});

test("where localities have weights, other zones have theirs by instances", () => {
  const instance = (host: number, tags: Readonly<Record<string, string>>): Instance => ({
    ...{ address: `10.0.0.${host}`, port: 80, tags },
    ...{ isHealthy: true, isMarked: false },
  });
  const offer = (zone: string, ingress: number, instances: number): RemoteOffer => ({
    ...{ zone, ingress: `i-${ingress}`, address: `10.1.0.${ingress}`, port: 10001 },
    entries: [{ tags: {}, instances }],
    isDrained: false,
  });
  const found = endpointsOf({
    ...{ localZone: "a", subset: {}, locality: near, own: { node: "1" } },
    instances: [[instance(1, { node: "1" }), instance(2, { node: "2" })]],
    offers: [offer("b", 1, 3), offer("b", 2, 3), offer("c", 3, 1)],
  });
  assert.deepEqual(
    found.map(({ address, priority, weight, near: where }) => [address, priority, weight, where]),
    [
      ["10.0.0.1", 0, 2, { subZone: "node=1", weight: 90 }],
      ["10.0.0.2", 0, 2, { subZone: "", weight: 1 }],
      ["10.1.0.1", 1, 3, { subZone: "", weight: 6 }],
      ["10.1.0.2", 1, 3, { subZone: "", weight: 6 }],
      ["10.1.0.3", 1, 2, { subZone: "", weight: 2 }],
    ],
  );
});

// What is refused of a MeshLoadBalancingStrategy, and how it is said.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";
import { largestPrime } from "#policies/mesh-load-balancing-strategy/prime.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";

const failover = (rule: JsonObject): JsonObject => ({ localityAwareness: { crossZone: { failover: [rule] } } });
const affinity = (...affinityTags: JsonObject[]): JsonObject => ({
  localityAwareness: { localZone: { affinityTags } },
});
const threshold = (percentage: number | string): JsonObject => ({
  localityAwareness: { crossZone: { failoverThreshold: { percentage } } },
});
const where = "default.localityAwareness";

const rows: readonly (readonly [conf: JsonObject, says: string])[] = [
  [{ hashPolicies: [{ type: "Header" }] }, "default.hashPolicies[0].header: is required with type Header"],
  [{ hashPolicies: [{ type: "Cookie" }] }, "default.hashPolicies[0].cookie: is required with type Cookie"],
  [{ hashPolicies: [{ type: "Connection" }] }, "default.hashPolicies[0].connection: is required with type Connection"],
  [
    { hashPolicies: [{ type: "QueryParameter" }] },
    "default.hashPolicies[0].queryParameter: is required with type QueryParameter",
  ],
  [
    { hashPolicies: [{ type: "FilterState" }] },
    "default.hashPolicies[0].filterState: is required with type FilterState",
  ],
  [
    { hashPolicies: [{ type: "Cookie", cookie: { name: "a", path: "b" } }] },
    "default.hashPolicies[0].cookie.path: must begin with /",
  ],
  [
    { hashPolicies: [{ type: "Cookie", cookie: { name: "a", ttl: "-1s" } }] },
    "default.hashPolicies[0].cookie.ttl: must not be negative; 0s is until the client ends",
  ],
  [
    { loadBalancer: { type: "Maglev", maglev: { hashPolicies: [{ type: "Header" }] } } },
    "default.loadBalancer.maglev.hashPolicies[0].header: is required with type Header",
  ],
  [{ loadBalancer: {} }, "default.loadBalancer.type: is required"],
  [
    { loadBalancer: { type: "LeastRequest", leastRequest: { choiceCount: 1 } } },
    "default.loadBalancer.leastRequest.choiceCount: must be 2 or more",
  ],
  [
    { loadBalancer: { type: "LeastRequest", leastRequest: { activeRequestBias: "-1" } } },
    'default.loadBalancer.leastRequest.activeRequestBias: must be 0 or more, a decimal in quotes, like "1.5"',
  ],
  [
    { loadBalancer: { type: "RingHash", ringHash: { minRingSize: 3, maxRingSize: 2 } } },
    "default.loadBalancer.ringHash.minRingSize: must be maxRingSize (2) or less",
  ],
  [
    { loadBalancer: { type: "Maglev", maglev: { tableSize: 65536 } } },
    "default.loadBalancer.maglev.tableSize: must be a prime number, like 65521",
  ],
  [affinity({ key: "" }), `${where}.localZone.affinityTags[0].key: must not be empty`],
  [affinity({ key: "a", weight: 0 }), `${where}.localZone.affinityTags[0].weight: must be 1 or more`],
  [
    affinity({ key: "a", weight: 1 }, { key: "b" }),
    `${where}.localZone.affinityTags: must have a weight each, or none at all`,
  ],
  [
    affinity({ key: "a", weight: 2_147_483_647 }, { key: "b", weight: 2_147_483_647 }),
    `${where}.localZone.affinityTags: must have weights of 4000000000 together or less`,
  ],
  [
    failover({ from: { zones: [] }, to: { type: "Any" } }),
    `${where}.crossZone.failover[0].from.zones: must have 1 item or more`,
  ],
  [failover({ to: { type: "Only" } }), `${where}.crossZone.failover[0].to.zones: must have a zone with type Only`],
  [
    failover({ to: { type: "Any", zones: ["a"] } }),
    `${where}.crossZone.failover[0].to.zones: must be left out with type Any`,
  ],
  [threshold(0), `${where}.crossZone.failoverThreshold.percentage: must be 0.001 or more`],
  [
    threshold(101),
    `${where}.crossZone.failoverThreshold.percentage: must be a number from 0 to 100, a decimal in quotes, like "0.5"`,
  ],
];

for (const [conf, says] of rows)
  test(`MeshLoadBalancingStrategy: ${says}`, () => {
    const spec = { to: [{ targetRef: { kind: "Mesh" }, default: conf }] };
    const kind = "MeshLoadBalancingStrategy";
    const issues = validateResource(kindNamed(kind), written(kind, { spec }));
    assert.deepEqual(
      issues.map(({ path, message }) => `${path}: ${message}`),
      [`spec.to[0].${says}`],
    );
  });

test("the largest prime number up to one", () => {
  assert.deepEqual([1, 2, 3, 4, 9, 25, 65537, 5_000_011].map(largestPrime), [2, 2, 3, 3, 7, 23, 65537, 5_000_011]);
});

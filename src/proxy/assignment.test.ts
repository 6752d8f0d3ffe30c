import assert from "node:assert/strict";
import { test } from "node:test";
import { assignment } from "#proxy/assignment.ts";
import type { Endpoint } from "#topology/service.ts";

const endpoint = (host: number, isMarked: boolean): Endpoint => ({
  ...{ address: `10.0.0.${host}`, port: 80, zone: "zone-a", weight: 1, tags: {}, priority: 0 },
  isMarked,
});

test("a marked endpoint stays in the assignment, UNHEALTHY; of the others nothing is said", () => {
  const { endpoints } = assignment("backend", [endpoint(1, false), endpoint(2, true)]);
  const said = endpoints?.flatMap(({ lbEndpoints = [] }) => lbEndpoints.map(({ healthStatus }) => healthStatus));
  assert.deepEqual(said, [undefined, "UNHEALTHY"]);
});

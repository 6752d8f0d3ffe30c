import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceCluster, tcpCluster } from "#envoy/cluster.ts";

test("marked endpoints get nothing while one in a hundred is not: wherever endpoints come over EDS, unless a policy says otherwise", () => {
  for (const cluster of [serviceCluster, tcpCluster]) {
    assert.deepEqual(cluster("backend", {}).commonLbConfig, { healthyPanicThreshold: { value: 1 } });
    const said = { healthyPanicThreshold: { value: 50 } };
    assert.deepEqual(cluster("backend", { commonLbConfig: said }).commonLbConfig, said);
  }
});

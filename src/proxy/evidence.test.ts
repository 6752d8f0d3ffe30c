import assert from "node:assert/strict";
import { test } from "node:test";
import { type Reach, withEvidence } from "#proxy/evidence.ts";

test("who does not answer is given up after a second, or less where a policy says so; behind an egress after three", () => {
  const seconds = (connectTimeout: string | undefined, reach: Reach = "ingresses") =>
    withEvidence({ ...(connectTimeout !== undefined && { connectTimeout }) }, reach).connectTimeout;
  assert.deepEqual([seconds("5s"), seconds("0.25s"), seconds("1s"), seconds(undefined)], ["1s", "0.25s", "1s", "1s"]);
  assert.deepEqual([seconds("5s", "zones"), seconds("2s", "zones"), seconds("5s", "addresses")], ["3s", "2s", "3s"]);
});

test("what a policy says of instances that are left out counts alone; an egress that stands for all zones is not left out", () => {
  const said = { consecutive5xx: 7 };
  assert.deepEqual(withEvidence({ outlierDetection: said }, "ingresses").outlierDetection, said);
  assert.equal(withEvidence({}, "zones").outlierDetection?.consecutiveLocalOriginFailure, 2);
  assert.equal(withEvidence({}, "addresses").outlierDetection, undefined);
});

test("what a policy says of panic stays", () => {
  const commonLbConfig = { healthyPanicThreshold: { value: 40 } };
  assert.deepEqual(withEvidence({ commonLbConfig }, "ingresses").commonLbConfig, {
    ...commonLbConfig,
    updateMergeWindow: "0s",
  });
});

test("a connection on which nothing is acknowledged ends, but of one to an egress, where the way that may be cut begins later", () => {
  const hasLimit = (reach: Reach) => {
    const { upstreamConnectionOptions, upstreamBindConfig } = withEvidence({}, reach);
    return [upstreamConnectionOptions !== undefined, upstreamBindConfig !== undefined];
  };
  assert.deepEqual(
    [hasLimit("ingresses"), hasLimit("zones"), hasLimit("addresses")],
    [
      [true, true],
      [false, false],
      [false, false],
    ],
  );
});

test("an instance of the own zone has the time to connect that MeshTimeout says, longer to answer a PING, and is left after more failures", () => {
  const { connectTimeout, keepalive, outlierDetection } = withEvidence({ connectTimeout: "5s" }, "zone");
  assert.deepEqual([connectTimeout, keepalive?.timeout], ["5s", "3s"]);
  assert.equal(outlierDetection?.consecutiveLocalOriginFailure, 5);
});

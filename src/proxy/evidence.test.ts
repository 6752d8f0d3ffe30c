import assert from "node:assert/strict";
import { test } from "node:test";
import { withEvidence } from "#proxy/evidence.ts";

test("who does not answer is given up after a second, or less where a policy says so; behind an egress after three", () => {
  const seconds = (connectTimeout: string, egress?: "zones" | "addresses") =>
    withEvidence({ connectTimeout }, egress).connectTimeout;
  assert.deepEqual([seconds("5s"), seconds("0.25s"), seconds("1s")], ["1s", "0.25s", "1s"]);
  assert.deepEqual([seconds("5s", "zones"), seconds("2s", "zones"), seconds("5s", "addresses")], ["3s", "2s", "3s"]);
});

test("what a policy says of instances that are left out counts alone; an egress that stands for all zones is not left out", () => {
  const said = { consecutive5xx: 7 };
  assert.deepEqual(withEvidence({ outlierDetection: said }, undefined).outlierDetection, said);
  assert.equal(withEvidence({}, "zones").outlierDetection?.consecutiveLocalOriginFailure, 2);
  assert.equal(withEvidence({}, "addresses").outlierDetection, undefined);
});

test("what a policy says of panic stays", () => {
  const commonLbConfig = { healthyPanicThreshold: { value: 40 } };
  assert.deepEqual(withEvidence({ commonLbConfig }, undefined).commonLbConfig, {
    ...commonLbConfig,
    updateMergeWindow: "0s",
  });
});

test("a connection on which nothing is acknowledged ends, but of one to an egress, where the way that may be cut begins later", () => {
  const hasLimit = (egress?: "zones" | "addresses") => {
    const { upstreamConnectionOptions, upstreamBindConfig } = withEvidence({}, egress);
    return [upstreamConnectionOptions !== undefined, upstreamBindConfig !== undefined];
  };
  assert.deepEqual(
    [hasLimit(), hasLimit("zones"), hasLimit("addresses")],
    [
      [true, true],
      [false, false],
      [false, false],
    ],
  );
});

// What is refused of a MeshCircuitBreaker, and how it is said.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";

const issuesOf = (spec: JsonObject) =>
  validateResource(kindNamed("MeshCircuitBreaker"), written("MeshCircuitBreaker", { spec })).map(
    ({ path, message }) => `${path}: ${message}`,
  );
const breaker = (conf: JsonObject): JsonObject => ({ to: [{ targetRef: { kind: "Mesh" }, default: conf }] });
const detecting = (outlierDetection: JsonObject): JsonObject => breaker({ outlierDetection });
const detectors = { totalFailures: {} };
const factor = (standardDeviationFactor: number | string): JsonObject =>
  detecting({ detectors: { successRate: { standardDeviationFactor } } });
const notAFactor =
  'spec.to[0].default.outlierDetection.detectors.successRate.standardDeviationFactor: must be a number from 0.001 to 1000, a decimal in quotes, like "1.9"';

const rows: readonly (readonly [spec: JsonObject, says: string])[] = [
  [{ to: [] }, "spec: must have from or to or rules, with at least one entry"],
  [breaker({}), "spec.to[0].default: must have connectionLimits or outlierDetection"],
  [{ rules: [{ default: {} }] }, "spec.rules[0].default: must have connectionLimits or outlierDetection"],
  [{ from: [{ targetRef: { kind: "Mesh" } }] }, "spec.from[0].default: must have connectionLimits or outlierDetection"],
  [
    breaker({ connectionLimits: { maxConnections: 0 } }),
    "spec.to[0].default.connectionLimits.maxConnections: must be 1 or more",
  ],
  [
    breaker({ connectionLimits: { maxRetries: 2 ** 31 } }),
    "spec.to[0].default.connectionLimits.maxRetries: must be 2147483647 or less",
  ],
  [
    detecting({ interval: "1s" }),
    "spec.to[0].default.outlierDetection.detectors: is required: without one no instance is ever left out",
  ],
  [
    detecting({ detectors: {} }),
    "spec.to[0].default.outlierDetection.detectors: must have totalFailures, gatewayFailures, localOriginFailures, successRate or failurePercentage",
  ],
  [detecting({ detectors, interval: "0s" }), "spec.to[0].default.outlierDetection.interval: must be 1ms or more"],
  [
    detecting({ detectors, baseEjectionTime: "-1s" }),
    "spec.to[0].default.outlierDetection.baseEjectionTime: must be 1ms or more",
  ],
  [
    detecting({ detectors, maxEjectionPercent: 101 }),
    "spec.to[0].default.outlierDetection.maxEjectionPercent: must be 100 or less",
  ],
  [
    detecting({ detectors, healthyPanicThreshold: 0.5 }),
    'spec.to[0].default.outlierDetection.healthyPanicThreshold: must be a number from 0 to 100, a decimal in quotes, like "0.5"',
  ],
  [
    detecting({ detectors: { totalFailures: { consecutive: 0 } } }),
    "spec.to[0].default.outlierDetection.detectors.totalFailures.consecutive: must be 1 or more",
  ],
  [
    detecting({ detectors: { failurePercentage: { threshold: 101 } } }),
    "spec.to[0].default.outlierDetection.detectors.failurePercentage.threshold: must be 100 or less",
  ],
  [factor(0), notAFactor],
  [factor("1,9"), notAFactor],
  [factor(1.9), notAFactor],
];

for (const [spec, says] of rows) test(`MeshCircuitBreaker: ${says}`, () => assert.deepEqual(issuesOf(spec), [says]));

test("what is enough for a MeshCircuitBreaker", () => {
  for (const spec of [
    detecting({ disabled: true }),
    detecting({ healthyPanicThreshold: 0 }),
    factor("0.001"),
    factor(2),
    breaker({ connectionLimits: {} }),
  ])
    assert.deepEqual(issuesOf(spec), []);
});

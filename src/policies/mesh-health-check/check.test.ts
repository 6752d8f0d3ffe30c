// What is refused of a MeshHealthCheck, and how it is said.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";

const rows: readonly (readonly [conf: JsonObject, says: string])[] = [
  [{ interval: "1s" }, "default: must have http, tcp or grpc"],
  [{ http: {}, interval: "0s" }, "default.interval: must be 1ms or more"],
  [{ http: {}, timeout: "-1s" }, "default.timeout: must be 1ms or more"],
  [{ http: {}, initialJitter: "1us" }, "default.initialJitter: must be 1ms or more"],
  [{ http: {}, intervalJitter: "0s" }, "default.intervalJitter: must be 1ms or more"],
  [{ http: {}, noTrafficInterval: "0s" }, "default.noTrafficInterval: must be 1ms or more"],
  [{ http: {}, unhealthyThreshold: 0 }, "default.unhealthyThreshold: must be 1 or more"],
  [{ http: {}, healthyThreshold: 0 }, "default.healthyThreshold: must be 1 or more"],
  [{ http: {}, intervalJitterPercent: 101 }, "default.intervalJitterPercent: must be 100 or less"],
  [
    { http: {}, healthyPanicThreshold: 101 },
    'default.healthyPanicThreshold: must be a number from 0 to 100, a decimal in quotes, like "0.5"',
  ],
  [{ http: {}, eventLogPath: "log" }, "default.eventLogPath: must be the path of a file, from /"],
  [{ http: { path: "health" } }, "default.http.path: must begin with / and have no spaces"],
  [{ http: { expectedStatuses: [200, 600] } }, "default.http.expectedStatuses[1]: must be 599 or less"],
  [
    { http: { requestHeadersToAdd: { set: [{ name: "A", value: "" }] } } },
    "default.http.requestHeadersToAdd.set[0].name: must be a header name in lower case, like x-request-id",
  ],
  [
    { http: { requestHeadersToAdd: { add: [{ name: "host", value: "a" }] } } },
    "default.http.requestHeadersToAdd.add[0].name: must not be host: a check asks for the service",
  ],
  [{ tcp: { send: "" } }, "default.tcp.send: must not be empty"],
  [{ tcp: { receive: [""] } }, "default.tcp.receive[0]: must not be empty"],
  [{ grpc: { authority: "a\nb" } }, "default.grpc.authority: must be one line"],
];

for (const [conf, says] of rows)
  test(`MeshHealthCheck: ${says}`, () => {
    const spec = { to: [{ targetRef: { kind: "Mesh" }, default: conf }] };
    const issues = validateResource(kindNamed("MeshHealthCheck"), written("MeshHealthCheck", { spec }));
    assert.deepEqual(
      issues.map(({ path, message }) => `${path}: ${message}`),
      [`spec.to[0].${says}`],
    );
  });

// Values of the wrong kind: each is found, with its path and what it must be; what fits is let be.

import assert from "node:assert/strict";
import { test } from "node:test";
import { misfitIssues } from "#cli/misfits.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";

const told = (kind: string, body: JsonObject) =>
  misfitIssues(kindNamed(kind), body).map(({ path, message }) => `${path}: ${message}`);

test("all of them are found, each with its path", () => {
  const inbound = [
    {
      port: -1,
      state: "Redy",
      tags: { "kuma.io/service": 7, version: null },
      health: { ready: "yes" },
      serviceProbe: { interval: "soon", healthyThreshold: "two" },
    },
    "8080",
  ];
  assert.deepEqual(told("Dataplane", { networking: { address: true, inbound, outbound: {}, gateway: "edge" } }), [
    "networking.address: must be a string, not true; quote it",
    "networking.inbound[0].port: must be a whole number, 0 or more, not -1",
    'networking.inbound[0].state: must be one of Ready, NotReady, Ignored, not "Redy"',
    'networking.inbound[0].tags["kuma.io/service"]: must be a string, not 7; quote it',
    'networking.inbound[0].tags["version"]: must be a string, not null',
    'networking.inbound[0].health.ready: must be true or false, not "yes"',
    'networking.inbound[0].serviceProbe.interval: must be a duration, like 5s, not "soon"',
    'networking.inbound[0].serviceProbe.healthyThreshold: must be a whole number, 0 or more, not "two"',
    'networking.inbound[1]: must be an object, not "8080"',
    "networking.outbound: must be a list, not an object",
    'networking.gateway: must be an object, not "edge"',
  ]);
  assert.deepEqual(told("Mesh", { networking: { outbound: { passthrough: "no" } } }), [
    'networking.outbound.passthrough: must be true or false, not "no"',
  ]);
});

test("what fits is no issue, nor is what is not of the message", () => {
  const inbound = [{ port: "8080", serviceProbe: { interval: "5s" }, health: null, unknown: 1 }];
  assert.deepEqual(told("Dataplane", { type: "Dataplane", name: "web", networking: { inbound } }), []);
  assert.deepEqual(told("MeshTimeout", { spec: 5 }), []);
});

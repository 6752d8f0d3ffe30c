import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { JsonObject } from "#lib/json.ts";
import { type ProxyStatus, proxyInsight, refusalsIn } from "#owned/proxy-insight.ts";
import { kindNamed } from "#resources/kinds.ts";
import { normalLegacy } from "#resources/rest.ts";

const statusOf = (metadata: JsonObject): ProxyStatus => ({
  id: { kind: "Dataplane", mesh: "default", name: "web-1" },
  subscription: { id: "1", controlPlane: "zone-a", connectedAt: 0, disconnectedAt: undefined },
  ...{ metadata, counters: {}, updatedAt: 0, refusals: [] },
});

test("an insight says the versions that a proxy tells", () => {
  const version = { kumaDp: { version: "2.14.0", kumaCpCompatible: true }, envoy: { version: "1.40.0" }, more: 1 };
  const { subscriptions } = proxyInsight(statusOf({ version })).spec;
  assert.deepEqual((subscriptions as JsonObject[])[0]?.version, version);
});

// Seen to catch: a version as it came, which ended the control plane.
test("whatever a proxy says of itself, its insight can be sent, and read after a restart", () => {
  const member = fc.constantFrom(
    ...[
      "version",
      "kumaDp",
      "envoy",
      "dependencies",
      "kumaCpCompatible",
      "kodiak.refused",
      "kodiak.behind",
      "type",
      "toString",
      "__proto__",
      "since",
    ],
  );
  const { json } = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom("", "1.40.0", "cluster", 1, 1.5, true, null),
      fc.array(tie("json"), { maxLength: 3 }),
      fc.dictionary(member, tie("json"), { maxKeys: 4, noNullPrototype: true }),
    ),
  }));
  fc.assert(
    fc.property(fc.dictionary(member, json, { minKeys: 1, maxKeys: 4, noNullPrototype: true }), (metadata) => {
      const insight = proxyInsight(statusOf(metadata as JsonObject));
      normalLegacy(kindNamed("DataplaneInsight"), insight.spec);
      const refusals = refusalsIn(insight);
      proxyInsight({ ...statusOf({}), refusals });
      proxyInsight({ ...statusOf({}), refusals: refusalsIn({ spec: { metadata } as JsonObject }) });
    }),
    { numRuns: 1_000 },
  );
});

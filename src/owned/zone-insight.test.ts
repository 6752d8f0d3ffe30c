import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  isCompatibleVersion,
  isZoneOnline,
  type ZoneStatus,
  type ZoneSubscription,
  zoneInsight,
} from "#owned/zone-insight.ts";
import { kindNamed } from "#resources/kinds.ts";
import { normalLegacy } from "#resources/rest.ts";

const at = Date.parse("2026-11-24T05:00:00Z");
const subscription = (id: string, more: Partial<ZoneSubscription> = {}): ZoneSubscription => ({
  id,
  zoneInstanceId: "host-1-ab12",
  connectedAt: at,
  disconnectedAt: undefined,
  version: { kumaCp: { version: "2.14.3", gitTag: "v2.14.3", other: 1 } },
  config: "{}",
  sentToken: false,
  updatedAt: at + 1000,
  counters: {},
  reached: undefined,
  ...more,
});
const status = (subscriptions: readonly ZoneSubscription[], more: Partial<ZoneStatus> = {}): ZoneStatus => ({
  zone: "zone-1",
  global: { instanceId: "host-0", version: "2.14.0", startedAt: at - 60_000 },
  subscriptions,
  streams: {},
  pingedAt: undefined,
  ...more,
});

describe("the insight of a zone", () => {
  it("is of the form that Kuma has, in the message's own JSON", () => {
    const counters = {
      MeshTimeout: { sent: 2, acknowledged: 1, rejected: 1 },
      Mesh: { sent: 1, acknowledged: 1, rejected: 0 },
    };
    const known = status([subscription("1", { counters })], { pingedAt: at, streams: { globalToZone: at } });
    const insight = zoneInsight(known, undefined);
    const version = { version: "2.14.3", gitTag: "v2.14.3", kumaCpGlobalCompatible: true };
    assert.equal(insight.name, "zone-1");
    assert.deepEqual(insight.spec, {
      subscriptions: [
        {
          id: "1",
          globalInstanceId: "host-0",
          connectTime: "2026-11-24T05:00:00.000Z",
          status: {
            lastUpdateTime: "2026-11-24T05:00:01.000Z",
            total: { responsesSent: "3", responsesAcknowledged: "2", responsesRejected: "1" },
            stat: {
              Mesh: { responsesSent: "1", responsesAcknowledged: "1" },
              MeshTimeout: { responsesSent: "2", responsesAcknowledged: "1", responsesRejected: "1" },
            },
          },
          version: { kumaCp: version },
          config: "{}",
          zoneInstanceId: "host-1-ab12",
        },
      ],
      healthCheck: { time: "2026-11-24T05:00:00.000Z" },
      kdsStreams: { globalToZone: { globalInstanceId: "host-0", connectTime: "2026-11-24T05:00:00.000Z" } },
    });
    const normal = normalLegacy(kindNamed("ZoneInsight"), insight.spec);
    assert.deepEqual(Object.keys(normal), Object.keys(insight.spec));
  });

  it("is online by its last connection", () => {
    const [left, here] = [subscription("1", { disconnectedAt: at }), subscription("2")];
    assert.deepEqual(
      [[left, here], [here, left], []].map((all) => isZoneOnline(status(all))),
      [true, false, false],
    );
  });

  it("closes what an earlier global left open, and keeps its times", () => {
    const stored = zoneInsight(status([subscription("1")], { pingedAt: at }), undefined);
    const restarted = status([], { global: { instanceId: "host-0", version: "2.14.0", startedAt: at + 5000 } });
    const spec = zoneInsight(restarted, stored).spec as {
      subscriptions: { disconnectTime: string }[];
      healthCheck: unknown;
    };
    assert.equal(spec.subscriptions[0]!.disconnectTime, "2026-11-24T05:00:05.000Z");
    assert.deepEqual(spec.healthCheck, { time: "2026-11-24T05:00:00.000Z" });
  });

  it("made of what it was made of before is the same: the store goes quiet", () => {
    const known = status([subscription("2")]);
    const once = zoneInsight(known, zoneInsight(status([subscription("1")]), undefined));
    assert.deepEqual(zoneInsight(known, once), once);
  });

  it("keeps the last ten connections", () => {
    const before = zoneInsight(status(Array.from({ length: 9 }, (_, i) => subscription(`old-${i}`))), undefined);
    const { subscriptions } = zoneInsight(status([subscription("a"), subscription("b")]), before).spec;
    assert.deepEqual(
      (subscriptions as { id: string }[]).map(({ id }) => id),
      [...Array.from({ length: 8 }, (_, i) => `old-${i + 1}`), "a", "b"],
    );
  });
});

const versions: readonly (readonly [global: string, zone: string, isCompatible: boolean])[] = [
  ["2.14.3", "2.12.0", true],
  ["2.14.3", "2.11.9", false],
  ["2.14.3", "2.16.0", true],
  ["2.14.3", "2.17.0", false],
  ["2.14.3", "1.14.3", false],
  ["2.14.3", "0.0.0-preview.v123", true],
  ["2.14.3", "unknown", true],
  ["2.14.3", "", true],
];
for (const [global, zone, isCompatible] of versions) {
  it(`global ${global} and zone "${zone}" are ${isCompatible ? "" : "not "}compatible`, () =>
    assert.equal(isCompatibleVersion(global, zone), isCompatible));
}

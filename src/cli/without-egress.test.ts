// What `get zones` says of zones that nothing leaves for want of an egress, against a real API.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seed } from "#api/api.fixture.ts";
import { served } from "#cli/cli.fixture.ts";

const mtls = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] };
const mesh = (name: string, zoneEgress: boolean, spec: object = { mtls }) =>
  seed("Mesh", name, { mesh: "", spec: { ...spec, routing: { zoneEgress } } });
const egress = (name: string, zone: string) =>
  seed("ZoneEgress", name, { mesh: "", spec: { zone, networking: { address: "10.0.0.1", port: 10002 } } });
const insight = (name: string, subscription: Record<string, string>) =>
  seed("ZoneEgressInsight", name, { mesh: "", spec: { subscriptions: [subscription] } });
const connectTime = "2026-01-02T11:15:00Z";
const seeds = [
  ...[mesh("m1", true), mesh("m2", true), mesh("direct", false), mesh("plain", true, {})],
  ...["a", "b", "c"].map((name) => seed("Zone", name, { mesh: "" })),
  ...[egress("e-a", "a"), insight("e-a", { connectTime })],
  ...[egress("e-b", "b"), insight("e-b", { connectTime, disconnectTime: connectTime })],
];
const said = (zone: string, which: string, what = "other zones and services outside"): string =>
  `\n${zone}: ${which} ${what} through a zone egress, and none is alive: requests to them are answered 503 until \`kodiak run egress\` runs there\n`;

test("on global: the zones whose egresses are offline, or that have none, and which meshes that is for", async (t) => {
  const { run } = await served(t, { seeds });
  const { out } = await run(["get", "zones"]);
  assert.ok(out.endsWith(`${said("b", "meshes m1, m2 reach")}${said("c", "meshes m1, m2 reach")}`), out);
  assert.doesNotMatch(out, /^a: /m);
});

test("on a zone: this one, whose egresses need not say that they are its own", async (t) => {
  const rules = { place: { kind: "zone", zone: "a", isFederated: true } } as const;
  const alone = [mesh("m1", true)];
  const { run } = await served(t, { rules, seeds: alone });
  assert.equal((await run(["get", "zones"])).out, said("a", "mesh m1 reaches"));
  const { run: withEgress } = await served(t, {
    rules,
    seeds: [...alone, egress("e", ""), insight("e", { connectTime })],
  });
  assert.equal((await withEgress(["get", "zones"])).out, "");
});

test("MeshExternalServices need one, too: those of the zone, those that are every zone's, and those that global pins to one", async (t) => {
  const resource = (name: string, inMesh: string, zone?: string, origin = "zone") =>
    seed("MeshExternalService", name, {
      mesh: inMesh,
      ...(zone !== undefined && { labels: { "kuma.io/origin": origin, "kuma.io/zone": zone } }),
      spec: { match: { port: 9000 }, endpoints: [{ address: "10.0.0.9", port: 80 }] },
    });
  const direct = [mesh("direct", false), mesh("other", false), mesh("plain", false, {}), mesh("pinned", false)];
  const zones = ["a", "b", "c"].map((name) => seed("Zone", name, { mesh: "" }));
  const { run } = await served(t, {
    seeds: [
      ...[...direct, ...zones, egress("e-a", "a"), insight("e-a", { connectTime })],
      ...[resource("one", "direct"), resource("two", "other", "b"), resource("three", "plain")],
      resource("four", "pinned", "a", "global"),
    ],
  });
  const { out } = await run(["get", "zones"]);
  const what = "MeshExternalServices";
  assert.ok(
    out.endsWith(
      `${said("b", "meshes direct, other, pinned reach", what)}${said("c", "meshes direct, pinned reach", what)}`,
    ),
    out,
  );
  assert.doesNotMatch(out, /\na: /);
});

// Lists and overviews: pages, filters, and what is recorded beside each proxy and zone.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type Rig, seed, serve } from "#api/api.fixture.ts";
import { presenceIn } from "#owned/online.ts";

const inbound = (service: string, version?: string) => ({
  port: 80,
  tags: { "kuma.io/service": service, ...(version !== undefined && { version }) },
});
const seeds = [
  seed("Mesh", "other", { mesh: "" }),
  seed("Dataplane", "backend-1", {
    labels: { "kuma.io/zone": "zone-a", team: "x" },
    spec: { networking: { inbound: [inbound("admin"), inbound("backend", "v1")] } },
  }),
  seed("Dataplane", "backend-2", {
    labels: { "kuma.io/zone": "zone-b", team: "x" },
    spec: { networking: { inbound: [inbound("backend", "v2")] } },
  }),
  seed("Dataplane", "delegated", { spec: { networking: { gateway: { tags: { "kuma.io/service": "dele" } } } } }),
  seed("Dataplane", "edge", {
    spec: { networking: { gateway: { type: "BUILTIN", tags: { "kuma.io/service": "edge" } } } },
  }),
  seed("Dataplane", "front", { mesh: "other", spec: { networking: { inbound: [inbound("front")] } } }),
  seed("DataplaneInsight", "backend-1", {
    spec: { subscriptions: [{ id: "1", connectTime: "2026-01-01T00:00:00Z" }] },
  }),
  seed("DataplaneInsight", "front", { mesh: "other", spec: { subscriptions: [] } }),
  seed("Zone", "zone-a", { mesh: "", spec: { enabled: true } }),
  seed("ZoneInsight", "zone-a", { mesh: "", spec: { subscriptions: [] } }),
  seed("ZoneIngress", "in", { mesh: "", spec: { zone: "zone-a" } }),
  seed("ZoneEgress", "out", { mesh: "" }),
  ...["a", "b", "c", "d"].map((name) => seed("MeshTimeout", name, { labels: { name } })),
];
const start = (t: TestContext) => serve(t, { seeds });
async function page(rig: Rig, path: string) {
  const { status, json } = await rig.call("GET", path, { headers: { host: "localhost:5681" } });
  const names = Array.isArray(json.items) ? json.items.map(({ name }) => name) : [];
  return { status, names, total: json.total, next: json.next, json };
}

describe("a page", () => {
  it("says how many there are and where to go on", async (t) => {
    const rig = await start(t);
    const first = await page(rig, "/meshes/default/meshtimeouts?size=3&name=");
    assert.deepEqual([first.total, first.names], [4, ["a", "b", "c"]]);
    assert.equal(first.next, "http://localhost:5681/meshes/default/meshtimeouts?name=&offset=3&size=3");
    const second = await page(rig, String(first.next).replace("http://localhost:5681", ""));
    assert.deepEqual([second.total, second.names, second.next], [4, ["d"], null]);
    assert.deepEqual(Object.keys(second.json), ["total", "items", "next"]);
    const beyond = await page(rig, "/meshes/default/meshtimeouts?offset=9");
    assert.deepEqual([beyond.total, beyond.names, beyond.next], [4, [], null]);
  });

  const refused: readonly [string, string, unknown][] = [
    ["size=0", "Invalid page size", [{ field: "size", reason: "must be greater than 0" }]],
    ["size=-1", "Invalid page size", [{ field: "size", reason: "must be greater than 0" }]],
    ["size=x", "Invalid page size", [{ field: "size", reason: "invalid format" }]],
    [
      "size=1001",
      "Invalid page size",
      [{ field: "size", reason: "invalid page size of 1001. Maximum page size is 1000" }],
    ],
    ["offset=-1", 'invalid offset: must be a number that is not negative, not "-1"', undefined],
    [
      "filter[foo]=x",
      "Resource is not valid",
      [{ field: "/meshes/{mesh}/dataplanes.filter[foo]", reason: "filters are only supported on labels" }],
    ],
    [
      "gateway=x",
      "Resource is not valid",
      [{ field: "/meshes/{mesh}/dataplanes.gateway", reason: "must be true, false, builtin or delegated, not x" }],
    ],
  ];
  for (const [query, detail, parameters] of refused)
    it(`refuses ${query}`, async (t) => {
      const { status, json } = await page(await start(t), `/meshes/default/dataplanes?${query}`);
      assert.deepEqual([status, json.title, json.detail], [400, "Could not retrieve resources", detail]);
      assert.deepEqual(json.invalid_parameters, parameters);
    });
});

describe("a filter", () => {
  const rows: readonly [string, readonly string[]][] = [
    ["/dataplanes", ["backend-1", "backend-2", "delegated", "edge", "front"]],
    ["/meshes/other/dataplanes", ["front"]],
    ["/dataplanes?name=end-", ["backend-1", "backend-2"]],
    ["/dataplanes?filter%5Blabels.kuma.io/zone%5D=zone-b", ["backend-2"]],
    ["/dataplanes?filter%5Blabels.kuma.io%2Fzone%5D=zone-a&filter[labels.team]=x", ["backend-1"]],
    ["/dataplanes?filter[labels.team]=y", []],
    ["/dataplanes?tag=kuma.io/service:back", ["backend-1", "backend-2"]],
    ["/dataplanes?tag=kuma.io/service:backend&tag=version:v2", ["backend-2"]],
    ["/dataplanes?tag=kuma.io/service:front&tag=kuma.io/service:backend", ["backend-1", "backend-2"]],
    ["/dataplanes?tag=kuma.io/service", ["backend-1", "backend-2", "delegated", "edge", "front"]],
    ["/dataplanes?tag=kuma.io/service:edge", ["edge"]],
    ["/dataplanes?gateway=true", ["delegated", "edge"]],
    ["/dataplanes?gateway=false", ["backend-1", "backend-2", "front"]],
    ["/dataplanes?gateway=builtin", ["edge"]],
    ["/dataplanes?gateway=delegated", ["delegated"]],
    ["/dataplanes?gateway=&ingress=true", ["backend-1", "backend-2", "delegated", "edge", "front"]],
    ["/meshes/default/dataplanes/_overview?gateway=false&name=2", ["backend-2"]],
    ["/meshtimeouts?gateway=true&tag=a:b&filter[labels.name]=c", ["c"]],
  ];
  for (const [path, names] of rows)
    it(path, async (t) => assert.deepEqual((await page(await start(t), path)).names, names));
});

describe("an overview", () => {
  it("has the insight beside the proxy", async (t) => {
    const { call } = await start(t);
    const { json } = await call("GET", "/meshes/default/dataplanes/backend-1/_overview");
    const { creationTime, modificationTime, dataplane, ...rest } = json;
    assert.deepEqual(rest, {
      type: "DataplaneOverview",
      mesh: "default",
      name: "backend-1",
      labels: { "kuma.io/zone": "zone-a", team: "x" },
      kri: "kri_dp_default_zone-a__backend-1_",
      dataplaneInsight: { subscriptions: [{ id: "1", connectTime: "2026-01-01T00:00:00Z" }] },
    });
    assert.deepEqual(Object.keys(dataplane as object), ["networking"]);
    assert.ok(creationTime !== undefined && modificationTime !== undefined);
    assert.ok(!("dataplaneInsight" in (await call("GET", "/meshes/default/dataplanes/edge/_overview")).json));
  });

  const rows: readonly [string, string, number][] = [
    ["/dataplanes/_overview", "DataplaneOverview", 5],
    ["/dataplanes+insights", "DataplaneOverview", 5],
    ["/meshes/default/dataplanes/_overview", "DataplaneOverview", 4],
    ["/meshes/default/dataplanes+insights", "DataplaneOverview", 4],
    ["/zoneingresses/_overview", "ZoneIngressOverview", 1],
    ["/zone-ingresses/_overview", "ZoneIngressOverview", 1],
    ["/zoneingresses+insights", "ZoneIngressOverview", 1],
    ["/zoneegresses/_overview", "ZoneEgressOverview", 1],
    ["/zoneegressoverviews", "ZoneEgressOverview", 1],
    ["/zones/_overview", "ZoneOverview", 1],
    ["/zones+insights", "ZoneOverview", 1],
  ];
  for (const [path, type, total] of rows)
    it(path, async (t) => {
      const { json } = await page(await start(t), path);
      assert.equal(json.total, total);
      assert.ok(Array.isArray(json.items) && json.items.every((item) => item.type === type));
    });

  it("of one, by all its paths", async (t) => {
    const { call } = await start(t);
    for (const path of ["/zones/zone-a/_overview", "/zones+insights/zone-a"]) {
      const { zone, zoneInsight } = (await call("GET", path)).json;
      assert.deepEqual([zone, zoneInsight], [{ enabled: true }, { subscriptions: [] }]);
    }
    assert.deepEqual((await call("GET", "/zone-ingresses/in/_overview")).json.zoneIngress, { zone: "zone-a" });
    assert.equal((await call("GET", "/meshes/default/dataplanes+insights/edge")).status, 200);
    assert.equal((await call("GET", "/zones/nope/_overview")).status, 404);
    assert.equal((await call("GET", "/meshes/_overview")).json.title, "Could not retrieve a resource");
  });
});

it("presence is what the last subscription says", () => {
  const [connectTime, disconnectTime] = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"];
  assert.deepEqual(presenceIn(undefined), { isOnline: false, since: undefined });
  assert.deepEqual(presenceIn({ subscriptions: [] }), { isOnline: false, since: undefined });
  assert.deepEqual(presenceIn({ subscriptions: [{ connectTime }] }), { isOnline: true, since: connectTime });
  const gone = { connectTime, disconnectTime };
  assert.deepEqual(presenceIn({ subscriptions: [gone] }), { isOnline: false, since: disconnectTime });
  assert.deepEqual(presenceIn({ subscriptions: [gone, { connectTime: disconnectTime }] }), {
    isOnline: true,
    since: disconnectTime,
  });
});

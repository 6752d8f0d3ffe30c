// Showing and deleting, against a real API.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAllDocuments } from "yaml";
import { seed } from "#api/api.fixture.ts";
import { served } from "#cli/cli.fixture.ts";
import { kindCalled } from "#cli/kind-noun.ts";
import { kinds } from "#resources/kinds.ts";

const now = Date.UTC(2026, 0, 2, 12);
const connectTime = "2026-01-02T11:15:00Z";
const disconnectTime = "2026-01-02T11:59:15Z";
const inbound = (service: string) => ({ port: 80, tags: { "kuma.io/service": service } });

const seeds = [
  seed("Mesh", "secure", { mesh: "", spec: { mtls: { enabledBackend: "ca-1" } } }),
  seed("Dataplane", "web-1", {
    labels: { "kuma.io/zone": "zone-a" },
    spec: { networking: { address: "127.0.0.2", inbound: [inbound("web"), inbound("web-admin"), inbound("web")] } },
  }),
  seed("DataplaneInsight", "web-1", { spec: { subscriptions: [{ connectTime }] } }),
  seed("Dataplane", "gone", {
    spec: { networking: { address: "127.0.0.3", gateway: { tags: { "kuma.io/service": "edge" } } } },
  }),
  seed("DataplaneInsight", "gone", { spec: { subscriptions: [{ connectTime, disconnectTime }] } }),
  seed("Dataplane", "new", { mesh: "secure", spec: { networking: { inbound: [inbound("new")] } } }),
  seed("Zone", "zone-a", { mesh: "" }),
  seed("ZoneInsight", "zone-a", { mesh: "", spec: { subscriptions: [{ connectTime: "2025-12-30T11:00:00Z" }] } }),
  seed("ZoneIngress", "in", {
    mesh: "",
    spec: {
      zone: "zone-b",
      networking: { address: "10.0.0.1", port: 10001, advertisedAddress: "192.0.2.7", advertisedPort: 443 },
    },
  }),
  seed("MeshTimeout", "slow", { labels: { "kuma.io/zone": "zone-a" }, spec: { to: [] } }),
];

describe("get, as a table", () => {
  const rows: readonly [readonly string[], string][] = [
    [
      ["dataplanes", "--all-meshes"],
      `MESH      NAME    ZONE     SERVICES        STATUS
default   gone    -        edge            offline since 45s
default   web-1   zone-a   web,web-admin   online since 45m
secure    new     -        new             offline, never connected
`,
    ],
    [
      ["dp", "new", "-m", "secure"],
      "MESH     NAME   ZONE   SERVICES   STATUS\nsecure   new    -      new        offline, never connected\n",
    ],
    [["zones"], "NAME     STATUS\nzone-a   online since 3d\n"],
    [
      ["zone-ingresses"],
      "NAME   ZONE     ADDRESS         STATUS\nin     zone-b   192.0.2.7:443   offline, never connected\n",
    ],
  ];
  for (const [args, out] of rows)
    it(args.join(" "), async (t) => {
      const { run } = await served(t, { seeds });
      assert.deepEqual(await run(["get", ...args], { now }), { code: 0, out, err: "" });
    });

  it("has the age of other kinds", async (t) => {
    const { run } = await served(t, { seeds });
    const later = Date.now() + 7_205_000;
    assert.equal(
      (await run(["get", "mt"], { now: later })).out,
      "MESH      NAME   ZONE     AGE\ndefault   slow   zone-a   2h\n",
    );
    assert.equal(
      (await run(["get", "meshes"], { now: later })).out,
      "NAME      MTLS   AGE\ndefault   off    2h\nsecure    ca-1   2h\n",
    );
  });

  it("in colours on a terminal", async (t) => {
    const { run } = await served(t, { seeds });
    const { out } = await run(["get", "zones"], { now, hasColours: true });
    assert.ok(out.includes("\u001b[32monline\u001b[39m since 3d"));
  });

  it("says when there is nothing", async (t) => {
    const { run } = await served(t);
    assert.deepEqual(await run(["get", "dataplanes"]), {
      code: 0,
      out: "",
      err: 'there are no dataplanes in mesh "default"\n',
    });
    assert.deepEqual(await run(["get", "zones"]), { code: 0, out: "", err: "there are no zones\n" });
  });

  it("has all, however many", async (t) => {
    const many = Array.from({ length: 2001 }, (_, i) => seed("MeshTrace", `t-${i}`));
    const { run } = await served(t, { seeds: many });
    assert.equal((await run(["get", "meshtraces"])).out.split("\n").length, 2001 + 2);
  });
});

describe("get, as YAML and JSON", () => {
  it("shows the resource itself", async (t) => {
    const { run, call } = await served(t, { seeds });
    const { json } = await call("GET", "/meshes/default/dataplanes/web-1");
    assert.deepEqual(JSON.parse((await run(["get", "dataplane", "web-1", "-o", "json"])).out), json);
    const { out } = await run(["get", "dataplane", "web-1", "-o", "yaml"]);
    assert.deepEqual(
      parseAllDocuments(out).map((document) => document.toJS()),
      [json],
    );
  });

  it("writes a list that apply reads", async (t) => {
    const { run, store } = await served(t, { seeds });
    const { out } = await run(["get", "meshtimeouts", "-o", "yaml"]);
    assert.deepEqual(JSON.parse((await run(["get", "zones", "-o", "json"])).out).length, 1);
    await run(["delete", "meshtimeout", "slow"]);
    assert.equal(store.list("MeshTimeout").length, 0);
    const fixed = out.replace("to: []", "to: [{ targetRef: { kind: Mesh }, default: { idleTimeout: 1s } }]");
    assert.deepEqual(await run(["apply", "-f", "-"], { input: fixed }), {
      code: 0,
      out: 'MeshTimeout "slow" in mesh "default" created\n',
      err: "",
    });
  });
});

describe("delete", () => {
  it("deletes one", async (t) => {
    const { run, store } = await served(t, { seeds });
    const out = 'MeshTimeout "slow" in mesh "default" deleted\n';
    assert.deepEqual(await run(["delete", "mt", "slow"]), { code: 0, out, err: "" });
    assert.equal(store.list("MeshTimeout").length, 0);
    const zone = await run(["delete", "zone", "zone-a", "-o", "json"]);
    assert.match(zone.err, /^error: Zone "zone-a": zone: unable to delete Zone, Zone CP is still connected/);
  });

  it("as JSON", async (t) => {
    const { run } = await served(t, { seeds });
    const { out } = await run(["delete", "zoneingress", "in", "-o", "json"]);
    assert.equal(out, "");
    const mesh = await run(["delete", "mesh", "secure", "-o", "yaml"]);
    assert.equal(mesh.code, 1);
    const policy = await run(["delete", "mt", "slow", "-o", "json"]);
    assert.deepEqual(JSON.parse(policy.out), { type: "MeshTimeout", mesh: "default", name: "slow", result: "deleted" });
  });
});

it("every kind is found by its name, paths and short name", () => {
  for (const kind of kinds.filter(({ plural }) => plural !== undefined))
    for (const noun of [kind.name, kind.name.toLowerCase(), kind.plural, kind.alias, kind.short])
      if (noun) assert.equal(kindCalled(noun), kind);
  assert.equal(kindCalled("mesh-traffic-permissions").name, "MeshTrafficPermission");
  assert.equal(kindCalled("zone-ingress").name, "ZoneIngress");
});

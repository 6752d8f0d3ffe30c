// Writing and reading single resources: a table of requests for each place, over real HTTP.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { seed, serve } from "#api/api.fixture.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Place } from "#resources/labels.ts";

const timeoutSpec = { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "1s" } }] };
const timeout = (name: string, more: JsonObject = {}): JsonObject => ({
  type: "MeshTimeout",
  mesh: "default",
  name,
  spec: timeoutSpec,
  ...more,
});
const origin = (value: string) => ({ labels: { "kuma.io/origin": value } });
const dataplane = (name: string): JsonObject => ({
  type: "Dataplane",
  mesh: "default",
  name,
  networking: { address: "127.0.0.2", inbound: [{ port: 80, tags: { "kuma.io/service": "web" } }] },
});
const mtls = (backend: JsonObject) => ({ mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", ...backend }] } });
const provided = mtls({ type: "provided", conf: { cert: { secret: "c" }, key: { secret: "k" } } });

const global: Place = { kind: "global" };
const federated: Place = { kind: "zone", zone: "zone-a", isFederated: true };
const alone: Place = { kind: "zone", zone: "zone-a", isFederated: false };
const globalAddress = "grpcs://global:5685";

/** What stands in the stores of all places before each request. */
const seeds = [
  seed("MeshTimeout", "mine", { spec: timeoutSpec }),
  seed("MeshTimeout", "of-global", { labels: { "kuma.io/origin": "global" }, spec: timeoutSpec }),
  seed("MeshTimeout", "of-zone-a", { labels: { "kuma.io/origin": "zone", "kuma.io/zone": "zone-a" } }),
  seed("MeshTimeout", "of-zone-b", { labels: { "kuma.io/origin": "zone", "kuma.io/zone": "zone-b" } }),
  seed("ZoneIngress", "of-zone-b", { mesh: "", labels: { "kuma.io/origin": "global", "kuma.io/zone": "zone-b" } }),
  seed("Secret", "s", { labels: { "kuma.io/origin": "global" } }),
  seed("MeshExternalService", "pinned", { labels: { "kuma.io/origin": "global", "kuma.io/zone": "zone-b" } }),
  seed("Mesh", "secure", { mesh: "", spec: mtls({ type: "builtin" }) }),
  seed("Secret", "secure.ca-builtin-cert-ca-1", { mesh: "secure" }),
  seed("Mesh", "empty", { mesh: "" }),
  seed("Dataplane", "dp"),
  seed("DataplaneInsight", "dp"),
  seed("Zone", "on", { mesh: "" }),
  seed("ZoneInsight", "on", { mesh: "", spec: { subscriptions: [{ connectTime: "2026-01-01T00:00:00Z" }] } }),
  seed("Zone", "off", { mesh: "" }),
  seed("ZoneInsight", "off", {
    mesh: "",
    spec: { subscriptions: [{ connectTime: "2026-01-01T00:00:00Z", disconnectTime: "2026-01-01T00:01:00Z" }] },
  }),
];

type Expected = number | readonly [status: number, title: string, ...invalid: string[]];
type Row = readonly [string, Place, method: "GET" | "PUT" | "DELETE", path: string, body: unknown, Expected];

const process = "Could not process a resource";
const inUse =
  'name: The secret "secure.ca-builtin-cert-ca-1" that you are trying to remove is currently in use in Mesh "secure" in mTLS backend "ca-1". Please remove the reference from the "ca-1" backend before removing the secret.';
const notZones = `labels["kuma.io/origin"]: the origin label must be set to 'zone' for a resource of this zone alone; what holds in all zones is applied on the global control plane (this zone's connection to it: ${globalAddress})`;
const ofGlobal = `"of-global" in mesh "default" belongs to the global control plane (this zone's connection to it: ${globalAddress}); edit it there`;
const notGlobals =
  "labels[\"kuma.io/origin\"]: the origin label must be set to 'global' or left out: this is the global control plane";

const rows: readonly Row[] = [
  ["creates", global, "PUT", "/meshes/default/meshtimeouts/x", timeout("x"), 201],
  ["updates", global, "PUT", "/meshes/default/meshtimeouts/mine", timeout("mine", { labels: { a: "b" } }), 200],
  [
    "ignores times and kri",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", { creationTime: "2020-01-01T00:00:00Z", kri: "kri_x" }),
    201,
  ],
  [
    "takes default as the missing mesh",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    { ...timeout("x"), mesh: undefined },
    201,
  ],
  ["reads", global, "GET", "/meshes/default/meshtimeouts/mine", undefined, 200],
  ["deletes", global, "DELETE", "/meshes/default/meshtimeouts/mine", undefined, 200],
  [
    "not there: GET",
    global,
    "GET",
    "/meshes/default/meshtimeouts/x",
    undefined,
    [404, "Could not retrieve a resource"],
  ],
  [
    "not there: DELETE",
    global,
    "DELETE",
    "/meshes/default/meshtimeouts/x",
    undefined,
    [404, "Could not delete a resource"],
  ],
  ["no mesh: GET", global, "GET", "/meshes/nomesh/meshtimeouts/x", undefined, [404, "Failed to retrieve Mesh"]],
  ["no mesh: list", global, "GET", "/meshes/nomesh/meshtimeouts", undefined, [404, "Failed to retrieve Mesh"]],
  ["no mesh, before the body", global, "PUT", "/meshes/nomesh/meshtimeouts/x", "{", [404, "Failed to retrieve Mesh"]],
  ["no mesh: DELETE", global, "DELETE", "/meshes/nomesh/meshtimeouts/x", undefined, [404, "Failed to retrieve Mesh"]],
  ["malformed JSON", global, "PUT", "/meshes/default/meshtimeouts/x", "{bad", [400, "Bad Request"]],
  ["a list for a body", global, "PUT", "/meshes/default/meshtimeouts/x", [], [400, "Bad Request"]],
  ["null for a body", global, "PUT", "/meshes/default/meshtimeouts/x", "null", [400, "Bad Request"]],
  [
    "a legacy member of a wrong type",
    global,
    "PUT",
    "/meshes/default/circuit-breakers/x",
    { type: "CircuitBreaker", mesh: "default", name: "x", conf: 5 },
    [400, "Bad Request"],
  ],
  [
    "another name",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("y"),
    [400, process, "name: name from the URL has to be the same as in body"],
  ],
  [
    "another mesh and type",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", { mesh: "secure", type: "MeshRetry" }),
    [
      400,
      process,
      "type: type from the URL has to be the same as in body",
      "mesh: mesh from the URL has to be the same as in body",
    ],
  ],
  [
    "no spec",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    { ...timeout("x"), spec: undefined },
    [400, process, "spec: is required"],
  ],
  [
    "a bad name and a bad label, all at once",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/Bad_Name",
    timeout("Bad_Name", { labels: { "a b": "c d" } }),
    [
      400,
      process,
      'labels["a b"]: must have a name of letters, digits and - _ ., with a DNS name and / before it or not',
      "name: must be lower case letters, digits, - and ., beginning and ending with a letter or digit, like backend-1",
    ],
  ],
  [
    "a long name",
    global,
    "PUT",
    `/meshes/default/meshtimeouts/${"a".repeat(254)}`,
    timeout("a".repeat(254)),
    [400, process, "name: must have 253 characters or fewer"],
  ],
  [
    "a name that is too long with the zone in front",
    federated,
    "PUT",
    `/meshes/default/meshtimeouts/${"a".repeat(246)}`,
    timeout("a".repeat(246), origin("zone")),
    [400, process, 'name: must have 245 characters or fewer in zone "zone-a"'],
  ],
  ["dots in a name", global, "PUT", "/meshes/default/meshtimeouts/a.b-c.1", timeout("a.b-c.1"), 201],

  ["global: origin global", global, "PUT", "/meshes/default/meshtimeouts/x", timeout("x", origin("global")), 201],
  [
    "global: origin zone",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", origin("zone")),
    [400, process, notGlobals],
  ],
  [
    "global: a zone's resource, DELETE",
    global,
    "DELETE",
    "/meshes/default/meshtimeouts/of-zone-a",
    undefined,
    [
      400,
      "Could not delete a resource",
      '["kuma.io/origin"]: MeshTimeout "of-zone-a" in mesh "default" belongs to zone "zone-a"; edit it there',
    ],
  ],
  [
    "global: a zone's resource, PUT",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/of-zone-a",
    timeout("of-zone-a"),
    [
      400,
      "Could not update a resource",
      'labels["kuma.io/origin"]: MeshTimeout "of-zone-a" in mesh "default" belongs to zone "zone-a"; edit it there',
    ],
  ],
  [
    "global: origin removed",
    global,
    "PUT",
    "/meshes/default/meshtimeouts/of-global",
    timeout("of-global"),
    [400, "Could not update a resource", 'labels["kuma.io/origin"]: is immutable, cannot be removed (was "global")'],
  ],
  ["global: a proxy", global, "PUT", "/meshes/default/dataplanes/x", dataplane("x"), [405, "Method not allowed"]],
  [
    "global: an insight",
    global,
    "DELETE",
    "/meshes/default/dataplane-insights/dp",
    undefined,
    [405, "Method not allowed"],
  ],
  ["global: a zone", global, "PUT", "/zones/z", { type: "Zone", name: "z", enabled: true }, 201],

  [
    "zone: a policy without origin",
    federated,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x"),
    [400, process, notZones],
  ],
  [
    "zone: a policy with origin global",
    federated,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", origin("global")),
    [400, process, notZones],
  ],
  ["zone: a policy of its own", federated, "PUT", "/meshes/default/meshtimeouts/x", timeout("x", origin("zone")), 201],
  [
    "zone: a policy for another zone",
    federated,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", { labels: { "kuma.io/origin": "zone", "kuma.io/zone": "zone-b" } }),
    [400, process, 'labels["kuma.io/zone"]: kuma.io/zone label should have zone-a value'],
  ],
  [
    "zone: another mesh in the label",
    federated,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", { labels: { "kuma.io/origin": "zone", "kuma.io/mesh": "secure" } }),
    [400, process, 'labels["kuma.io/mesh"]: kuma.io/mesh label should have default value'],
  ],
  [
    "zone: what global sent, DELETE",
    federated,
    "DELETE",
    "/meshes/default/meshtimeouts/of-global",
    undefined,
    [400, "Could not delete a resource", `["kuma.io/origin"]: MeshTimeout ${ofGlobal}`],
  ],
  [
    "zone: what global sent, PUT as its own",
    federated,
    "PUT",
    "/meshes/default/meshtimeouts/of-global",
    timeout("of-global", origin("zone")),
    [400, "Could not update a resource", `labels["kuma.io/origin"]: MeshTimeout ${ofGlobal}`],
  ],
  [
    "zone: a secret that global sent",
    federated,
    "DELETE",
    "/meshes/default/secrets/s",
    undefined,
    [400, "Could not delete a resource", `["kuma.io/origin"]: Secret ${ofGlobal.replace("of-global", "s")}`],
  ],
  [
    "zone: another zone's ingress",
    federated,
    "DELETE",
    "/zoneingresses/of-zone-b",
    undefined,
    [
      400,
      "Could not delete a resource",
      '["kuma.io/origin"]: ZoneIngress "of-zone-b" belongs to zone "zone-b"; edit it there',
    ],
  ],
  [
    "zone: what global says is for another zone",
    federated,
    "DELETE",
    "/meshes/default/meshexternalservices/pinned",
    undefined,
    [
      400,
      "Could not delete a resource",
      `["kuma.io/origin"]: MeshExternalService ${ofGlobal.replace("of-global", "pinned")}`,
    ],
  ],
  ["zone: a mesh", federated, "PUT", "/meshes/x", { type: "Mesh", name: "x" }, [405, "Method not allowed"]],
  ["zone: a legacy policy", federated, "PUT", "/meshes/default/circuit-breakers/x", {}, [405, "Method not allowed"]],
  ["zone: a proxy, which needs no label", federated, "PUT", "/meshes/default/dataplanes/x", dataplane("x"), 201],
  [
    "zone: a secret of its own",
    federated,
    "PUT",
    "/meshes/default/secrets/x",
    { type: "Secret", mesh: "default", name: "x", data: "YQ==" },
    201,
  ],

  ["alone: a policy without origin", alone, "PUT", "/meshes/default/meshtimeouts/x", timeout("x"), 201],
  [
    "alone: a policy with origin global",
    alone,
    "PUT",
    "/meshes/default/meshtimeouts/x",
    timeout("x", origin("global")),
    201,
  ],
  ["alone: a mesh", alone, "PUT", "/meshes/x", { type: "Mesh", name: "x" }, 201],
  ["alone: an insight", alone, "PUT", "/meshes/default/dataplane-insights/x", {}, [405, "Method not allowed"]],

  [
    "a mesh with proxies",
    global,
    "DELETE",
    "/meshes/default",
    undefined,
    [400, "Could not delete a resource", "mesh: unable to delete mesh, there are still some dataplanes attached"],
  ],
  ["a mesh without", global, "DELETE", "/meshes/empty", undefined, 200],
  [
    "a zone that is connected",
    global,
    "DELETE",
    "/zones/on",
    undefined,
    [
      400,
      "Could not delete a resource",
      "zone: unable to delete Zone, Zone CP is still connected, please shut it down first",
    ],
  ],
  ["a zone that is not", global, "DELETE", "/zones/off", undefined, 200],
  [
    "a secret in use",
    global,
    "DELETE",
    "/meshes/secure/secrets/secure.ca-builtin-cert-ca-1",
    undefined,
    [400, "Could not delete a resource", inUse],
  ],
  [
    "a mesh whose secrets are missing",
    global,
    "PUT",
    "/meshes/x",
    { type: "Mesh", name: "x", ...provided },
    [
      400,
      "Failed to create a resource",
      'mtls.backends[0].conf.cert: could not load data: the Secret "c" in mesh "x" does not exist; apply it first, or in the same file',
      'mtls.backends[0].conf.key: could not load data: the Secret "k" in mesh "x" does not exist; apply it first, or in the same file',
    ],
  ],
];

const start = (t: Parameters<typeof serve>[0], place: Place, more: Partial<Parameters<typeof serve>[1]> = {}) =>
  serve(t, { seeds, ...more, rules: { place, globalAddress, ...more?.rules } });

describe("resources", () => {
  for (const [what, place, method, path, body, expected] of rows)
    it(`${what}`, async (t) => {
      const rig = await start(t, place);
      const revision = rig.store.revision;
      const { status, json, text } = await rig.call(method, path, body === undefined ? {} : { body });
      if (typeof expected === "number") {
        assert.equal(status, expected, text);
        return;
      }
      const { invalid_parameters: parameters } = json;
      const reasons = Array.isArray(parameters) ? parameters.map(({ field, reason }) => `${field}: ${reason}`) : [];
      assert.deepEqual([status, json.title, ...reasons], expected);
      assert.equal(rig.store.revision, revision, "nothing is written");
    });

  it("are answered and stored with the labels that say whose they are", async (t) => {
    const rows: readonly [Place, string, JsonObject, JsonObject | undefined][] = [
      [global, "/meshes/default/meshtimeouts/x", timeout("x"), { "kuma.io/mesh": "default" }],
      [global, "/meshes/m", { type: "Mesh", name: "m" }, undefined],
      [global, "/zones/z", { type: "Zone", name: "z" }, undefined],
      [federated, "/meshes/default/meshtimeouts/x", timeout("x", origin("zone")), zoneLabels({})],
      [federated, "/meshes/default/dataplanes/x", dataplane("x"), zoneLabels({ "kuma.io/proxy-type": "sidecar" })],
      [
        federated,
        "/zoneingresses/x",
        { type: "ZoneIngress", name: "x" },
        { "kuma.io/origin": "zone", "kuma.io/zone": "zone-a" },
      ],
      [alone, "/meshes/default/meshtimeouts/x", timeout("x"), zoneLabels({})],
      [
        alone,
        "/meshes/default/meshtimeouts/x",
        timeout("x", origin("global")),
        { "kuma.io/mesh": "default", "kuma.io/origin": "global" },
      ],
      [
        alone,
        "/meshes/default/meshmultizoneservices/x",
        { type: "MeshMultiZoneService", mesh: "default", name: "x", spec: {} },
        { "kuma.io/mesh": "default" },
      ],
    ];
    for (const [place, path, body, labels] of rows) {
      const { call } = await start(t, place);
      const { status, text } = await call("PUT", path, { body });
      assert.equal(status, 201, text);
      assert.deepEqual((await call("GET", path)).json.labels, labels, path);
    }
  });

  it("are shown as Kuma shows them", async (t) => {
    const { call } = await start(t, federated);
    await call("PUT", "/meshes/default/meshtimeouts/x", { body: timeout("x", origin("zone")) });
    const { text, type } = await call("GET", "/meshes/default/meshtimeouts/x");
    assert.equal(type, "application/json");
    const time = String(JSON.parse(text).creationTime);
    assert.match(time, /^20\d\d-\d\d-\d\dT.*Z$/);
    const members = {
      type: "MeshTimeout",
      mesh: "default",
      name: "x",
      creationTime: time,
      modificationTime: time,
      labels: {
        "kuma.io/mesh": "default",
        "kuma.io/origin": "zone",
        "kuma.io/zone": "zone-a",
        "kuma.io/env": "universal",
      },
      kri: "kri_mt_default_zone-a__x_",
      spec: timeoutSpec,
    };
    assert.deepEqual(JSON.parse(text), members);
    assert.deepEqual(Object.keys(JSON.parse(text)), Object.keys(members));
  });

  it("by a second path", async (t) => {
    const { call } = await start(t, global);
    assert.equal(
      (await call("PUT", "/global-secrets/g", { body: { type: "GlobalSecret", name: "g", data: "YQ==" } })).status,
      201,
    );
    assert.equal((await call("GET", "/globalsecrets/g")).json.data, "YQ==");
  });

  it("keep the status that a control plane wrote, and unknown members of the spec", async (t) => {
    const service = { type: "MeshService", mesh: "default", name: "web", spec: { future: [1, null] } };
    const { call, store } = await start(t, alone, {
      seeds: [{ ...seed("MeshService", "web"), status: { vips: [] } } as never],
    });
    const unknownMembers = () => ["spec.future"];
    const again = await start(t, alone, { rules: { unknownMembers } });
    assert.equal(
      (await call("PUT", "/meshes/default/meshservices/web", { body: { ...service, status: { vips: [1] } } })).status,
      200,
    );
    const { spec, status } = store.get({ kind: "MeshService", mesh: "default", name: "web" })!;
    assert.deepEqual([spec, status], [service.spec, { vips: [] }]);
    const { json } = await again.call("PUT", "/meshes/default/meshservices/web", { body: { ...service, extra: 1 } });
    assert.deepEqual(json.warnings, [
      "extra: unknown member; dropped",
      "spec.future: unknown member; kept and passed on, without effect",
    ]);
  });

  it("of a kind that nothing acts on are taken with a warning", async (t) => {
    const { call } = await start(t, global, { rules: { isActedOn: (kind) => kind.name !== "MeshTrace" } });
    const body = { type: "MeshTrace", mesh: "default", name: "x", spec: {} };
    const { status, json } = await call("PUT", "/meshes/default/meshtraces/x", { body });
    assert.equal(status, 201);
    assert.deepEqual(json, { warnings: ["MeshTrace is stored and passed on; not acted on yet"] });
    assert.equal((await call("PUT", "/meshes/default/meshtimeouts/x", { body: timeout("x") })).text, "{}\n");
  });

  it("are checked by what their kind says", async (t) => {
    const validate = () => [{ path: "spec.to[0]", message: "must be better" }];
    const { call } = await start(t, global, { rules: { validate } });
    const { json } = await call("PUT", "/meshes/default/meshtimeouts/x", { body: timeout("x") });
    assert.deepEqual(json.invalid_parameters, [{ field: "spec.to[0]", reason: "must be better" }]);
    assert.deepEqual(json.causes, [{ field: "spec.to[0]", message: "must be better" }]);
  });

  for (const [what, races, status, labels] of [
    ["are made anew where another write got in between", 1, 200, { second: "yes" }],
    ["are a conflict where others get in between again and again", 100, 409, { first: "20" }],
  ] as const)
    it(what, async (t) => {
      let count = 0;
      // Another write gets in between what this one read and what it writes.
      const validate = () => {
        const { store } = rig;
        const mine = store.get({ kind: "MeshTimeout", mesh: "default", name: "mine" })!;
        if (count++ < races)
          void store.write([{ kind: "put", resource: { ...mine, labels: { first: String(count) } } }]);
        return [];
      };
      const rig = await start(t, global, { rules: { validate } });
      const { json, ...reply } = await rig.call("PUT", "/meshes/default/meshtimeouts/mine", {
        body: timeout("mine", { labels: { second: "yes" } }),
      });
      assert.equal(reply.status, status);
      if (status === 409) assert.match(String(json.detail), /"mine" in mesh "default" has been changed meanwhile/);
      const after = (await rig.call("GET", "/meshes/default/meshtimeouts/mine")).json.labels;
      assert.deepEqual(after, status === 409 ? labels : { "kuma.io/mesh": "default", ...labels });
    });

  it("go with what they belong to", async (t) => {
    const { store, call } = await start(t, alone);
    await call("DELETE", "/meshes/default/dataplanes/dp");
    assert.equal(store.list("DataplaneInsight").length, 0);
    assert.equal((await call("DELETE", "/meshes/default")).status, 200);
    assert.deepEqual(
      [...store.all()].filter(({ mesh }) => mesh === "default"),
      [],
    );
    assert.equal(store.get({ kind: "Mesh", mesh: "", name: "default" }), undefined);
    assert.equal(store.list("Secret").length, 1);
  });

  it("405 names the place to edit", async (t) => {
    const { call } = await start(t, federated);
    const { json } = await call("DELETE", "/meshes/default");
    assert.equal(
      json.detail,
      `Mesh is written on the global control plane (this zone's connection to it: ${globalAddress}), from where this zone receives it.\n`,
    );
    assert.equal(json.details, json.detail);
  });
});

const zoneLabels = (more: JsonObject) => ({
  "kuma.io/env": "universal",
  "kuma.io/mesh": "default",
  "kuma.io/origin": "zone",
  "kuma.io/zone": "zone-a",
  ...more,
});

// Roles: what each right allows, in which mesh, for which kind; and that nobody gets more than they were given.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { mesh, seed, serve } from "#api/api.fixture.ts";
import type { Authenticate } from "#api/user.ts";
import type { JsonObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";
import { kindNamed } from "#resources/kinds.ts";

/** A token is `<name> <group>…`. It ends in 2033, with what the fixture issues, or in 2030. */
const authenticate: Authenticate = async (token) => {
  const [name = "", ...groups] = token.split(" ");
  return { ok: true, claims: { name, groups, expiresMs: Date.UTC(name === "brief" ? 2030 : 2034, 0) } };
};
const role = (name: string, spec: JsonObject) => ({ kind: "Role", mesh: "", name, labels: {}, spec });
const seeds = [
  mesh("a"),
  mesh("b"),
  ...["a", "b"].flatMap((of) => [
    seed("MeshTimeout", "t", { mesh: of, spec: {} }),
    seed("Secret", "s", { mesh: of, spec: { data: "c2VjcmV0" } }),
  ]),
  { ...seed("GlobalSecret", "g"), mesh: "" },
  { ...seed("Zone", "z"), mesh: "" },
  role("readers", { groups: ["readers"], rules: [{ rights: ["read"] }] }),
  role("of-a", { groups: ["team-a"], rules: [{ rights: ["read", "write"], meshes: ["a"] }] }),
  role("timeouts", { groups: ["timeouts"], rules: [{ rights: ["read", "write"], kinds: ["MeshTimeout"] }] }),
  role("keepers", {
    groups: ["keepers"],
    rules: [{ rights: ["secrets", "write", "dataplane-tokens"], meshes: ["a"] }],
  }),
  role("all", {
    groups: ["all"],
    rules: [{ rights: ["read", "write", "secrets", "dataplane-tokens", "zone-tokens", "user-tokens"] }],
  }),
  role("by-name", { users: ["bob", "brief"], rules: [{ rights: ["read", "user-tokens"] }] }),
  role("broken", { groups: ["team-b"], rules: [{ rights: ["everything"] }] }),
];
const timeoutIn = (of: string, name = "t") => ({ type: "MeshTimeout", mesh: of, name, spec: { to: [] } });
const secretIn = (of: string) => ({ type: "Secret", mesh: of, name: "s", data: "bmV3" });
const roleNamed = (name: string, groups: readonly string[]) => ({
  ...{ type: "Role", name },
  spec: { groups, rules: [{ rights: ["read", "write", "secrets"] }] },
});

async function start(t: TestContext) {
  const rig = await serve(t, { authenticate, seeds });
  const as = (user: string, method: string, path: string, body?: object) =>
    rig.call(method, path, { headers: { "x-forwarded-for": "203.0.113.7", authorization: `Bearer ${user}` }, body });
  return { ...rig, as };
}

type Row = readonly [user: string, method: string, path: string, status: number, body?: object];
const rows: readonly Row[] = [
  ["jane", "GET", "/meshes", 403],
  ["jane team-b", "GET", "/meshes", 403],
  ["r readers", "GET", "/meshes/a/meshtimeouts/t", 200],
  ["r readers", "GET", "/zones/z", 200],
  ["r readers", "GET", "/_links", 200],
  ["r readers", "GET", "/config", 403],
  ["r readers", "PUT", "/meshes/a/meshtimeouts/t", 403, timeoutIn("a")],
  ["r readers", "DELETE", "/meshes/a/meshtimeouts/t", 403],
  ["r readers", "POST", "/_apply", 403, [timeoutIn("a")]],
  ["r readers", "GET", "/meshes/a/secrets/s", 403],
  ["r readers", "GET", "/secrets", 403],
  ["r readers", "GET", "/globalsecrets/g", 403],
  ["r readers", "GET", "/roles", 403],
  ["r readers", "POST", "/tokens/dataplane", 403, { mesh: "a" }],
  ["a team-a", "GET", "/meshes/a", 200],
  ["a team-a", "GET", "/meshes/b", 403],
  ["a team-a", "GET", "/zones/z", 403],
  ["a team-a", "GET", "/meshes/a/dataplanes/_overview", 200],
  ["a team-a", "GET", "/meshes/b/dataplanes/_overview", 403],
  ["a team-a", "PUT", "/meshes/a/meshtimeouts/t", 200, timeoutIn("a")],
  ["a team-a", "PUT", "/meshes/b/meshtimeouts/t", 403, timeoutIn("b")],
  // Says another mesh than its path.
  ["a team-a", "PUT", "/meshes/a/meshtimeouts/t", 400, timeoutIn("b")],
  ["a team-a", "PUT", "/meshes/c", 403, { type: "Mesh", name: "c" }],
  ["a team-a", "POST", "/_apply", 200, [timeoutIn("a")]],
  ["a team-a", "POST", "/_apply", 403, [timeoutIn("a", "new"), timeoutIn("b", "new")]],
  ["a team-a", "PUT", "/meshes/a/secrets/s", 403, secretIn("a")],
  // The secrets of the mesh would go with it.
  ["a team-a", "DELETE", "/meshes/a", 403],
  ["k timeouts", "PUT", "/meshes/b/meshtimeouts/t", 200, timeoutIn("b")],
  ["k timeouts", "GET", "/meshes/b", 403],
  ["k timeouts", "POST", "/_apply", 403, [{ type: "MeshRetry", mesh: "a", name: "r", spec: {} }]],
  ["s keepers", "GET", "/meshes/a/secrets/s", 200],
  ["s keepers", "PUT", "/meshes/a/secrets/s", 200, secretIn("a")],
  ["s keepers", "GET", "/meshes/b/secrets/s", 403],
  ["s keepers", "GET", "/meshes/a/meshtimeouts/t", 403],
  ["s keepers", "GET", "/globalsecrets/g", 403],
  ["s keepers", "POST", "/tokens/dataplane", 200, { mesh: "a" }],
  ["s keepers", "POST", "/tokens/dataplane", 403, { mesh: "b" }],
  ["s keepers", "POST", "/tokens/zone", 403, { scope: ["ingress"] }],
  ["x all", "DELETE", "/meshes/b", 200],
  ["x all", "POST", "/tokens/zone", 200, { scope: ["ingress"] }],
  ["x all", "GET", "/globalsecrets/g", 403],
  ["x all", "PUT", "/globalsecrets/g", 403, { type: "GlobalSecret", name: "g", data: "bmV3" }],
  ["x all", "POST", "/_links/zone-a/accept", 403, {}],
  // Nobody raises their own rights.
  ["x all", "PUT", "/roles/all", 403, roleNamed("all", ["all"])],
  ["x all", "PUT", "/roles/mine", 403, roleNamed("mine", ["all"])],
  ["x all", "DELETE", "/roles/broken", 403],
  ["x all", "POST", "/_apply", 403, [roleNamed("mine", ["all"])]],
  ["x all", "POST", "/tokens/user", 200, { name: "x", groups: ["all"], validFor: "1h" }],
  ["x all", "POST", "/tokens/user", 200, { name: "ci", groups: ["all"], validFor: "1h" }],
  ["x all", "POST", "/tokens/user", 403, { name: "x", groups: ["mesh-system:admin"], validFor: "1h" }],
  ["x all", "POST", "/tokens/user", 403, { name: "x", groups: ["mesh-system:authenticated"], validFor: "1h" }],
  ["x all", "POST", "/tokens/user", 403, { name: "x", groups: ["all", "team-a"], validFor: "1h" }],
  ["x all", "POST", "/tokens/user", 403, { name: "bob", groups: [], validFor: "1h" }],
  ["x all", "POST", "/tokens/user", 403, { name: "mesh-system:admin", groups: [], validFor: "1h" }],
  ["bob", "POST", "/tokens/user", 200, { name: "bob", groups: [], validFor: "1h" }],
  // Longer than its own lasts.
  ["brief", "POST", "/tokens/user", 403, { name: "brief", groups: [], validFor: "1h" }],
  ["root mesh-system:admin", "PUT", "/roles/mine", 201, roleNamed("mine", ["all"])],
  ["root mesh-system:admin", "GET", "/globalsecrets/g", 200],
  [
    "root mesh-system:admin",
    "POST",
    "/tokens/user",
    200,
    { name: "bob", groups: ["mesh-system:admin"], validFor: "1h" },
  ],
];

describe("a user", () => {
  for (const [user, method, path, status, body] of rows)
    it(`${user}: ${method} ${path} ${body ? JSON.stringify(body) : ""}`, async (t) => {
      const { as, store } = await start(t);
      const { revision } = store;
      const reply = await as(user, method, path, body);
      assert.equal(reply.status, status, reply.text);
      if (status >= 400) assert.equal(store.revision, revision);
      if (status === 403) {
        const [name = "", ...groups] = user.split(" ");
        const who = `user "${[name, [...groups, "mesh-system:authenticated"].join(",")].join("/")}" cannot access `;
        const { detail } = reply.json;
        assert.ok(String(detail).startsWith(who), String(detail));
        assert.match(String(detail), /; it lacks (the rights? ".* or )?the group mesh-system:admin$/);
      }
    });

  it("sees in lists what they may read, and no more", async (t) => {
    const { as } = await start(t);
    const seen = async (user: string, path: string) => {
      const { items, total } = (await as(user, "GET", path)).json;
      assert.ok(Array.isArray(items) && items.length === total);
      return items.map(({ mesh: of, name }) => [of, name].filter(Boolean).join("/"));
    };
    assert.deepEqual(await seen("a team-a", "/meshes"), ["a"]);
    assert.deepEqual(await seen("a team-a", "/meshtimeouts"), ["a/t"]);
    assert.deepEqual(await seen("s keepers", "/secrets"), ["a/s"]);
    assert.deepEqual(await seen("r readers", "/meshes"), ["a", "b", "default"]);
    assert.deepEqual(await seen("root mesh-system:admin", "/secrets"), ["a/s", "b/s"]);
  });

  it("has the rights of a Role from the moment it is applied until it is deleted", async (t) => {
    const { as } = await start(t);
    const status = async () => (await as("new new", "GET", "/meshes")).status;
    const states = [await status()];
    await as("root mesh-system:admin", "PUT", "/roles/new", roleNamed("new", ["new"]));
    states.push(await status());
    await as("root mesh-system:admin", "DELETE", "/roles/new");
    states.push(await status());
    assert.deepEqual(states, [403, 200, 403]);
  });
});

describe("without local administrators", () => {
  it("a process of this machine is who its token says", async (t) => {
    const { call } = await serve(t, { authenticate, hasLocalAdmin: false });
    assert.equal((await call("GET", "/meshes")).status, 403);
    const headers = { authorization: "Bearer root mesh-system:admin" };
    assert.equal((await call("GET", "/meshes", { headers })).status, 200);
  });
});

describe("a Role that does not fit is refused, and says where", () => {
  const rule = { rights: ["read"] };
  const wrong: readonly [JsonObject, string][] = [
    [{}, "spec.rules: is required"],
    [{ rules: [rule] }, "spec: must say whose it is: groups, users or both"],
    [{ groups: ["g"], rules: [] }, "spec.rules: must have 1 item or more"],
    [{ groups: ["g"], rules: [{ rights: ["all"] }] }, "spec.rules[0].rights[0]: must be one of read, write, secrets"],
    [{ groups: ["g"], rules: [{ ...rule, mesh: "a" }] }, 'spec.rules[0]: Unrecognized key: "mesh"'],
    [
      { groups: ["g"], rules: [{ ...rule, kinds: ["MeshTimeuot"] }] },
      'spec.rules[0].kinds[0]: there is no kind "MeshTimeuot"; did you mean',
    ],
    [
      { groups: ["g"], rules: [{ ...rule, kinds: ["Role"] }] },
      "spec.rules[0].kinds[0]: Role is the administrators' alone",
    ],
    [{ groups: ["g"], rules: [{ ...rule, kinds: ["GlobalSecret"] }] }, "spec.rules[0].kinds[0]: GlobalSecret is the"],
    [
      { groups: ["g"], rules: [{ rights: ["secrets"], kinds: ["Secret"] }] },
      "spec.rules[0].kinds: says nothing of the right secrets",
    ],
    [
      { groups: ["g"], rules: [{ rights: ["user-tokens"], meshes: ["a"] }] },
      "spec.rules[0].meshes: says nothing of the right user-",
    ],
  ];
  for (const [spec, says] of wrong)
    it(says, () => {
      const resource = { ...role("r", spec), creationTime: "", modificationTime: "" };
      const [issue] = validateResource(kindNamed("Role"), resource);
      assert.ok(`${issue?.path}: ${issue?.message}`.startsWith(says), `${issue?.path}: ${issue?.message}`);
    });
});

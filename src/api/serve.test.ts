// The ports and the dialect: who is let in where, what the router refuses, the lists of kinds.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serve } from "#api/api.fixture.ts";
import type { Authenticate } from "#api/user.ts";
import policies from "../../test/recorded/api/policies-global.json" with { type: "json" };
import resources from "../../test/recorded/api/resources-global.json" with { type: "json" };

const authenticate: Authenticate = async (token) => {
  if (token === "jane") return { ok: true, claims: { name: "jane", groups: ["team-a"] } };
  if (token === "root") return { ok: true, claims: { name: "root", groups: ["mesh-system:admin"] } };
  return { ok: false, reason: "signature is invalid" };
};
const forwarded = { "x-forwarded-for": "203.0.113.7" };
const admin = { name: "mesh-system:admin", groups: ["mesh-system:admin", "mesh-system:authenticated"] };
const anonymous = { name: "mesh-system:anonymous", groups: ["mesh-system:unauthenticated"] };
const jane = { name: "jane", groups: ["team-a", "mesh-system:authenticated"] };

describe("who asks on the plain port", () => {
  const rows: readonly [string, Record<string, string>, object | number][] = [
    ["a local process", {}, admin],
    ["by the name localhost", { host: "localhost:5681" }, admin],
    ["by IPv6 loopback", { host: "[::1]:5681" }, admin],
    [
      "a page of the same origin",
      { host: "localhost:5681", "sec-fetch-site": "same-origin", origin: "http://localhost:5681" },
      admin,
    ],
    ["through a proxy: X-Forwarded-For", forwarded, anonymous],
    ["through a proxy: Forwarded", { forwarded: "for=203.0.113.7" }, anonymous],
    ["through a proxy: X-Real-IP", { "x-real-ip": "203.0.113.7" }, anonymous],
    ["by a foreign name (DNS rebinding)", { host: "cp.example:5681" }, anonymous],
    ["a page of another site", { "sec-fetch-site": "cross-site" }, anonymous],
    ["a page of another port", { host: "127.0.0.1:5681", origin: "http://127.0.0.1:9" }, anonymous],
    ["a page of another origin", { origin: "http://evil.example" }, anonymous],
    ["a page without an origin", { origin: "null" }, anonymous],
    ["a local process with somebody's token", { authorization: "Bearer jane" }, admin],
    ["a local process with a bad token", { authorization: "Bearer x" }, admin],
    ["a token through a proxy", { ...forwarded, authorization: "Bearer jane" }, jane],
    ["a bad token through a proxy", { ...forwarded, authorization: "Bearer x" }, 401],
    ["another scheme", { ...forwarded, authorization: "Basic YTpi" }, anonymous],
  ];
  for (const [who, headers, expected] of rows)
    it(who, async (t) => {
      const { call } = await serve(t, { authenticate });
      const { status, json } = await call("GET", "/who-am-i", { headers });
      if (typeof expected === "number") assert.equal(status, expected);
      else assert.deepEqual(json, expected);
    });
});

describe("access", () => {
  it("is the administrator's, but for the index and what kinds there are", async (t) => {
    const { call } = await serve(t, { authenticate });
    const paths = ["/meshes", "/secrets", "/dataplanes/_overview", "/config", "/zones/z", "/roles", "/_links"];
    for (const path of paths) {
      assert.equal((await call("GET", path, { headers: forwarded })).status, 403, path);
      assert.equal((await call("GET", path, { headers: { ...forwarded, authorization: "Bearer jane" } })).status, 403);
      assert.notEqual(
        (await call("GET", path, { headers: { ...forwarded, authorization: "Bearer root" } })).status,
        403,
      );
    }
    for (const path of ["/policies", "/_resources"]) {
      assert.equal((await call("GET", path, { headers: forwarded })).status, 403, path);
      assert.equal((await call("GET", path, { headers: { ...forwarded, authorization: "Bearer jane" } })).status, 200);
    }
    // `//` alone is no URL, but a path.
    for (const path of ["/", "//"]) {
      const { status } = await call("GET", path, { headers: { ...forwarded, authorization: "Bearer x" } });
      assert.equal(status, 200, path);
    }
  });

  it("is refused in words", async (t) => {
    const { call } = await serve(t, { authenticate });
    const { text } = await call("GET", "/meshes/default/secrets", { headers: forwarded });
    const detail =
      'user "mesh-system:anonymous/mesh-system:unauthenticated" cannot access the resource of type "Secret" in mesh "default"; send a user token with the right "secrets" for kind Secret in mesh "default" (a Role gives it) or the group mesh-system:admin';
    const members = { type: "/std-errors", status: 403, title: "Access Denied", detail, details: detail };
    assert.equal(text, `${JSON.stringify(members, undefined, 1)}\n`);
    const token = await call("POST", "/tokens/zone", {
      headers: { ...forwarded, authorization: "Bearer jane" },
      body: {},
    });
    assert.match(
      String(token.json.detail),
      /"jane\/team-a,mesh-system:authenticated" cannot access generate zone token; it lacks the right "zone-tokens" \(a Role gives it\) or the group/,
    );
  });
});

describe("what the router refuses", () => {
  const rows: readonly [
    string,
    string,
    string,
    { headers?: Record<string, string>; body?: unknown },
    string,
    string?,
  ][] = [
    ["an unknown path", "GET", "/nothing", {}, "404: Page Not Found"],
    ["an unknown plural", "GET", "/meshes/default/nothing", {}, "404: Page Not Found"],
    ["a mesh's resource without the mesh", "GET", "/meshtimeouts/x", {}, "404: Page Not Found"],
    ["a kind without a path", "GET", "/configs", {}, "404: Page Not Found"],
    [
      "POST to a resource",
      "POST",
      "/meshes/default/meshtimeouts/x",
      { body: {} },
      "405: Method Not Allowed",
      "DELETE, GET, PUT",
    ],
    ["OPTIONS", "OPTIONS", "/meshes/default/meshtimeouts/x", {}, "405: Method Not Allowed", "DELETE, GET, PUT"],
    ["PUT to a list", "PUT", "/meshes/default/meshtimeouts", { body: {} }, "405: Method Not Allowed", "GET"],
    ["GET of a token", "GET", "/tokens/dataplane", {}, "405: Method Not Allowed", "POST"],
    [
      "YAML",
      "PUT",
      "/meshes/x",
      { headers: { "content-type": "application/yaml" }, body: "type: Mesh" },
      "415: Unsupported Media Type",
    ],
    ["a body without a type", "PUT", "/meshes/x", {}, "415: Unsupported Media Type"],
    [
      "another answer than JSON",
      "GET",
      "/meshes",
      { headers: { accept: "text/html" } },
      "406: Not Acceptable\n\nAvailable representations: application/json",
    ],
    ["too long a body", "PUT", "/meshes/x", { body: `"${"x".repeat(16 * 1024 * 1024)}"` }, "413: Payload Too Large"],
  ];
  for (const [what, method, path, request, text, allow] of rows)
    it(what, async (t) => {
      const { call } = await serve(t);
      const reply = await call(method, path, request);
      assert.deepEqual(
        [reply.status, reply.type, reply.text, reply.allow],
        [Number(text.slice(0, 3)), "text/plain; charset=utf-8", text, allow],
      );
    });

  it("HEAD, without a body", async (t) => {
    const { call } = await serve(t);
    assert.equal((await call("HEAD", "/meshes/default")).status, 405);
  });

  it("but not a trailing slash, parameters of the media type, or a browser's accept", async (t) => {
    const { call } = await serve(t);
    assert.equal((await call("GET", "/meshes/default/")).status, 200);
    const headers = { "content-type": "application/json; charset=utf-8" };
    assert.equal((await call("PUT", "/meshes/x", { headers, body: { type: "Mesh", name: "x" } })).status, 201);
    assert.equal((await call("GET", "/meshes", { headers: { accept: "text/html,*/*;q=0.8" } })).status, 200);
  });
});

describe("what the API says of itself", () => {
  it("is what kumactl needs", async (t) => {
    const { call } = await serve(t);
    const { json } = await call("GET", "/");
    assert.deepEqual(Object.keys(json), ["clusterId", "gui", "hostname", "instanceId", "kodiak", "product", "version"]);
    assert.equal(json.product, "Kuma");
  });

  it("lists all kinds and policies like Kuma's global control plane", async (t) => {
    const { call } = await serve(t);
    assert.equal((await call("GET", "/_resources")).text, `${JSON.stringify(resources, undefined, 1)}\n`);
    assert.equal((await call("GET", "/policies")).text, `${JSON.stringify(policies, undefined, 1)}\n`);
  });

  it("says what a federated zone may not write", async (t) => {
    const { call } = await serve(t, { rules: { place: { kind: "zone", zone: "z", isFederated: true } } });
    const { policies } = (await call("GET", "/policies")).json;
    assert.ok(Array.isArray(policies));
    assert.equal(policies.filter(({ readOnly }) => readOnly).length, 13);
  });

  it("shows its settings, compact", async (t) => {
    const { call } = await serve(t, { config: { token: "*****", port: 1 } });
    assert.equal((await call("GET", "/config")).text, '{"token":"*****","port":1}\n');
  });
});

describe("ports", () => {
  it("name the address that is in use, and are all closed", async (t) => {
    const { httpPort } = await serve(t);
    await assert.rejects(
      serve(t, { http: { host: "127.0.0.1", port: httpPort } }),
      new RegExp(
        `^KodiakError: the API's address 127.0.0.1:${httpPort} is in use; stop what listens there or give another port with --api-port$`,
      ),
    );
  });

  it("serve plain HTTP on loopback only", async (t) => {
    await assert.rejects(serve(t, { http: { host: "0.0.0.0", port: 0 } }), /0\.0\.0\.0 is not a loopback address/);
  });
});

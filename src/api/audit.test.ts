// The audit log through the API: each change, with who, from where and the difference, before it is made; each refusal; no secret.

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { serve } from "#api/api.fixture.ts";
import type { Authenticate } from "#api/user.ts";
import { openAuditLog } from "#host/audit-log.ts";
import type { Log } from "#host/log.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Links } from "#resources/links.ts";

const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => quiet };
const authenticate: Authenticate = async (token) =>
  token === "root"
    ? { ok: true, claims: { name: "root", groups: ["mesh-system:admin"], tokenId: "id-of-token" } }
    : { ok: false, reason: "token signature is invalid" };
const byRoot = { "x-forwarded-for": "203.0.113.7", authorization: "Bearer root" };
const forwarded = { "x-forwarded-for": "203.0.113.7" };

async function audited(t: TestContext, more: { maxBytes?: number; links?: Links } = {}) {
  const { maxBytes = 1e9, ...options } = more;
  const folder = mkdtempSync(join(tmpdir(), "kodiak-audit-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const audit = await openAuditLog({
    folder,
    maxBytes,
    keep: 2,
    clock: { now: () => Date.UTC(2026, 0, 2) },
    log: quiet,
  });
  t.after(() => audit.close());
  const rig = await serve(t, { authenticate, audit, log: quiet, ...options });
  const lines = (name: string): readonly JsonObject[] =>
    readFileSync(join(folder, name), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  return { ...rig, folder, changed: () => lines("audit.log"), refused: () => lines("audit-refused.log") };
}

const timeout = (seconds: number, more: object = {}) => ({
  ...{ type: "MeshTimeout", mesh: "default", name: "t", ...more },
  spec: { to: [{ targetRef: { kind: "Mesh" }, default: { http: { requestTimeout: `${seconds}s` } } }] },
});
const path = "/meshes/default/meshtimeouts/t";
/** What is not another each time. */
const said = ({ time, from, request, ...rest }: JsonObject): JsonObject => {
  assert.equal(time, "2026-01-02T00:00:00.000Z");
  assert.match(String(from), /^127\.0\.0\.1:\d+$/);
  assert.match(String(request), /^[\da-f-]{36}$/);
  return rest;
};
const who = { name: "root", groups: ["mesh-system:admin", "mesh-system:authenticated"], token: "id-of-token" };
const local = { name: "mesh-system:admin", groups: ["mesh-system:admin", "mesh-system:authenticated"] };

describe("what is changed", () => {
  it("is told with who and the difference; what changes nothing is not told", async (t) => {
    const { call, changed, refused } = await audited(t);
    await call("PUT", path, { headers: byRoot, body: timeout(1) });
    await call("PUT", path, { body: timeout(2, { labels: { team: "a" } }) });
    await call("PUT", path, { body: timeout(2, { labels: { team: "a" } }) });
    await call("DELETE", path);
    const what = { kind: "MeshTimeout", mesh: "default", name: "t" };
    const labels = { "kuma.io/mesh": "default" };
    const at = "spec.to[0].default.http.requestTimeout";
    assert.deepEqual(changed().map(said), [
      {
        ...{ outcome: "accepted", who, verb: "create", what },
        changes: [
          { path: "labels", after: labels },
          { path: "spec", after: timeout(1).spec },
        ],
      },
      {
        ...{ outcome: "accepted", who: local, verb: "update", what },
        changes: [
          { path: "labels.team", after: "a" },
          { path: at, before: "1s", after: "2s" },
        ],
      },
      {
        ...{ outcome: "accepted", who: local, verb: "delete", what },
        changes: [
          { path: "labels", before: { ...labels, team: "a" } },
          { path: "spec", before: timeout(2).spec },
        ],
      },
    ]);
    assert.deepEqual(refused(), []);
  });

  it("by one request has the same request in each line", async (t) => {
    const { call, changed } = await audited(t);
    await call("POST", "/_apply", { body: [timeout(1), timeout(1, { name: "u" }), { type: "Mesh", name: "m" }] });
    await call("DELETE", "/meshes/default");
    const requests = new Map<unknown, string[]>();
    for (const { request, verb, what } of changed())
      requests.set(request, [...(requests.get(request) ?? []), `${verb} ${(what as JsonObject).name}`]);
    assert.deepEqual(
      [...requests.values()],
      [
        ["create t", "create u", "create m"],
        ["delete default", "delete t", "delete u"],
      ],
    );
  });

  it("is told without what is secret", async (t) => {
    const { call, folder, changed } = await audited(t);
    const secret = (text: string) => ({
      ...{ type: "Secret", mesh: "default", name: "s", data: Buffer.from(text).toString("base64") },
    });
    for (const text of ["hunter2-a", "hunter2-b"])
      await call("PUT", "/meshes/default/secrets/s", { body: secret(text) });
    const inline = Buffer.from("hunter2-c").toString("base64");
    const backend = { name: "p", type: "vault", conf: { cert: { inline }, key: { inlineString: "hunter2-d" } } };
    const body = { type: "Mesh", name: "m", mtls: { enabledBackend: "p", backends: [backend] } };
    const { status } = await call("PUT", "/meshes/m", { body });
    assert.equal(status, 201);
    const token = await call("POST", "/tokens/dataplane", { body: { mesh: "default", name: "web-1", validFor: "1h" } });
    assert.equal(token.status, 200);
    const text = readFileSync(join(folder, "audit.log"), "utf8");
    for (const word of [
      "hunter2",
      token.text,
      ...["a", "b", "c"].map((letter) => Buffer.from(`hunter2-${letter}`).toString("base64")),
    ])
      assert.ok(!text.includes(String(word)), String(word));
    const [, updated, mesh, issued] = changed().map(said);
    assert.deepEqual(updated?.changes, [{ path: "data", before: "*****", after: "*****" }]);
    assert.match(JSON.stringify(mesh?.changes), /"cert":\{"inline":"\*{5}"\},"key":\{"inlineString":"\*{5}"\}/);
    const { verb, what } = issued ?? {};
    const stated = { token: "dataplane", id: "some-id", expires: "2033-05-18T03:33:20.000Z" };
    assert.deepEqual([verb, what], ["issue", { ...stated, name: "web-1", mesh: "default" }]);
  });

  it("is told before it is made, and what then fails has a second line", async (t) => {
    const refuse = { list: () => [], accept: () => Promise.reject(new Error("disk on fire")) };
    const { call, changed, store } = await audited(t, { links: refuse });
    assert.equal((await call("POST", "/_links/zone-a/accept", { body: {} })).status, 500);
    assert.deepEqual(changed().map(said), [
      { outcome: "accepted", who: local, verb: "accept", what: { link: "zone-a" } },
      { outcome: "failed", who: local, verb: "accept", what: { link: "zone-a" }, why: "disk on fire" },
    ]);
    await store.close();
    assert.equal((await call("PUT", path, { body: timeout(1) })).status, 503);
    const [, , accepted, failed] = changed();
    assert.deepEqual([accepted?.outcome, failed?.outcome, failed?.why], ["accepted", "failed", "the store is closed"]);
    assert.equal(failed?.request, accepted?.request);
  });

  it("is not changed if it can't be told", async (t) => {
    const { call, store, folder, changed } = await audited(t, { maxBytes: 1 });
    assert.equal((await call("PUT", path, { body: timeout(1) })).status, 201);
    mkdirSync(join(folder, "audit.log.1", "in the way"), { recursive: true });
    mkdirSync(join(folder, "audit.log.2", "in the way"), { recursive: true });
    const { revision } = store;
    for (const [method, at, body] of [
      ["PUT", path, timeout(2)],
      ["DELETE", path, undefined],
      ["POST", "/_apply", [timeout(3)]],
      ["POST", "/tokens/user", { name: "jane", validFor: "1h" }],
    ] as const) {
      const { status, json } = await call(method, at, { body });
      assert.equal(status, 503, at);
      assert.match(String(json.detail), /^the audit log .*audit\.log can't be written \(.*\), so nothing is changed$/);
    }
    assert.equal(store.revision, revision);
    rmSync(join(folder, "audit.log.1"), { recursive: true });
    assert.equal((await call("PUT", path, { body: timeout(2) })).status, 200);
    assert.equal(changed().length, 1);
  });
});

describe("what is refused", () => {
  it("is told in a file of its own, with why", async (t) => {
    const { call, changed, refused } = await audited(t);
    const rows: readonly [string, string, { headers?: Record<string, string>; body?: unknown }, number, RegExp][] = [
      ["PUT", path, { headers: forwarded, body: timeout(1) }, 403, /cannot access the resource of type "MeshTimeout"/],
      [
        "PUT",
        path,
        { headers: { ...byRoot, authorization: "Bearer x" }, body: timeout(1) },
        401,
        /signature is invalid/,
      ],
      ["GET", "/meshes/default/secrets/s", { headers: forwarded }, 403, /cannot access the resource of type "Secret"/],
      ["PUT", path, { headers: byRoot, body: timeout(1, { name: "other" }) }, 400, /is not valid/],
      ["POST", "/_apply", { headers: byRoot, body: [{ type: "Nothing" }] }, 400, /nothing was applied/],
      ["DELETE", path, { headers: byRoot }, 404, /Not found/],
      ["GET", "/nothing", { headers: byRoot }, 404, /Page Not Found/],
      ["PATCH", path, { headers: byRoot }, 405, /Method Not Allowed/],
    ];
    for (const [method, at, request, status] of rows)
      assert.equal((await call(method, at, request)).status, status, at);
    const told = refused().map(said);
    assert.equal(told.length, rows.length);
    for (const [i, [verb, at, { headers }, status, why]] of rows.entries()) {
      const by = headers === byRoot ? who : { name: "mesh-system:anonymous", groups: ["mesh-system:unauthenticated"] };
      const { why: reason, ...line } = told[i] ?? {};
      assert.deepEqual(line, { outcome: "refused", who: by, verb, what: { path: at }, status });
      assert.match(String(reason), why);
    }
    assert.deepEqual(changed(), []);
  });

  it("pushes out nothing of what was changed", async (t) => {
    const { call, changed, refused } = await audited(t, { maxBytes: 2000 });
    await call("PUT", path, { body: timeout(1) });
    for (let i = 0; i < 50; i++) await call("GET", `/meshes/${"x".repeat(100)}`, { headers: forwarded });
    assert.equal(changed().length, 1);
    assert.ok(refused().length < 10);
  });
});

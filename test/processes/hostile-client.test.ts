// A hostile client of the HTTP API, against a real control plane: each attempt is refused, changes nothing, and leaves a line
// in the audit log. Attempts are listed in docs/security.md.

import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { eventually, put } from "../lab/lab.ts";
import { dataplaneToken, processes, startGlobal, tokenOf } from "./processes.ts";

const base64 = (value: string | object): string =>
  Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const root = { Name: "mesh-system:admin", Groups: ["mesh-system:admin"], jti: randomUUID() };
const unsigned = (header: object, claims: object = root): string => `${base64(header)}.${base64(claims)}`;
const timeout = (mesh: string, name = "x") => ({ type: "MeshTimeout", mesh, name, spec: { to: [] } });

test("a hostile client of the API", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  const rules = [{ rights: ["read", "write", "user-tokens"] }];
  const inA = [{ rights: ["read", "write"], meshes: ["a"] }];
  await put(global.api, "/meshes/a", { type: "Mesh", name: "a" });
  await put(global.api, "/meshes/b", { type: "Mesh", name: "b" });
  await put(global.api, "/roles/writers", { type: "Role", name: "writers", spec: { groups: ["writers"], rules } });
  await put(global.api, "/roles/team-a", { type: "Role", name: "team-a", spec: { groups: ["team-a"], rules: inA } });
  const [writer, ofA, revoked, brief, ofProxy] = await Promise.all([
    tokenOf(global, "user", { name: "mallory", groups: ["writers"] }),
    tokenOf(global, "user", { name: "mallory", groups: ["team-a"] }),
    tokenOf(global, "user", { name: "mallory", groups: ["mesh-system:admin"] }),
    tokenOf(global, "user", { name: "mallory", groups: ["mesh-system:admin"], validFor: "1s" }),
    dataplaneToken(global, "a"),
  ]);
  const idOf = (token: string): string =>
    JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).jti;
  await put(global.api, "/globalsecrets/user-token-revocations", {
    ...{ type: "GlobalSecret", name: "user-token-revocations" },
    data: Buffer.from(idOf(revoked)).toString("base64"),
  });

  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { signToken } = await import("#identity/jwt.ts");
  const issuance = { now: Date.now(), validForMs: 3_600_000, tokenId: randomUUID() };
  const byOther = (kid: string) => signToken({ Name: root.Name, Groups: root.Groups }, { kid, privateKey }, issuance);
  const asHmac = unsigned({ alg: "HS256", kid: "1", typ: "JWT" });
  const spki = publicKey.export({ type: "pkcs1", format: "pem" });
  const [head = "", , signature = ""] = writer.split(".");
  const tokens: Readonly<Record<string, string>> = {
    "signed by another key": await byOther("1"),
    "of a key that does not exist": await byOther("99"),
    "alg none": `${unsigned({ alg: "none", kid: "1" })}.`,
    "alg None, signed by nobody": `${unsigned({ alg: "None", kid: "1" })}.AAAA`,
    "alg HS256 with a public key": `${asHmac}.${createHmac("sha256", spki).update(asHmac).digest("base64url")}`,
    "kid that walks the file system": await byOther("../../../../dev/null"),
    "kid that is another Secret": await byOther("1/../../zone-token-signing-key-1"),
    "kid that is no text": `${unsigned({ alg: "RS256", kid: 1 })}.${signature}`,
    "no kid": `${unsigned({ alg: "RS256" })}.${signature}`,
    "a key of its own in the header": `${unsigned({ alg: "RS256", kid: "1", jwk: publicKey.export({ format: "jwk" }) })}.${signature}`,
    "other claims under a good signature": `${head}.${base64(root)}.${signature}`,
    expired: brief,
    revoked: revoked,
    "of a proxy": ofProxy,
    "no token at all": "x".repeat(10_000),
  };

  interface Attempt {
    readonly what: string;
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly token?: string;
    readonly body?: unknown;
    readonly over?: "http";
    readonly status: number;
  }
  const list = "/meshes";
  const inB = "/meshes/b/meshtimeouts/x";
  const attempts: readonly Attempt[] = [
    ...Object.entries(tokens).map(([what, token]) => ({ what: `token: ${what}`, token, status: 401 })),
    { what: "no token over TLS from this machine", status: 403 },
    { what: "rebinding DNS: another Host", over: "http", headers: { host: "evil.example:5681" }, status: 403 },
    { what: "a page of another site", over: "http", headers: { origin: "http://evil.example" }, status: 403 },
    {
      what: "a page of another site, without an origin",
      over: "http",
      headers: { "sec-fetch-site": "cross-site" },
      status: 403,
    },
    { what: "through a proxy", over: "http", headers: { "x-forwarded-for": "127.0.0.1" }, status: 403 },
    {
      what: "says over TLS that it is local",
      headers: { "x-forwarded-for": "127.0.0.1", "x-real-ip": "::1", host: "localhost" },
      status: 403,
    },
    { what: "reads secrets without the right", token: writer, path: "/meshes/a/secrets", status: 403 },
    { what: "reads a signing key", token: writer, path: "/globalsecrets/user-token-signing-key-1", status: 403 },
    { what: "reads the administrator's token", token: writer, path: "/global-secrets/admin-user-token", status: 403 },
    {
      what: "replaces a signing key",
      token: writer,
      method: "PUT",
      path: "/globalsecrets/user-token-signing-key-2",
      body: { type: "GlobalSecret", name: "user-token-signing-key-2", data: "" },
      status: 403,
    },
    { what: "writes another mesh", token: ofA, method: "PUT", path: inB, body: timeout("b"), status: 403 },
    {
      what: "says another mesh than its path",
      token: ofA,
      method: "PUT",
      path: "/meshes/a/meshtimeouts/x",
      body: timeout("b"),
      status: 400,
    },
    {
      what: "another mesh among its own",
      token: ofA,
      method: "POST",
      path: "/_apply",
      body: [timeout("a"), timeout("b")],
      status: 403,
    },
    {
      what: "walks to another mesh",
      token: ofA,
      method: "PUT",
      path: "/meshes/a/../b/meshtimeouts/x",
      body: timeout("b"),
      status: 404,
    },
    {
      what: "walks to another mesh, encoded",
      token: ofA,
      method: "PUT",
      path: "/meshes/a%2f..%2fb/meshtimeouts/x",
      body: timeout("b"),
      status: 403,
    },
    { what: "a mesh called ..", token: ofA, path: "/meshes/..", status: 403 },
    { what: "twice a slash", token: ofA, path: "//meshes//b", status: 404 },
    { what: "an address instead of a path", token: ofA, path: "http://localhost/meshes/b", status: 403 },
    { what: "a path in other letters", token: ofA, path: "/MESHES/b", status: 404 },
    {
      what: "raises its role",
      token: writer,
      method: "PUT",
      path: "/roles/writers",
      body: { type: "Role", name: "writers", spec: { groups: ["writers"], rules: [{ rights: ["secrets"] }] } },
      status: 403,
    },
    {
      what: "raises its role by apply",
      token: writer,
      method: "POST",
      path: "/_apply",
      body: [{ type: "Role", name: "mine", spec: { users: ["mallory"], rules } }],
      status: 403,
    },
    {
      what: "a token of more groups",
      token: writer,
      method: "POST",
      path: "/tokens/user",
      body: { name: "mallory", groups: ["mesh-system:admin"], validFor: "1h" },
      status: 403,
    },
    {
      what: "a token that outlives its own",
      token: writer,
      method: "POST",
      path: "/tokens/user",
      body: { name: "mallory", groups: ["writers"], validFor: "100h" },
      status: 403,
    },
    {
      what: "a token for a proxy",
      token: writer,
      method: "POST",
      path: "/tokens/dataplane",
      body: { mesh: "a", validFor: "1h" },
      status: 403,
    },
    {
      what: "accepts what a link holds back",
      token: writer,
      method: "POST",
      path: "/_links/zone-a/accept",
      body: {},
      status: 403,
    },
    { what: "the settings", token: writer, path: "/config", status: 403 },
    { what: "17 MiB", token: writer, method: "PUT", path: inB, body: "x".repeat(17 * 1024 * 1024), status: 413 },
    {
      what: "another method by a header",
      token: ofA,
      method: "POST",
      path: inB,
      headers: { "x-http-method-override": "PUT" },
      body: timeout("b"),
      status: 405,
    },
    {
      what: "a prototype",
      token: writer,
      method: "PUT",
      path: "/meshes/a/meshtimeouts/x",
      body: '{"__proto__":{"type":"MeshTimeout"},"type":"Mesh","name":"x"}',
      status: 400,
    },
  ];

  const send = ({ method = "GET", path = list, headers, token, body, over }: Attempt): Promise<number> =>
    new Promise((resolve, reject) => {
      const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
      const options = {
        ...{ host: "127.0.0.1", method, path, agent: false, rejectUnauthorized: false },
        port: Number(over ? global.ready.apiPort : global.ready.apiHttpsPort),
        headers: {
          ...(text !== undefined && { "content-type": "application/json" }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...headers,
        },
      };
      const sent = (over ? requestPlain : requestTls)(options, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on("error", reject);
      sent.end(text);
    });
  const lines = (file: string): readonly JsonObject[] =>
    readFileSync(join(global.data, file), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  const stored = async (): Promise<string> =>
    JSON.stringify(
      await Promise.all(
        ["/meshes", "/meshtimeouts", "/roles", "/globalsecrets", "/secrets"].map(async (path) =>
          (await fetch(`${global.api}${path}?size=1000`)).text(),
        ),
      ),
    );

  await eventually("the brief token's end", 5_000, async () =>
    assert.equal(await send({ what: "", token: brief, status: 401 }), 401),
  );
  await eventually("the keys of the meshes", 10_000, async () =>
    assert.match(await stored(), /dataplane-token-signing-key-b-1/),
  );
  const before = await stored();
  const changes = lines("audit.log").length;
  for (const attempt of attempts)
    await t.test(attempt.what, async () => {
      const known = lines("audit-refused.log").length;
      assert.equal(await send(attempt), attempt.status);
      const [line, ...more] = lines("audit-refused.log").slice(known);
      assert.deepEqual(more, []);
      assert.equal(line?.status, attempt.status);
      assert.match(String(line?.from), /^127\.0\.0\.1:\d+$/);
      assert.ok(String(line?.why).length > 0);
    });

  for (const [what, bytes] of [
    ["what is no HTTP", "\u0016\u0003\u0001\u0002 hello\r\n\r\n"],
    [
      "two lengths of a body",
      "PUT /meshes/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    ],
    [
      "a length and pieces",
      "PUT /meshes/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["headers without end", `GET /meshes HTTP/1.1\r\nHost: localhost\r\nX: ${"x".repeat(100_000)}\r\n\r\n`],
  ] as const)
    await t.test(`bytes: ${what}`, async () => {
      const known = lines("audit-refused.log").length;
      const socket = connect({ host: "127.0.0.1", port: Number(global.ready.apiPort) });
      socket.write(bytes);
      const [first] = await once(socket, "data");
      assert.match(String(first), /^HTTP\/1\.1 4(00|31) /);
      socket.destroy();
      await eventually("its line", 5_000, async () => assert.equal(lines("audit-refused.log").length, known + 1));
    });

  await t.test("nothing is changed by any of it, and nothing secret is in the logs", async () => {
    assert.equal(await stored(), before);
    assert.equal(lines("audit.log").length, changes);
    for (const file of ["audit.log", "audit-refused.log"]) {
      const text = readFileSync(join(global.data, file), "utf8");
      for (const token of [writer, ofA, revoked, brief, ofProxy]) assert.ok(!text.includes(token.split(".")[2] ?? ""));
    }
  });

  await t.test("the administrator's token is in a file of its owner, and works from elsewhere", async () => {
    const file = join(global.data, "admin-user-token");
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const api = `https://127.0.0.1:${global.ready.apiHttpsPort}`;
    const out = await of.done("get", "roles", "--api", api, "--token-file", file, ...global.trust);
    assert.match(out, /^NAME +ZONE +AGE\nteam-a .*\nwriters /);
  });
});

// The API over TLS: three ways to trust it, a token to say who asks, and what is said when it can't be reached.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { folder, kodiak, served } from "#cli/cli.fixture.ts";
import { loadOrCreateServerCertificate } from "#identity/server-certificate.ts";

const authenticate = async (token: string) =>
  token === "root"
    ? ({ ok: true, claims: { name: "root", groups: ["mesh-system:admin"] } } as const)
    : token === "jane"
      ? ({ ok: true, claims: { name: "jane", groups: [] } } as const)
      : ({ ok: false, reason: "token signature is invalid" } as const);

async function overTls(t: TestContext) {
  const { path, file } = folder(t);
  const own = await loadOrCreateServerCertificate(`${path}/cp`, ["127.0.0.1"], Date.now());
  const other = await loadOrCreateServerCertificate(`${path}/other`, ["127.0.0.1"], Date.now());
  const { httpsPort } = await served(t, { authenticate, https: { host: "127.0.0.1", port: 0, ...own } });
  const api = `https://127.0.0.1:${httpsPort}`;
  const run = (...args: string[]) => kodiak(["get", "meshes", ...args], { env: { KODIAK_API: api } });
  return { own, other, api, run, file };
}

describe("over TLS", () => {
  it("is asked once its certificate is checked", async (t) => {
    const { own, file, run } = await overTls(t);
    const token = ["--token-file", file("token", "root\n")];
    for (const trust of [
      ["--ca-cert-file", own.certificateFile],
      ["--ca-fingerprint", own.fingerprint],
      ["--tls-skip-verify"],
    ]) {
      const { code, out, err } = await run(...trust, ...token);
      assert.deepEqual([code, err], [0, ""], trust.join(" "));
      assert.match(out, /^NAME +MTLS +AGE\ndefault /);
    }
  });

  it("is not asked if it is another", async (t) => {
    const { own, other, api, run } = await overTls(t);
    const at = api.replace("https://", "");
    const byCa = await run("--ca-cert-file", other.certificateFile, "--token", "root");
    assert.equal(byCa.code, 1);
    assert.equal(
      byCa.err,
      `error: cannot reach ${api}: the certificate of ${at} is not signed by the given CA; give the CA file of this server, or its fingerprint if it printed ${own.fingerprint} when it started\n`,
    );
    const byFingerprint = await run("--ca-fingerprint", other.fingerprint, "--token", "root");
    assert.equal(
      byFingerprint.err,
      `error: cannot reach ${api}: the certificate of ${at} has fingerprint ${own.fingerprint}, expected ${other.fingerprint}; give the one that this server printed when it started, or correct the address\n`,
    );
  });

  it("answers to administrators only", async (t) => {
    const { api, run } = await overTls(t);
    const rows: readonly [readonly string[], string][] = [
      [
        [],
        'user "mesh-system:anonymous/mesh-system:unauthenticated" cannot access the resource of type "Mesh" in any mesh; send a user token with the right "read" for kind Mesh in any mesh (a Role gives it) or the group mesh-system:admin',
      ],
      [
        ["--token", "jane"],
        'user "jane/mesh-system:authenticated" cannot access the resource of type "Mesh" in any mesh; it lacks the right "read" for kind Mesh in any mesh (a Role gives it) or the group mesh-system:admin',
      ],
      [
        ["--token", "hunter2"],
        `${api} does not accept the token: Unauthenticated: token signature is invalid; give another one with --token`,
      ],
    ];
    for (const [args, message] of rows)
      assert.deepEqual(await run("--tls-skip-verify", ...args), { code: 1, out: "", err: `error: ${message}\n` });
  });
});

describe("a control plane that", () => {
  it("is not there", async () => {
    const err =
      "error: cannot reach http://127.0.0.1:1: nothing listens there; start the server or correct the address (--api or KODIAK_API names the control plane)\n";
    for (const args of [
      ["get", "zones"],
      ["delete", "zone", "z"],
      ["token", "zone"],
    ])
      assert.deepEqual(await kodiak([...args, "--api", "http://127.0.0.1:1"]), { code: 1, out: "", err });
  });

  it("speaks TLS where plain HTTP is asked", async (t) => {
    const { api } = await overTls(t);
    const { code, err } = await kodiak(["get", "zones", "--api", api.replace("https", "http")]);
    assert.equal(code, 1);
    assert.match(err, /^error: cannot reach http:\/\/127\.0\.0\.1:\d+: .*check that the port is the right one/);
  });

  it("has no such resource, or mesh", async (t) => {
    const { run } = await served(t);
    assert.equal(
      (await run(["get", "dataplane", "x"])).err,
      'error: Dataplane "x" in mesh "default" does not exist; `kodiak get dataplanes` lists what there is\n',
    );
    assert.equal(
      (await run(["get", "dataplane", "x", "-m", "nope"])).err,
      'error: mesh "nope" does not exist; `kodiak get meshes` lists what there is\n',
    );
    assert.equal(
      (await run(["get", "dataplanes", "-m", "nope"])).err,
      'error: mesh "nope" does not exist; `kodiak get meshes` lists what there is\n',
    );
    assert.equal(
      (await run(["delete", "zone", "x"])).err,
      'error: Zone "x" does not exist; `kodiak get zones` lists what there is\n',
    );
  });
});

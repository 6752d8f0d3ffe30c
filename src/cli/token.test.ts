// Tokens from the command line: asked of a control plane, or signed here.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { echoes } from "#api/api.fixture.ts";
import { folder, kodiak, served } from "#cli/cli.fixture.ts";
import { createSigningKey, publicKeyPem, readSigningKey, type VerifyingKeys } from "#identity/signing-key.ts";
import { verifyDataplaneToken, verifyUserToken, verifyZoneToken } from "#identity/tokens.ts";
import { KodiakError } from "#lib/failure.ts";

const hour = 3_600_000;

describe("a token from a control plane", () => {
  const rows: readonly [readonly string[], object][] = [
    [["dataplane"], { name: "", mesh: "default", tags: {}, type: "", workload: "", validForMs: 87_600 * hour }],
    [
      [
        "dataplane",
        "-m",
        "m",
        "--name",
        "n",
        "--tag",
        "a=1",
        "--tag",
        "a=2,b=x=y",
        "--workload",
        "w",
        "--type",
        "dataplane",
        "--valid-for",
        "90m",
      ],
      {
        name: "n",
        mesh: "m",
        tags: { a: ["1", "2"], b: ["x=y"] },
        type: "dataplane",
        workload: "w",
        validForMs: 1.5 * hour,
      },
    ],
    [["join", "--zone", "z"], { zone: "z", validForMs: hour }],
    [["zone", "--zone", "z", "--scope", "ingress"], { zone: "z", scope: ["ingress"], validForMs: 87_600 * hour }],
    [["user", "--name", "jane", "--group", "a,b"], { name: "jane", groups: ["a", "b"], validForMs: 24 * hour }],
  ];
  for (const [args, request] of rows)
    it(args.join(" "), async (t) => {
      const { run } = await served(t);
      const { code, out, err } = await run(["token", ...args]);
      assert.deepEqual([code, err], [0, ""]);
      assert.deepEqual(JSON.parse(out), request);
      const { token } = JSON.parse((await run(["token", ...args, "-o", "json"])).out);
      assert.deepEqual(JSON.parse(token), request);
    });

  it("that cannot be issued says why", async (t) => {
    const refuse = async () => {
      throw new KodiakError({ kind: "not-found", what: "the key", hint: "make one" });
    };
    const { run } = await served(t, { tokens: { ...echoes, zone: refuse } });
    const err = "error: a zone token: the key does not exist; make one\n";
    assert.deepEqual(await run(["token", "zone"]), { code: 1, out: "", err });
  });
});

describe("a token signed here", () => {
  it("is good where its key is known, as long as it says", async (t) => {
    const key = await createSigningKey();
    const file = folder(t).file("key.pem", key);
    const keys: VerifyingKeys = {
      keyOf: (kid) => (kid === "7" ? readSigningKey(Buffer.from(publicKeyPem(key))) : undefined),
      placeOf: (kid) => `key ${kid}`,
      isRevoked: () => false,
    };
    const now = Date.UTC(2026, 0, 1);
    const sign = async (...args: string[]) => {
      const run = await kodiak(["token", ...args, "--signing-key", file, "--kid", "7", "--valid-for", "1h"], { now });
      assert.deepEqual([run.code, run.err], [0, ""]);
      return run.out.trim();
    };
    const bearer = { mesh: "default", name: "web-1", tags: {}, workload: undefined };
    const token = await sign("dataplane", "--name", "web-1");
    assert.ok((await verifyDataplaneToken(token, keys, bearer, now + 0.9 * hour)).ok);
    assert.ok(!(await verifyDataplaneToken(token, keys, bearer, now + 1.1 * hour)).ok);
    assert.ok(!(await verifyDataplaneToken(token, keys, { ...bearer, name: "web-2" }, now)).ok);
    assert.ok(
      (await verifyZoneToken(await sign("zone", "--scope", "ingress"), keys, { zone: "z", scope: "ingress" }, now)).ok,
    );
    const user = await verifyUserToken(await sign("user", "--name", "jane", "--group", "g"), keys, now);
    assert.deepEqual(user.ok && [user.claims.name, user.claims.groups], ["jane", ["g"]]);
  });

  it("needs a key that can sign", async (t) => {
    const { file } = folder(t);
    const key = await createSigningKey();
    const rows: readonly [string, RegExp][] = [
      [file("text.pem", "no key"), /^error: --signing-key .*text\.pem: must be an RSA key, PKCS#1 in PEM or DER\n$/],
      [file("public.pem", publicKeyPem(key)), /^error: --signing-key .*public\.pem: must be a private key\n$/],
      ["/nope.pem", /^error: --signing-key: cannot read \/nope\.pem: there is no such file\n$/],
    ];
    for (const [path, err] of rows) {
      const run = await kodiak(["token", "zone", "--signing-key", path]);
      assert.equal(run.code, 2);
      assert.match(run.err, err);
    }
  });
});

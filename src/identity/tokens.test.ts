import assert from "node:assert/strict";
import { createHmac, createSign, generateKeyPairSync, randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import { signToken } from "#identity/jwt.ts";
import { secretResource } from "#identity/secret.ts";
import {
  createSigningKey,
  dataplaneTokenKeys,
  keysInSecrets,
  latestSigningKey,
  publicKeyPem,
  readSigningKey,
  type SigningKey,
  signingKeyId,
  userTokenKeys,
  type VerifyingKeys,
  zoneTokenKeys,
  zoneTokenPublicKeys,
} from "#identity/signing-key.ts";
import {
  issueDataplaneToken,
  issueUserToken,
  issueZoneToken,
  type TokenBearer,
  verifyDataplaneToken,
  verifyUserToken,
  verifyZoneToken,
} from "#identity/tokens.ts";
import { KodiakError } from "#lib/failure.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import recordedKeys from "../../test/recorded/dp-server/token-keys.json" with { type: "json" };
import recordedTokens from "../../test/recorded/dp-server/tokens.json" with { type: "json" };
import recordedZoneTokens from "../../test/recorded/dp-server/zone-tokens.json" with { type: "json" };

const place = dataplaneTokenKeys("other");
const now = 1795498485_000;
const hour = 3_600_000;

const keysOf = (keyPlace: typeof place, secrets: readonly Resource[]): VerifyingKeys =>
  keysInSecrets(keyPlace, (id) => secrets.find((s) => s.kind === id.kind && keyOf(s) === keyOf(id)));
const bearer = (name: string, more: Partial<TokenBearer> = {}): TokenBearer => ({
  mesh: "other",
  name,
  tags: { "kuma.io/service": [name] },
  workload: undefined,
  ...more,
});
const signingKey = (kid: string, pem: string): SigningKey => {
  const read = readSigningKey(Buffer.from(pem));
  assert.ok(read.ok);
  return { kid, privateKey: read.key };
};

let pem: string;
let otherPem: string;
before(async () => {
  [pem, otherPem] = await Promise.all([createSigningKey(), createSigningKey()]);
});

describe("dataplane tokens as recorded against a stock control plane", () => {
  const notSigned = (kid: string) =>
    `could not parse token: token signature is invalid: it was not signed by Secret of name "dataplane-token-signing-key-other-${kid}" in mesh "other"`;
  const otherName = "proxy name from requestor: t is different than in token: x";
  /** Why each case is refused here; `undefined`: accepted. `run` is the set of keys that was there, `name` the proxy. */
  const cases: Record<string, { name?: string; run: 0 | 1 | 2; reason?: string }> = {
    'own key, kid "7"': { run: 0 },
    'own key DER, kid "8"': { run: 1 },
    'own key PKCS#8, kid "9"': {
      run: 0,
      reason:
        'could not parse token: token is unverifiable: Secret of name "dataplane-token-signing-key-other-9" in mesh "other" must be ' +
        "PKCS#1 (BEGIN RSA PRIVATE KEY); it is PKCS#8, convert it with `openssl rsa -traditional`",
    },
    "own key, only Name and Mesh, no time claims": { name: "t1", run: 2 },
    "own key, empty claims": { name: "t2", run: 2 },
    "own key, lower-case claim names": { name: "t3", run: 2 },
    "own key, lower-case claim, other name": { run: 0, reason: otherName },
    "own key, kid a number": {
      run: 0,
      reason: "could not parse token: token is unverifiable: JWT token kid header must be a string",
    },
    "own key, no kid": {
      run: 0,
      reason: "could not parse token: token is unverifiable: JWT token must have kid header",
    },
    "own key, no typ": { run: 0 },
    "own key, unknown kid": {
      run: 0,
      reason:
        'there is no signing key with KID 77. Secret of name "dataplane-token-signing-key-other-77" in mesh "other" is not found. ' +
        "If signing key was rotated, regenerate the token",
    },
    "own key, signed with another key": { run: 0, reason: notSigned("7") },
    "own key, expired": {
      run: 0,
      reason: "could not parse token: token has invalid claims: token is expired, since 2026-11-24T05:34:41.000Z",
    },
    "own key, not yet valid": {
      run: 0,
      reason:
        "token is not yet valid: 'valid_from' date is in the future. Check if the system clock on the instance that issued the " +
        "token is set correctly: it is valid from 2026-11-24T05:44:42.000Z",
    },
    // Taken there, where a type binds to nothing.
    "own key, type ingress on a dataplane": {
      name: "t4",
      run: 2,
      reason: "proxy type from requestor: dataplane is different than in token: ingress",
    },
    "own key, tag allowed": { name: "t5", run: 2 },
    "own key, tag value not allowed": {
      run: 0,
      reason:
        'dataplane contains tag "kuma.io/service" with value "t" which is not allowed with this token. ' +
        'Allowed values in token are ["u"], the dataplane has ["t"]',
    },
    "own key, tag absent on dataplane": {
      run: 0,
      reason: 'dataplane has no tag "version" required by the token',
    },
    "own key, workload set": { run: 0, reason: "dataplane has no workload label required by the token" },
    garbage: {
      run: 0,
      reason: "could not parse token: token is malformed: it must be three base64url texts joined by dots",
    },
    "stock token of mesh default": { run: 0, reason: notSigned("1") },
    "stock token of another name": { run: 0, reason: otherName },
    "zone token on a dataplane": { run: 0, reason: notSigned("1") },
    "user token on a dataplane": { run: 0, reason: notSigned("1") },
    // Refused there for another reason: the proxy was connected already.
    "before revocation": { run: 1 },
    revoked: { run: 1 },
    "revoked, jti in the GlobalSecret dataplane-token-revocations-other of global": {
      run: 1,
      reason: "token is revoked",
    },
  };
  const revokedId = "b35154f1-c51b-4a81-99ec-582ad69a0509";

  test("every recorded case has an expectation, and no other", () => {
    assert.deepEqual(
      recordedTokens.map((recorded) => recorded.case),
      Object.keys(cases),
    );
  });

  for (const recorded of recordedTokens) {
    test(recorded.case, async () => {
      const { name = "t", run, reason } = cases[recorded.case]!;
      const key = recordedKeys.keys[run]!;
      const pkcs8 = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
      const secrets = [
        secretResource(signingKeyId(place, key.kid), key.publicKey),
        secretResource(signingKeyId(place, "1"), pem),
        secretResource(signingKeyId(place, "9"), pkcs8.export({ type: "pkcs8", format: "pem" })),
        // In the mesh it has no effect.
        secretResource({ kind: "Secret", mesh: "other", name: place.revocations.name }, revokedId),
      ];
      let token = recorded.token;
      if (token === undefined) {
        token = recordedTokens.find((other) => other.case === "revoked")!.token!;
        secrets.push(secretResource(place.revocations, `${randomUUID()},${revokedId}\n`));
      }
      if (recorded.case === "stock token of another name") {
        // Its key signed no second recorded token, so the public key is unknown: the same claims signed again.
        token = await signedAgain(token, signingKey("8", otherPem));
        secrets.push(secretResource(signingKeyId(place, "8"), publicKeyPem(otherPem)));
      }
      const result = await verifyDataplaneToken(token, keysOf(place, secrets), bearer(name), key.at * 1000);
      assert.deepEqual(result.ok ? undefined : result.reason, reason);
      const isOfOtherType = !result.ok && result.fault === "type";
      const accepted = (recorded.result === "accepted" && !isOfOtherType) || recorded.case === "before revocation";
      assert.equal(result.ok, accepted, "as the stock control plane decided");
    });
  }
});

async function signedAgain(token: string, key: SigningKey): Promise<string> {
  const claims = JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString());
  return signToken(claims, key, { now, validForMs: hour, tokenId: claims.jti });
}

describe("dataplane tokens", () => {
  const claims = { name: "t", mesh: "other", tags: {}, type: "", workload: "" };
  const issue = (more: Partial<typeof claims> = {}, validForMs = hour) =>
    issueDataplaneToken({ ...claims, ...more }, signingKey("1", pem), { now, validForMs, tokenId: randomUUID() });
  const keys = () => keysOf(place, [secretResource(signingKeyId(place, "1"), pem)]);
  const verified = async (token: string, who = bearer("t"), at = now) => {
    const result = await verifyDataplaneToken(token, keys(), who, at);
    return result.ok ? "accepted" : result.reason;
  };

  test("have the header and claims of a stock token", async () => {
    const tokenId = randomUUID();
    const token = await issueDataplaneToken({ ...claims, tags: { a: ["1"] } }, signingKey("1", pem), {
      now,
      validForMs: hour,
      tokenId,
    });
    const [header, payload] = token.split(".").map((part) => Buffer.from(part, "base64url").toString());
    assert.deepEqual(JSON.parse(header!), { alg: "RS256", kid: "1", typ: "JWT" });
    assert.deepEqual(JSON.parse(payload!), {
      Name: "t",
      Mesh: "other",
      Tags: { a: ["1"] },
      Type: "",
      Workload: "",
      jti: tokenId,
      iat: now / 1000 - 5,
      nbf: now / 1000 - 5,
      exp: (now + hour) / 1000,
    });
  });

  test("hold from 5 s before they are issued until they expire, to the second", async () => {
    const token = await issue();
    assert.equal(await verified(token, bearer("t"), now - 5000), "accepted");
    assert.match(await verified(token, bearer("t"), now - 5001), /not yet valid/);
    assert.equal(await verified(token, bearer("t"), now + hour - 1), "accepted");
    assert.match(await verified(token, bearer("t"), now + hour), /token is expired, since 2026-11-24T06:34:45.000Z/);
  });

  test("that were taken are looked at again: when they expire, are revoked, come changed, or their key is another", async () => {
    const tokenId = randomUUID();
    const token = await issueDataplaneToken(claims, signingKey("1", pem), { now, validForMs: hour, tokenId });
    const secrets = [secretResource(signingKeyId(place, "1"), pem)];
    const said = async (token: string, at = now) => {
      const result = await verifyDataplaneToken(token, keysOf(place, secrets), bearer("t"), at);
      return result.ok ? "accepted" : result.fault;
    };
    for (let time = 0; time < 3; time++) assert.equal(await said(token), "accepted");
    assert.equal(await said(token, now + hour), "expired");
    const [header, , signature] = token.split(".");
    const other = Buffer.from(JSON.stringify({ Name: "t" })).toString("base64url");
    assert.equal(await said(`${header}.${other}.${signature}`), "signature");
    secrets.push(secretResource(place.revocations, tokenId));
    assert.equal(await said(token), "revoked");
    secrets.splice(0, 2, secretResource(signingKeyId(place, "1"), otherPem));
    assert.equal(await said(token), "signature");
  });

  test("of a type are for proxies of that type", async () => {
    assert.equal(await verified(await issue({ type: "dataplane" })), "accepted");
    for (const type of ["ingress", "egress"])
      assert.equal(
        await verified(await issue({ type })),
        `proxy type from requestor: dataplane is different than in token: ${type}`,
      );
  });

  test("of another mesh or workload are refused", async () => {
    assert.equal(
      await verified(await issue({ mesh: "default" })),
      "proxy mesh from requestor: other is different than in token: default",
    );
    const token = await issue({ workload: "w" });
    assert.equal(await verified(token, bearer("t", { workload: "w" })), "accepted");
    assert.equal(
      await verified(token, bearer("t", { workload: "v" })),
      "workload from requestor: v is different than in token: w",
    );
  });

  test("allow a tag only if all of its values are allowed", async () => {
    const token = await issue({ name: "", tags: { "kuma.io/service": ["a", "b"] } });
    const tagged = (...services: string[]) => bearer("t", { tags: { "kuma.io/service": services, version: ["1"] } });
    assert.equal(await verified(token, tagged("b", "a")), "accepted");
    assert.match(
      await verified(token, tagged("a", "c")),
      /value "c".* are \["a", "b"\], the dataplane has \["a", "c"\]/,
    );
    assert.match(await verified(token, bearer("t", { tags: {} })), /has no tag "kuma.io\/service"/);
    assert.match(await verified(await issue({ tags: { constructor: ["x"] } })), /has no tag "constructor"/);
  });

  test("that ask for what can't be are not issued, and all is said at once", async () => {
    await assert.rejects(
      issue({ mesh: "", type: "gateway" }, 0),
      new KodiakError({
        kind: "invalid",
        what: "dataplane token",
        issues: [
          { path: "validFor", message: "must be a second or more, like 24h" },
          { path: "mesh", message: "cannot be empty" },
          { path: "type", message: 'must be one of ["dataplane", "ingress", "egress"], or empty' },
        ],
      }),
    );
  });

  describe("made by an attacker", () => {
    const forged = (header: object, sign: (input: string) => string, body: object = { Name: "t", Mesh: "other" }) => {
      const input = [header, body].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
      return `${input}.${sign(input)}`;
    };

    test("with alg none are refused", async () => {
      for (const alg of ["none", "None", "", undefined])
        assert.match(await verified(forged({ alg, kid: "1" }, () => "")), /the algorithm must be RS256/);
    });

    test("with HS256 over the public key are refused", async () => {
      for (const secret of [publicKeyPem(pem), publicKeyPem(pem).trim()]) {
        const token = forged({ alg: "HS256", kid: "1", typ: "JWT" }, (input) =>
          createHmac("sha256", secret).update(input).digest("base64url"),
        );
        assert.equal(
          await verified(token),
          'could not parse token: token is signed with "HS256": the algorithm must be RS256',
        );
      }
    });

    test("with a kid that walks are refused before anything is looked up", async () => {
      const untouchable: VerifyingKeys = {
        keyOf: (kid) => assert.fail(`looked up ${kid}`),
        placeOf: (kid) => kid,
        isRevoked: () => false,
      };
      for (const kid of ["../../x", "1/../2", "..", "", "1\n", "1 ", "a".repeat(64), "%2e%2e"]) {
        const result = await verifyDataplaneToken(
          forged({ alg: "RS256", kid }, () => "AA"),
          untouchable,
          bearer("t"),
          now,
        );
        assert.match(result.ok ? "accepted" : result.reason, /can't be the id of a signing key/);
      }
    });

    test("by changing the claims of a good one are refused", async () => {
      const [header, , signature] = (await issue()).split(".");
      const body = Buffer.from('{"Name":"admin"}').toString("base64url");
      assert.match(await verified(`${header}.${body}.${signature}`), /token signature is invalid/);
    });

    test("with a header that must be understood are refused", async () => {
      const token = forged({ alg: "RS256", kid: "1", crit: ["b64"], b64: false }, () => "AA");
      assert.match(await verified(token), /^could not parse token: token/);
    });

    test("that hide exp or jti behind another case are read all the same", async () => {
      const signed = (extra: object) => signedRaw({ ...extra, Name: "t" });
      assert.match(await verified(signed({ EXP: 1 })), /token is expired/);
      const revoking = keysOf(place, [
        secretResource(signingKeyId(place, "1"), pem),
        secretResource(place.revocations, "gone"),
      ]);
      const result = await verifyDataplaneToken(signed({ Jti: "gone" }), revoking, bearer("t"), now);
      assert.deepEqual(result, { ok: false, fault: "revoked", reason: "token is revoked" });
    });

    test("with claims of a wrong type are refused, naming the claim", async () => {
      assert.match(await verified(signedRaw({ Tags: { a: "b" } })), /invalid claims: tags\.a: /);
      assert.match(await verified(signedRaw({ exp: "never" })), /invalid claims: exp: /);
    });

    /** Signed with the right key, and nothing added to the claims. */
    function signedRaw(body: object): string {
      return forged(
        { alg: "RS256", kid: "1" },
        (input) => createSign("sha256").update(input).sign(pem, "base64url"),
        body,
      );
    }
  });
});

describe("zone tokens as recorded", () => {
  const issue = (zone: string, scope: readonly string[]) =>
    issueZoneToken({ zone, scope }, signingKey("1", pem), { now, validForMs: hour, tokenId: randomUUID() });
  const tokens: Record<string, () => Promise<string>> = {
    "scope ingress, own zone": () => issue("zone-1", ["ingress"]),
    "scope ingress, another zone": () => issue("zone-2", ["ingress"]),
    "scope egress on an ingress": () => issue("zone-1", ["egress"]),
    "no zone, scope ingress and egress": () => issue("", ["ingress", "egress"]),
  };
  for (const recorded of recordedZoneTokens.filter((recorded) => recorded.case in tokens)) {
    test(recorded.case, async () => {
      // A zone with a global has the public half only.
      const keys = keysOf(zoneTokenPublicKeys, [
        secretResource(signingKeyId(zoneTokenPublicKeys, "1"), publicKeyPem(pem)),
      ]);
      const token = await tokens[recorded.case]!();
      const result = await verifyZoneToken(token, keys, { zone: "zone-1", scope: "ingress" }, now);
      const stock = recorded.result;
      const said = result.ok
        ? "accepted"
        : { grpc_status: "Unknown", message: `authentication failed: ${result.reason}` };
      assert.deepEqual(said, stock);
    });
  }

  test("a scope that is none, and no scope, are not issued", async () => {
    await assert.rejects(issue("z", ["ingress", "cp"]), /scope\[1\]: must be one of \["ingress", "egress"\]/);
    await assert.rejects(issue("z", []), /scope: must hold one or more of \["ingress", "egress"\]/);
  });
});

test("a user token gives its name and groups back, and is not taken for a dataplane's", async () => {
  const issuance = { now, validForMs: hour, tokenId: randomUUID() };
  const token = await issueUserToken({ name: "jane", groups: ["team-a"] }, signingKey("1", pem), issuance);
  const keys = keysOf(userTokenKeys, [secretResource(signingKeyId(userTokenKeys, "1"), pem)]);
  const { tokenId } = issuance;
  const expiresMs = Math.floor((now + hour) / 1000) * 1000;
  const claims = { name: "jane", groups: ["team-a"], tokenId, expiresMs };
  assert.deepEqual(await verifyUserToken(token, keys, now), { ok: true, claims });
  const meshKeys = keysOf(place, [secretResource(signingKeyId(place, "1"), otherPem)]);
  assert.equal((await verifyDataplaneToken(token, meshKeys, bearer("t"), now)).ok, false);
  await assert.rejects(
    issueUserToken({ name: "", groups: [] }, signingKey("1", pem), { ...issuance, validForMs: -hour }),
    /validFor: must be a second or more, like 24h; name: cannot be empty/,
  );
});

describe("signing keys", () => {
  test("are made, and published, as PKCS#1", () => {
    assert.match(pem, /^-----BEGIN RSA PRIVATE KEY-----\n/);
    assert.match(publicKeyPem(pem), /^-----BEGIN RSA PUBLIC KEY-----\n/);
  });

  test("are called as in Kuma; number 0 has none", () => {
    assert.deepEqual(signingKeyId(dataplaneTokenKeys("m"), "2"), {
      kind: "Secret",
      mesh: "m",
      name: "dataplane-token-signing-key-m-2",
    });
    assert.deepEqual(signingKeyId(zoneTokenKeys, "0"), {
      kind: "GlobalSecret",
      mesh: "",
      name: "zone-token-signing-key",
    });
  });

  test("the highest number signs, as a number", () => {
    const secrets = ["0", "9", "10"].map((kid) =>
      secretResource(signingKeyId(place, kid), kid === "10" ? otherPem : pem),
    );
    const elsewhere = [
      secretResource(signingKeyId(dataplaneTokenKeys("other-11"), "11"), pem),
      secretResource({ kind: "Secret", mesh: "other", name: "dataplane-token-signing-key-other-99x" }, pem),
      secretResource({ kind: "Secret", mesh: "more", name: "dataplane-token-signing-key-other-12" }, pem),
    ];
    const latest = latestSigningKey(place, [...secrets, ...elsewhere]);
    assert.equal(latest?.kid, "10");
    assert.ok(latest.privateKey.equals(signingKey("10", otherPem).privateKey));
    assert.equal(latestSigningKey(place, elsewhere), undefined);
  });

  test("that can't sign are named, with what to do", () => {
    const secret = secretResource(signingKeyId(place, "3"), publicKeyPem(pem));
    assert.throws(
      () => latestSigningKey(place, [secret]),
      /^KodiakError: Secret "dataplane-token-signing-key-other-3" in mesh "other": data: must be a private key; it is a public one/,
    );
  });

  test("of fewer than 2048 bits, on a curve, or no keys at all are refused", () => {
    const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({
      type: "pkcs1",
      format: "der",
    });
    const curve = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" });
    assert.deepEqual(readSigningKey(short), {
      ok: false,
      reason: "must be an RSA key of at least 2048 bits; it has 1024",
    });
    for (const content of [Buffer.from(curve), Buffer.from("x"), new Uint8Array()])
      assert.deepEqual(readSigningKey(content), { ok: false, reason: "must be an RSA key, PKCS#1 in PEM or DER" });
  });
});

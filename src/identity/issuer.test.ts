import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { promisify } from "node:util";
import { type Authority, createBuiltinAuthority, readAuthority } from "#identity/authority.ts";
import { authoritySigner, signedCertificate } from "#identity/certificate.ts";
import { createIssuer, type WorkloadIdentity } from "#identity/issuer.ts";
import { certificatesIn } from "#identity/pem.ts";
import recorded from "../../test/recorded/dp-server/certificates.json" with { type: "json" };

const run = promisify(execFile);
const now = Date.parse("2026-11-24T12:00:00Z");
const day = 86_400_000;
const identity: WorkloadIdentity = {
  mesh: "default",
  services: ["db", "backend"],
  tags: {
    version: ["v1"],
    "kuma.io/service": ["db", "backend"],
    "kuma.io/protocol": ["tcp", "http"],
    "kuma.io/zone": ["zone-1"],
  },
};

let authority: Authority;
before(async () => {
  authority = await createBuiltinAuthority("default", now);
});

/** The extensions and names as openssl prints them, without what differs by key, time and serial number. */
async function shape(pem: string): Promise<string> {
  const child = run("openssl", ["x509", "-noout", "-text", "-certopt", "no_pubkey,no_sigdump,no_serial,no_validity"]);
  child.child.stdin?.end(pem);
  return (await child).stdout.replaceAll(/([0-9A-F]{2}:){19}[0-9A-F]{2}/g, "<key id>");
}

/** `undefined`: openssl accepts the leaf, for both ends of a connection, at `atMs`. Else its reason. */
async function verifyWithOpenssl(roots: readonly string[], chain: string, atMs = now): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-issuer-"));
  try {
    const [leaf = "", ...between] = certificatesIn(chain);
    await writeFile(join(folder, "roots.pem"), roots.join(""));
    await writeFile(join(folder, "leaf.pem"), leaf);
    await writeFile(join(folder, "between.pem"), between.join(""));
    for (const purpose of ["sslserver", "sslclient"]) {
      const untrusted = between.length > 0 ? ["-untrusted", "between.pem"] : [];
      const time = ["-attime", String(Math.floor(atMs / 1000))];
      const options = ["-x509_strict", "-purpose", purpose, "-CAfile", "roots.pem", ...untrusted, ...time];
      await run("openssl", ["verify", ...options, "leaf.pem"], { cwd: folder });
    }
    return undefined;
  } catch (error) {
    return error instanceof Error && "stderr" in error ? String(error.stderr) : String(error);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe("the built-in authority of a mesh", () => {
  test("has the form of a stock one", async () => {
    const own = (await shape(authority.certificate)).replace(/ *X509v3 Authority Key Identifier: \n *<key id>\n/, "");
    assert.equal(own, await shape(recorded.root));
    const certificate = new X509Certificate(authority.certificate);
    assert.equal(certificate.validFromDate.getTime(), now - 10_000);
    assert.equal(certificate.validToDate.getTime(), now + 3650 * day);
    assert.match(authority.privateKey, /^-----BEGIN RSA PRIVATE KEY-----\n/);
    assert.equal(createPrivateKey(authority.privateKey).asymmetricKeyDetails?.modulusLength, 2048);
  });

  test("has the key size and the time that the mesh asks for", async () => {
    const asked = await createBuiltinAuthority("m", now, { rsaBits: 3072, validityMs: day });
    const certificate = new X509Certificate(asked.certificate);
    assert.equal(certificate.publicKey.asymmetricKeyDetails?.modulusLength, 3072);
    assert.equal(certificate.validToDate.getTime(), now + day);
    assert.equal(certificate.subject, "O=Kuma\nOU=Mesh\nCN=m");
  });

  test("is read back from what was kept", () => {
    const { certificate, privateKey } = authority;
    assert.deepEqual(readAuthority({ what: "kept", certificate, privateKey }), authority);
  });

  test("with a wrong key, no key, or a certificate that may not sign, is named, and no key is quoted", async () => {
    const leaf = await createIssuer(authority).issue(identity, now);
    const ed25519 = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const wrong = (certificate: string, privateKey: string) => () =>
      readAuthority({ what: 'Secret "c" with "k"', certificate, privateKey });
    const otherKey = 'Secret "c" with "k": key: must be the key of the certificate; it belongs to another one';
    assert.throws(wrong(authority.certificate, recorded.authority.key), { message: otherKey });
    assert.throws(wrong("x", "SECRET"), {
      message:
        'Secret "c" with "k": cert: must be a certificate in PEM; key: must be a private key in PEM, without a passphrase',
    });
    assert.throws(wrong(leaf.chain, leaf.privateKey), {
      message: 'Secret "c" with "k": cert: must be the certificate of an authority (CA:TRUE)',
    });
    assert.throws(wrong(authority.certificate, ed25519), /key: must be an RSA key or an EC key on P-256/);
  });
});

describe("a workload's certificate", () => {
  test("has the form of a stock one, but for its smaller key", async () => {
    const leaf = await createIssuer(authority).issue(identity, now);
    assert.equal(await shape(leaf.chain), await shape(recorded.leaf));
    assert.deepEqual(leaf.alternativeNames, [
      "spiffe://default/backend",
      "spiffe://default/db",
      "kuma://kuma.io/protocol/http",
      "kuma://kuma.io/protocol/tcp",
      "kuma://kuma.io/service/backend",
      "kuma://kuma.io/service/db",
      "kuma://kuma.io/zone/zone-1",
      "kuma://version/v1",
    ]);
    const certificate = new X509Certificate(leaf.chain);
    assert.equal(certificate.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
    assert.ok(certificate.checkPrivateKey(createPrivateKey(leaf.privateKey)));
    assert.equal(certificate.serialNumber, leaf.serial);
  });

  test("holds for 7 days or as long as the mesh says, and is due at half of that", async () => {
    const issuer = createIssuer(authority);
    const usual = await issuer.issue(identity, now);
    assert.deepEqual([usual.notBefore, usual.notAfter, usual.renewAt], [now - 10_000, now + 7 * day, now + 3.5 * day]);
    const short = await issuer.issue(identity, now, 60_000);
    assert.deepEqual([short.notAfter, short.renewAt], [now + 60_000, now + 30_000]);
    assert.equal(new X509Certificate(short.chain).validToDate.getTime(), short.notAfter);
    assert.equal(new X509Certificate(short.chain).validFromDate.getTime(), short.notBefore);
    assert.notEqual(usual.serial, short.serial);
  });

  test("verifies with its mesh's root, with openssl and node, and with no other mesh's of the same name", async () => {
    const leaf = await createIssuer(authority).issue(identity, now);
    const other = await createBuiltinAuthority("default", now);
    assert.equal(await verifyWithOpenssl(authority.trustBundle, leaf.chain), undefined);
    assert.match(
      (await verifyWithOpenssl(other.trustBundle, leaf.chain)) ?? "",
      /unable to get local issuer certificate/,
    );
    assert.match(
      (await verifyWithOpenssl(authority.trustBundle, leaf.chain, leaf.notAfter + 1000)) ?? "",
      /has expired/,
    );
    const certificate = new X509Certificate(leaf.chain);
    assert.ok(certificate.verify(createPublicKey(authority.certificate)));
    assert.ok(!certificate.verify(createPublicKey(other.certificate)));
    assert.ok(certificate.checkIssued(new X509Certificate(authority.certificate)));
  });

  test("is issued by the authority that a stock global made", async () => {
    const { certificate, key } = recorded.authority;
    const stock = readAuthority({ what: "recorded", certificate, privateKey: key });
    const leaf = await createIssuer(stock).issue(identity, now);
    assert.equal(await verifyWithOpenssl([certificate], leaf.chain), undefined);
    assert.equal(await shape(leaf.chain), await shape(recorded.leaf));
  });

  test("by an intermediate carries that with it, and not the root", async () => {
    const zone = await intermediateOf(authority);
    const leaf = await createIssuer(zone).issue(identity, now, 30 * day);
    assert.deepEqual(certificatesIn(leaf.chain).slice(1), certificatesIn(zone.certificate).slice(0, 1));
    assert.equal(await verifyWithOpenssl(authority.trustBundle, leaf.chain), undefined);
    assert.equal(leaf.notAfter, now + day, "a leaf does not outlive its authority");
    assert.equal(leaf.renewAt, now + day / 2);
  });

  test("is not issued by an authority that has expired", async () => {
    const expired = await createBuiltinAuthority("default", now - 2 * day, { validityMs: day });
    await assert.rejects(createIssuer(expired).issue(identity, now), {
      message:
        'no certificate can be issued in mesh "default": its authority expired at 2026-11-23T12:00:00.000Z; give the mesh a new one',
    });
  });
});

/** An EC authority of a zone, valid for a day, kept with the whole chain. */
async function intermediateOf(root: Authority): Promise<Authority> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = await signedCertificate(
    {
      subject: [["CN", "zone-1"]],
      alternativeNames: [{ type: "url", value: "spiffe://default" }],
      publicKey,
      notBefore: now,
      notAfter: now + day,
      isAuthority: true,
      keyUsages: ["keyCertSign"],
      extendedKeyUsages: [],
    },
    authoritySigner(root.certificate, root.privateKey),
  );
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return readAuthority({ what: "zone-1", certificate: certificate + root.certificate, privateKey: key });
}

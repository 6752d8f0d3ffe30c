import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createBuiltinAuthority, providedAuthorityIssues } from "#identity/authority.ts";
import { authoritySigner, type CertificateContents, selfSigner, signedCertificate } from "#identity/certificate.ts";

const now = Date.parse("2026-11-24T12:00:00Z");
const day = 86_400_000;

interface Made {
  readonly certificate: string;
  readonly privateKey: string;
}

async function made(name: string, issuer?: Made, contents: Partial<CertificateContents> = {}): Promise<Made> {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = [["CN", name]] as const;
  const signer = issuer
    ? authoritySigner(issuer.certificate, issuer.privateKey)
    : await selfSigner(subject, publicKey, privateKey);
  const certificate = await signedCertificate(
    {
      ...{ subject, publicKey, notBefore: now - day, notAfter: now + day, isAuthority: true },
      alternativeNames: [{ type: "url", value: "spiffe://default" }],
      keyUsages: ["keyCertSign", "cRLSign"],
      extendedKeyUsages: [],
      ...contents,
    },
    signer,
  );
  return { certificate, privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

/** `kept`, above it the others up to a root. */
const chained = (kept: Made, ...above: readonly Made[]): Made => ({
  ...kept,
  certificate: [kept, ...above].map(({ certificate }) => certificate).join(""),
});

test("an authority that may sign intermediates is taken: one of ours, a company's root, one below it with its chain", async () => {
  const root = await made("root", undefined, { pathLength: 2 });
  const below = await made("below", root, { pathLength: 1 });
  for (const authority of [await createBuiltinAuthority("default", now), root, below, chained(below, root)])
    assert.deepEqual(providedAuthorityIssues(authority, now), []);
});

test("one that may not is refused with the reason", async () => {
  const says = async (authority: Made | Promise<Made>): Promise<string> =>
    providedAuthorityIssues(await authority, now)
      .map(({ path, message }) => `${path}: ${message}`)
      .join("; ");
  const root = await made("root", undefined, { pathLength: 1 });
  const below = await made("below", root);
  assert.equal(
    await says(made("leaf", undefined, { isAuthority: false })),
    "cert: must be the certificate of an authority (CA:TRUE)",
  );
  assert.equal(
    await says(made("last", undefined, { pathLength: 0 })),
    "cert: an authority of a mesh signs the intermediates of zones, and it may not have 1 below it: its path length is 0, and must be absent or at least 1",
  );
  assert.equal(
    await says(chained(below, root)),
    "cert: an authority of a mesh signs the intermediates of zones, and its certificate 2 may not have 2 below it: its path length is 1, and must be absent or at least 2",
  );
  assert.equal(
    await says(made("no use", undefined, { keyUsages: ["cRLSign"] })),
    "cert: may not sign certificates: its key usage lacks keyCertSign",
  );
  assert.equal(await says(made("old", undefined, { notAfter: now })), "cert: it expired at 2026-11-24T12:00:00.000Z");
  const cannotSign = await made("cannot sign", undefined, { keyUsages: ["cRLSign"] });
  assert.match(await says(chained(below, cannotSign)), /its certificate 2 may not sign any/);
  const stranger = await made("root");
  assert.match(await says(chained(below, stranger)), /cert: its certificate 1 must be signed by the next one/);
  const both = await made("both");
  const withKey = { ...both, certificate: both.certificate + both.privateKey };
  assert.equal(
    await says(withKey),
    "cert: must hold certificates only: every proxy is given it, and there is a private key in it",
  );
  assert.equal(
    await says({ ...root, privateKey: below.privateKey }),
    "key: must be the key of the certificate; it belongs to another one",
  );
});

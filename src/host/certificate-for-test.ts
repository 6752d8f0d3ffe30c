// Certificates for the tests of this folder: for a server with these names, signed by an authority of its own.

import "reflect-metadata";
import { randomUUID } from "node:crypto";
import { isIP } from "node:net";
import { BasicConstraintsExtension, SubjectAlternativeNameExtension, X509CertificateGenerator } from "@peculiar/x509";

export interface TestCertificate {
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
  readonly ca: string;
  /** SHA-256 over the DER: 64 hexadecimal digits. */
  readonly fingerprint: string;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const hourMs = 3_600_000;

/** Expired an hour ago when `lifetimeMs` is negative. */
export async function certificateFor(names: readonly string[], lifetimeMs = hourMs): Promise<TestCertificate> {
  const notBefore = new Date(Date.now() - 2 * hourMs);
  const authorityKeys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const authority = await X509CertificateGenerator.createSelfSigned({
    // Several authorities of the same name could not stand in one file.
    name: `CN=test authority ${randomUUID()}`,
    keys: authorityKeys,
    notBefore,
    notAfter: new Date(Date.now() + hourMs),
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  const keys = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create({
    subject: "CN=test server",
    issuer: authority.subject,
    publicKey: keys.publicKey,
    signingKey: authorityKeys.privateKey,
    notBefore,
    notAfter: new Date(Date.now() + lifetimeMs),
    extensions: [
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? ("dns" as const) : ("ip" as const), value })),
      ),
    ],
  });
  const der = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return {
    certificate: certificate.toString("pem"),
    privateKey: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----\n`,
    ca: authority.toString("pem"),
    fingerprint: Buffer.from(await certificate.getThumbprint("SHA-256")).toString("hex"),
  };
}

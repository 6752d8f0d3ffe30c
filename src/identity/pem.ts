// What is read back out of PEM texts: certificates one by one, the key that belongs to one, a fingerprint.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import type { Issue } from "#lib/issue.ts";

/** The certificates of a text, in order, each with its own newline. */
export const certificatesIn = (pem: string): readonly string[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((block) => `${block}\n`);

/** SHA-256 over the DER of the first certificate: upper-case hex with colons, as `openssl x509 -fingerprint` prints it. */
export const fingerprintOf = (certificatePem: string): string => new X509Certificate(certificatePem).fingerprint256;

/** A certificate and its private key; `issues` says what keeps them from working together, with the paths `cert` and `key`. */
export interface KeyPair {
  readonly certificate: X509Certificate | undefined;
  readonly privateKey: KeyObject | undefined;
  readonly issues: readonly Issue[];
}

export function readKeyPair(certificatePem: string, privateKeyPem: string): KeyPair {
  const issues: Issue[] = [];
  const read = <T>(path: string, message: string, parse: () => T): T | undefined => {
    try {
      return parse();
    } catch {
      // The library's reason may quote the text, and a key must not reach a log.
      issues.push({ path, message });
      return undefined;
    }
  };
  const certificate = read("cert", "must be a certificate in PEM", () => new X509Certificate(certificatePem));
  const privateKey = read("key", "must be a private key in PEM, without a passphrase", () =>
    createPrivateKey(privateKeyPem),
  );
  if (certificate && privateKey && !certificate.checkPrivateKey(privateKey))
    issues.push({ path: "key", message: "must be the key of the certificate; it belongs to another one" });
  return { certificate, privateKey, issues };
}

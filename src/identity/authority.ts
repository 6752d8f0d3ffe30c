// Who vouches for workloads: a certificate with its key, and the roots by which others check what it signs. Today that is
// the root of a mesh (interop 7.4), kept in two Secrets; an intermediate of a zone has the same form.

import { generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { type DistinguishedName, selfSigner, signedCertificate } from "#identity/certificate.ts";
import { certificatesIn, readKeyPair } from "#identity/pem.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";

export interface Authority {
  /** Its own certificate, then those between it and a root, if any; PEM. */
  readonly certificate: string;
  /** PEM. */
  readonly privateKey: string;
  /** The roots, PEM, one each. */
  readonly trustBundle: readonly string[];
}

/** `mtls.backends[].conf.caCert` of a built-in backend. */
export interface BuiltinConf {
  readonly rsaBits?: number | undefined;
  readonly validityMs?: number | undefined;
}
const defaultValidityMs = 3650 * 86_400_000;

/** Certificates begin a little before they are made: clocks of proxies may be behind. */
export const backdatedMs = 10_000;

/** The root of a mesh, as Kuma makes it; a stock zone issues from it, and reads its key as PKCS#1 only. */
export async function createBuiltinAuthority(mesh: string, now: number, conf: BuiltinConf = {}): Promise<Authority> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: conf.rsaBits ?? 2048 });
  const subject: DistinguishedName = [
    ["O", "Kuma"],
    ["OU", "Mesh"],
    ["CN", mesh],
  ];
  const certificate = await signedCertificate(
    {
      subject,
      alternativeNames: [{ type: "url", value: `spiffe://${mesh}` }],
      publicKey,
      notBefore: now - backdatedMs,
      notAfter: now + (conf.validityMs ?? defaultValidityMs),
      isAuthority: true,
      keyUsages: ["keyCertSign", "cRLSign"],
      extendedKeyUsages: [],
    },
    await selfSigner(subject, publicKey, privateKey),
  );
  const key = privateKey.export({ type: "pkcs1", format: "pem" }).toString();
  return { certificate, privateKey: key, trustBundle: [certificate] };
}

/** What two Secrets hold of an authority. `what` names them for the error. */
export interface KeptAuthority {
  readonly what: string;
  /** PEM: its own certificate, then those between it and a root, and perhaps that root. */
  readonly certificate: string;
  readonly privateKey: string;
  /** Absent: the last certificate of the chain is the root. */
  readonly trustBundle?: readonly string[];
}

/** Throws `invalid` where the certificate and key cannot sign. */
export function readAuthority(kept: KeptAuthority): Authority {
  const chain = certificatesIn(kept.certificate);
  const { certificate, privateKey, issues } = readKeyPair(kept.certificate, kept.privateKey);
  const wrong: Issue[] = [...issues];
  if (certificate && !certificate.ca)
    wrong.push({ path: "cert", message: "must be the certificate of an authority (CA:TRUE)" });
  if (privateKey && !canSign(privateKey))
    wrong.push({ path: "key", message: "must be an RSA key or an EC key on P-256" });
  if (wrong.length > 0) throw new KodiakError({ kind: "invalid", what: kept.what, issues: wrong });
  return { certificate: chain.join(""), privateKey: kept.privateKey, trustBundle: kept.trustBundle ?? chain.slice(-1) };
}

const canSign = (key: KeyObject): boolean =>
  key.asymmetricKeyType === "rsa" ||
  (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1");

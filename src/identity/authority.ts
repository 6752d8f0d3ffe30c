// Who vouches for workloads: a certificate with its key, and the roots by which others check what it signs. Today that is
// the root of a mesh (interop 7.4), kept in two Secrets; an intermediate of a zone has the same form.

import { generateKeyPair, type KeyObject, X509Certificate } from "node:crypto";
import { promisify } from "node:util";
import { authorityLimits, type DistinguishedName, selfSigner, signedCertificate } from "#identity/certificate.ts";
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
  const issues = signingIssues(kept);
  if (issues.length > 0) throw new KodiakError({ kind: "invalid", what: kept.what, issues });
  return { certificate: chain.join(""), privateKey: kept.privateKey, trustBundle: kept.trustBundle ?? chain.slice(-1) };
}

function signingIssues(kept: Pick<KeptAuthority, "certificate" | "privateKey">): Issue[] {
  const { certificate, privateKey, issues } = readKeyPair(kept.certificate, kept.privateKey);
  const wrong: Issue[] = [...issues];
  const limits = certificate && authorityLimits(certificate.toString());
  if (limits && !limits.isAuthority)
    wrong.push({ path: "cert", message: "must be the certificate of an authority (CA:TRUE)" });
  else if (limits && !limits.maySign)
    wrong.push({ path: "cert", message: "may not sign certificates: its key usage lacks keyCertSign" });
  if (privateKey && !canSign(privateKey))
    wrong.push({ path: "key", message: "must be an RSA key or an EC key on P-256" });
  return wrong;
}

/**
 * What keeps a certificate and key that a user provides from being the authority of a mesh, with the paths `cert` and `key`. It has
 * to sign the intermediates of zones, and proxies are given the certificates.
 */
export function providedAuthorityIssues(
  kept: Pick<KeptAuthority, "certificate" | "privateKey">,
  now: number,
): readonly Issue[] {
  const issues = signingIssues(kept);
  if (issues.length > 0) return issues;
  const refused = (message: string): void => void issues.push({ path: "cert", message });
  if (kept.certificate.includes("PRIVATE KEY-----"))
    refused("must hold certificates only: every proxy is given it, and there is a private key in it");
  const chain = certificatesIn(kept.certificate);
  for (const [below, pem] of chain.entries()) {
    const certificate = new X509Certificate(pem);
    const { isAuthority, pathLength, maySign } = authorityLimits(pem);
    const which = chain.length === 1 ? "it" : `its certificate ${below + 1}`;
    const cannot = `an authority of a mesh signs the intermediates of zones, and ${which}`;
    if (!isAuthority || !maySign) refused(`${cannot} may not sign any (CA:TRUE, key usage keyCertSign)`);
    if (pathLength !== undefined && pathLength <= below)
      refused(
        `${cannot} may not have ${below + 1} below it: its path length is ${pathLength}, and must be absent or at least ${below + 1}`,
      );
    const ends = certificate.validToDate;
    if (ends.getTime() <= now) refused(`${which} expired at ${ends.toISOString()}`);
    const next = chain[below + 1];
    if (next !== undefined && !isIssuedBy(certificate, new X509Certificate(next)))
      refused(`${which} must be signed by the next one: put the authority's own first, then those up to its root`);
  }
  return issues;
}

const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

const canSign = (key: KeyObject): boolean =>
  key.asymmetricKeyType === "rsa" ||
  (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1");

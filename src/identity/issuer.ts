// Certificates for workloads, signed by whichever authority is given: a mesh's root today, a zone's intermediate later.
//
//   authority ──► issuer ──► leaf: spiffe://<mesh>/<service> and kuma://<tag>/<value>, as stock peers match them

import { generateKeyPair, X509Certificate } from "node:crypto";
import { promisify } from "node:util";
import { type Authority, backdatedMs } from "#identity/authority.ts";
import { leafSigner } from "#identity/leaf.ts";
import { certificatesIn } from "#identity/pem.ts";
import { KodiakError } from "#lib/failure.ts";

/** Whom a certificate names. */
export interface WorkloadIdentity {
  readonly mesh: string;
  readonly services: readonly string[];
  /** All tags of the proxy, `kuma.io/service` among them. */
  readonly tags: Readonly<Record<string, readonly string[]>>;
}

export interface WorkloadCertificate {
  /** PEM: the leaf, then what leads to a root, without the root. */
  readonly chain: string;
  /** PEM. */
  readonly privateKey: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** When half of its validity has passed. */
  readonly renewAt: number;
  /** Upper-case hex. */
  readonly serial: string;
  readonly alternativeNames: readonly string[];
}

export interface Issuer {
  /** `validityMs`: `dpCert.rotation.expiration` of the Mesh. A leaf never outlives its authority. */
  issue(identity: WorkloadIdentity, now: number, validityMs?: number): Promise<WorkloadCertificate>;
}

const defaultValidityMs = 7 * 86_400_000;

export function createIssuer(authority: Authority): Issuer {
  const sign = leafSigner(authority.certificate, authority.privateKey);
  const chain = certificatesIn(authority.certificate);
  const own = new X509Certificate(authority.certificate);
  const authorityEnds = own.validToDate.getTime();
  const roots = new Set(authority.trustBundle.map((root) => new X509Certificate(root).fingerprint256));
  const between = chain.filter((pem) => !roots.has(new X509Certificate(pem).fingerprint256)).join("");

  return {
    async issue(identity, now, validityMs = defaultValidityMs) {
      if (authorityEnds <= now) throw expired(identity.mesh, own);
      // Kuma makes RSA keys. A peer checks only the chain, Envoy takes P-256 on either side, and it is made 1,000 times faster.
      const { publicKey, privateKey } = await newKeyPair();
      const notBefore = now - backdatedMs;
      const notAfter = Math.min(now + validityMs, authorityEnds);
      const alternativeNames = alternativeNamesOf(identity);
      const leaf = await sign({ alternativeNames, publicKey, notBefore, notAfter });
      return {
        chain: leaf.certificate + between,
        privateKey,
        notBefore,
        notAfter,
        renewAt: now + (notAfter - now) / 2,
        serial: leaf.serial,
        alternativeNames,
      };
    },
  };
}

const newKeyPair = () =>
  promisify(generateKeyPair)("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });

/** Each name once, services first, both in order: equal identities have equal names. */
export function alternativeNamesOf({ mesh, services, tags }: WorkloadIdentity): readonly string[] {
  const bySpiffe = services.map((service) => `spiffe://${mesh}/${service}`);
  const byTag = Object.entries(tags).flatMap(([tag, values]) => values.map((value) => `kuma://${tag}/${value}`));
  return [...new Set(bySpiffe.sort()), ...new Set(byTag.sort())];
}

const expired = (mesh: string, certificate: X509Certificate): KodiakError =>
  new KodiakError({
    kind: "unavailable",
    what: `no certificate can be issued in mesh "${mesh}": its authority expired at ${certificate.validToDate.toISOString()}; give the mesh a new one`,
  });

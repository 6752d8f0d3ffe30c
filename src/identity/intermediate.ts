// An authority between a mesh's and its leaves, for one zone: the mesh's key stays where it is, and a zone issues its proxies'
// certificates with a key of its own.

import { X509Certificate } from "node:crypto";
import { backdatedMs, type KeptAuthority, readAuthority } from "#identity/authority.ts";
import { authoritySigner, requestedKey, signedCertificate } from "#identity/certificate.ts";
import { certificatesIn } from "#identity/pem.ts";

/** Not of an authority that the mesh had before. `chain`: of an intermediate, as it is signed here. */
export function isUnder(chain: string, authority: string): boolean {
  const [, issuer = ""] = certificatesIn(chain);
  const [current = ""] = certificatesIn(authority);
  return issuer !== "" && new X509Certificate(issuer).fingerprint256 === new X509Certificate(current).fingerprint256;
}

/** Renewed at half of it: a zone may be without global for half a year. */
const lastsMs = 365 * 86_400_000;

/**
 * PEM: the intermediate for the key in the zone's request, then those between it and the root of the mesh. It signs leaves only, and
 * does not outlive who signed it. Rejects with `invalid` where the authority or the request is not usable.
 */
export async function signIntermediate(
  kept: KeptAuthority,
  { mesh, zone, request }: { readonly mesh: string; readonly zone: string; readonly request: string },
  now: number,
): Promise<string> {
  const authority = readAuthority(kept);
  const ends = new X509Certificate(authority.certificate).validToDate.getTime();
  const certificate = await signedCertificate(
    {
      subject: [
        ["O", "Kodiak"],
        ["OU", mesh],
        ["CN", zone],
      ],
      alternativeNames: [{ type: "url", value: `spiffe://${mesh}` }],
      publicKey: await requestedKey(request),
      notBefore: now - backdatedMs,
      notAfter: Math.min(now + lastsMs, ends),
      isAuthority: true,
      pathLength: 0,
      keyUsages: ["keyCertSign", "cRLSign"],
      extendedKeyUsages: [],
    },
    authoritySigner(authority.certificate, authority.privateKey),
  );
  return certificate + authority.certificate;
}

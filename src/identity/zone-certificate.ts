// With its certificate a zone control plane shows global who it is. Global's own authority signs it, for the key in the zone's
// request: the private key never leaves the zone.

import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { type Authority, backdatedMs, readAuthority } from "#identity/authority.ts";
import {
  authoritySigner,
  type DistinguishedName,
  newSigningRequest,
  requestedKey,
  selfSigner,
  signedCertificate,
} from "#identity/certificate.ts";
import { secretText } from "#identity/secret.ts";
import type { ResourceId } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

const dayMs = 86_400_000;
const authorityLastsMs = 3650 * dayMs;
/** Renewed at half of it: a zone may be without global for six weeks. */
export const zoneCertificateLastsMs = 90 * dayMs;

/** PEM: the authority's certificate, then its key. No zone gets it. */
export const zoneAuthorityId: ResourceId = { kind: "GlobalSecret", mesh: "", name: "zone-authority" };

export async function createZoneAuthority(now: number): Promise<string> {
  const { privateKey } = await newSigningRequest();
  const key = createPrivateKey(privateKey);
  const subject: DistinguishedName = [
    ["O", "Kodiak"],
    ["CN", "zones"],
  ];
  const publicKey = createPublicKey(privateKey);
  const certificate = await signedCertificate(
    {
      subject,
      alternativeNames: [],
      publicKey,
      notBefore: now - backdatedMs,
      notAfter: now + authorityLastsMs,
      isAuthority: true,
      pathLength: 0,
      keyUsages: ["keyCertSign", "cRLSign"],
      extendedKeyUsages: [],
    },
    await selfSigner(subject, publicKey, key),
  );
  return certificate + privateKey;
}

/** Throws `invalid` where the Secret's text cannot sign. */
export const readZoneAuthority = (text: string): Authority =>
  readAuthority({ what: `${zoneAuthorityId.kind} "${zoneAuthorityId.name}"`, certificate: text, privateKey: text });

/** The certificate that those of zones are checked with, PEM; made at global's first start. */
export const zoneAuthorityOf = (store: Pick<Store, "get">): string => {
  const secret = store.get(zoneAuthorityId);
  if (!secret) throw new Error("the authority of zones has just been made and is not there");
  return readZoneAuthority(secretText(secret)).certificate;
};

/** PEM. Rejects with `invalid` where the request is none. */
export async function signZoneCertificate(
  authority: Authority,
  zone: string,
  request: string,
  now: number,
): Promise<string> {
  return signedCertificate(
    {
      subject: [
        ["O", "Kodiak"],
        ["CN", zone],
      ],
      alternativeNames: [{ type: "url", value: uriOf(zone) }],
      publicKey: await requestedKey(request),
      // Only global looks at it, by the clock that it was made by.
      notBefore: now,
      notAfter: now + zoneCertificateLastsMs,
      isAuthority: false,
      keyUsages: ["digitalSignature"],
      extendedKeyUsages: ["clientAuth"],
    },
    authoritySigner(authority.certificate, authority.privateKey),
  );
}

const prefix = "spiffe://kodiak/zone/";
const uriOf = (zone: string): string => prefix + zone;
/** Whose certificate has these alternative names. */
export const zoneIn = (uris: readonly string[]): string | undefined =>
  uris.find((uri) => uri.startsWith(prefix))?.slice(prefix.length);

/** Serial in upper-case hex; when it ends, and when it is to be renewed, in milliseconds since the epoch. */
export function certificateOf(pem: string) {
  const { serialNumber: serial, validFromDate, validToDate } = new X509Certificate(pem);
  const [from, notAfter] = [validFromDate.getTime(), validToDate.getTime()];
  return { serial, notAfter, renewAt: from + (notAfter - from) / 2 };
}

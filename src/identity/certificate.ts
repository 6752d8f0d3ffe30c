// One signed X.509 certificate from a description of it, the request for one, and what is read back out of PEM. The only file that knows the
// X.509 library; authorities, workload leaves and server certificates are descriptions.

import "reflect-metadata";
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, type webcrypto } from "node:crypto";
import { promisify } from "node:util";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PemConverter,
  Pkcs10CertificateRequest,
  Pkcs10CertificateRequestGenerator,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { KodiakError } from "#lib/failure.ts";

export interface CertificateContents {
  readonly subject: DistinguishedName;
  readonly alternativeNames: readonly { readonly type: "url" | "dns" | "ip"; readonly value: string }[];
  readonly publicKey: KeyObject;
  /** Milliseconds since the epoch; a certificate keeps whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isAuthority: boolean;
  /** How many authorities may stand between it and a leaf; absent: any number. */
  readonly pathLength?: number;
  readonly keyUsages: readonly (keyof typeof KeyUsageFlags)[];
  readonly extendedKeyUsages: readonly (keyof typeof ExtendedKeyUsage)[];
}

/** Most significant part first; may be empty. */
export type DistinguishedName = readonly (readonly ["O" | "OU" | "CN", string])[];

/** Who signs, prepared once for many certificates. */
export interface Signer {
  readonly name: Name;
  readonly keyId: string | undefined;
  readonly key: webcrypto.CryptoKey;
}

/** Signs what names `certificatePem` as its issuer. */
export function authoritySigner(certificatePem: string, privateKeyPem: string): Signer {
  const certificate = new X509Certificate(certificatePem);
  return {
    name: certificate.subjectName,
    keyId: certificate.getExtension(SubjectKeyIdentifierExtension)?.keyId,
    key: signingKey(createPrivateKey(privateKeyPem)),
  };
}

/** DER of what leaves that `certificatePem` signs have in common: the name of their issuer, and their extensions but for the names. */
export function leafFrame(certificatePem: string): {
  readonly issuer: Uint8Array;
  readonly extensions: readonly Uint8Array[];
} {
  const certificate = new X509Certificate(certificatePem);
  const keyId = certificate.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  const usages = KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment | KeyUsageFlags.keyAgreement;
  const extensions: readonly Extension[] = [
    new KeyUsagesExtension(usages, true),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new BasicConstraintsExtension(false, undefined, true),
    ...(keyId !== undefined ? [new AuthorityKeyIdentifierExtension(keyId)] : []),
  ];
  return {
    issuer: new Uint8Array(certificate.subjectName.toArrayBuffer()),
    extensions: extensions.map(({ rawData }) => new Uint8Array(rawData)),
  };
}

/** What a certificate says of its holder as an authority (RFC 5280, 4.2.1.3 and 4.2.1.9). */
export interface AuthorityLimits {
  readonly isAuthority: boolean;
  /** How many authorities may stand between it and a leaf; absent: any number. */
  readonly pathLength: number | undefined;
  /** Whether its key may sign certificates; one that says nothing of the uses of its key may be used for all. */
  readonly maySign: boolean;
}

export function authorityLimits(certificatePem: string): AuthorityLimits {
  const certificate = new X509Certificate(certificatePem);
  const { ca = false, pathLength } = certificate.getExtension(BasicConstraintsExtension) ?? {};
  const usages = certificate.getExtension(KeyUsagesExtension)?.usages;
  return { isAuthority: ca, pathLength, maySign: usages === undefined || (usages & KeyUsageFlags.keyCertSign) !== 0 };
}

export const pemOf = (certificate: ArrayBuffer): string => `${PemConverter.encode(certificate, "CERTIFICATE")}\n`;

/** Signs the certificate of its own key. */
export async function selfSigner(
  subject: DistinguishedName,
  publicKey: KeyObject,
  privateKey: KeyObject,
): Promise<Signer> {
  const { keyId } = await SubjectKeyIdentifierExtension.create(libraryKey(publicKey));
  return { name: nameOf(subject), keyId, key: signingKey(privateKey) };
}

/** PEM. Its serial number is random; roots made by Kuma have 0, which RFC 5280 (4.1.2.2) forbids and nothing reads. */
export async function signedCertificate(contents: CertificateContents, signer: Signer): Promise<string> {
  const certificate = await X509CertificateGenerator.create({
    subject: nameOf(contents.subject),
    issuer: signer.name,
    publicKey: libraryKey(contents.publicKey),
    signingKey: signer.key,
    notBefore: new Date(contents.notBefore),
    notAfter: new Date(contents.notAfter),
    extensions: await extensionsOf(contents, signer),
  });
  return `${certificate.toString("pem")}\n`;
}

export interface SigningRequest {
  /** PKCS#10 (RFC 2986), PEM: a new public key, signed with its private key. It names nobody: who signs decides whom the certificate is for. */
  readonly request: string;
  /** PEM. */
  readonly privateKey: string;
}

/** A new key on P-256, and the request for its certificate. */
export async function newSigningRequest(): Promise<SigningRequest> {
  const { publicKey, privateKey } = await promisify(generateKeyPair)("ec", { namedCurve: "P-256" });
  const keys = {
    publicKey: publicKey.toCryptoKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]),
    privateKey: signingKey(privateKey),
  };
  const signingAlgorithm = { name: "ECDSA", hash: "SHA-256" };
  const request = await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm });
  return {
    request: `${request.toString("pem")}\n`,
    privateKey: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** The public key of a request. Throws `invalid` where it is none, is not signed with its own key, or has a key that is too weak. */
export async function requestedKey(request: string): Promise<KeyObject> {
  const refused = (message: string) =>
    new KodiakError({
      kind: "invalid",
      what: "the certificate signing request",
      issues: [{ path: "request", message }],
    });
  let read: Pkcs10CertificateRequest;
  try {
    read = new Pkcs10CertificateRequest(request);
    if (!(await read.verify())) throw refused("is not signed with its own key");
  } catch (error) {
    if (error instanceof KodiakError) throw error;
    throw refused("must be a PKCS#10 request in PEM, signed with its own key");
  }
  const key = createPublicKey({ key: Buffer.from(read.publicKey.rawData), format: "der", type: "spki" });
  if (key.asymmetricKeyType !== "ec" || key.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw refused("must be for an EC key on P-256");
  return key;
}

async function extensionsOf(contents: CertificateContents, signer: Signer): Promise<Extension[]> {
  const usages = contents.keyUsages.reduce((flags, usage) => flags | KeyUsageFlags[usage], 0);
  const extended = contents.extendedKeyUsages.map((usage) => ExtendedKeyUsage[usage]);
  const names = contents.alternativeNames.map(({ type, value }) => ({ type, value }));
  return [
    new KeyUsagesExtension(usages, true),
    ...(extended.length > 0 ? [new ExtendedKeyUsageExtension(extended)] : []),
    new BasicConstraintsExtension(contents.isAuthority, contents.pathLength, true),
    ...(contents.isAuthority ? [await SubjectKeyIdentifierExtension.create(libraryKey(contents.publicKey))] : []),
    ...(signer.keyId !== undefined ? [new AuthorityKeyIdentifierExtension(signer.keyId)] : []),
    // Critical where the subject is empty: RFC 5280, 4.2.1.6.
    ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names, contents.subject.length === 0)] : []),
  ];
}

const nameOf = (subject: DistinguishedName): Name => new Name(subject.map(([type, value]) => ({ [type]: [value] })));

const libraryKey = (key: KeyObject): PublicKey => new PublicKey(key.export({ type: "spki", format: "der" }));

const signingKey = (key: KeyObject): webcrypto.CryptoKey =>
  key.asymmetricKeyType === "rsa"
    ? key.toCryptoKey({ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, false, ["sign"])
    : key.toCryptoKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);

// Leaves in numbers: a thousand proxies that connect at once want a certificate each. What all leaves of an authority have in
// common is made once; the structures of RFC 5280 (4.1) are the library's, signing is Node's, off the event loop.

import { createPrivateKey, randomBytes, sign } from "node:crypto";
import { promisify } from "node:util";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  Certificate,
  Extension,
  Extensions,
  GeneralName,
  id_ce_subjectAltName,
  Name,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import { leafFrame, pemOf } from "#identity/certificate.ts";

export interface LeafContents {
  /** URIs. */
  readonly alternativeNames: readonly string[];
  /** DER, as SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since the epoch; a certificate keeps whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Leaf {
  /** PEM. */
  readonly certificate: string;
  /** Upper-case hex. */
  readonly serial: string;
}

/** sha256WithRSAEncryption (RFC 4055) and ecdsa-with-SHA256 (RFC 5758). */
const algorithms: Readonly<Record<string, AlgorithmIdentifier>> = {
  rsa: new AlgorithmIdentifier({ algorithm: "1.2.840.113549.1.1.11", parameters: null }),
  ec: new AlgorithmIdentifier({ algorithm: "1.2.840.10045.4.3.2" }),
};

/** Signs what names `certificatePem` as its issuer: workloads' certificates, with an empty subject. */
export function leafSigner(certificatePem: string, privateKeyPem: string): (contents: LeafContents) => Promise<Leaf> {
  const key = createPrivateKey(privateKeyPem);
  const frame = leafFrame(certificatePem);
  const issuer = AsnConvert.parse(frame.issuer, Name);
  const extensions = frame.extensions.map((one) => AsnConvert.parse(one, Extension));
  const algorithm = algorithms[key.asymmetricKeyType ?? ""];
  if (!algorithm) throw new TypeError(`an authority does not sign with a key of type ${key.asymmetricKeyType}`);

  return async ({ alternativeNames, publicKey, notBefore, notAfter }) => {
    const serial = randomBytes(16);
    // Positive, and as long as it is written.
    serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
    const names = new SubjectAlternativeName(
      alternativeNames.map((uniformResourceIdentifier) => new GeneralName({ uniformResourceIdentifier })),
    );
    // Critical, as the subject is empty (4.2.1.6).
    const naming = {
      extnID: id_ce_subjectAltName,
      critical: true,
      extnValue: new OctetString(AsnConvert.serialize(names)),
    };
    const contents = new TBSCertificate({
      version: Version.v3,
      serialNumber: bytesOf(serial),
      signature: algorithm,
      issuer,
      validity: new Validity({ notBefore: new Date(notBefore), notAfter: new Date(notAfter) }),
      subject: new Name(),
      subjectPublicKeyInfo: AsnConvert.parse(publicKey, SubjectPublicKeyInfo),
      extensions: new Extensions([...extensions, new Extension(naming)]),
    });
    const signature = await promisify(sign)("sha256", Buffer.from(AsnConvert.serialize(contents)), key);
    const certificate = new Certificate({
      tbsCertificate: contents,
      signatureAlgorithm: algorithm,
      signatureValue: bytesOf(signature),
    });
    return {
      certificate: pemOf(AsnConvert.serialize(certificate)),
      serial: serial.toString("hex").toUpperCase(),
    };
  };
}

/** Not of the pool that Node cuts small buffers from. */
const bytesOf = (buffer: Buffer): ArrayBuffer => new Uint8Array(buffer).buffer;

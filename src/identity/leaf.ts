// Leaves in numbers: when a thousand proxies connect at once, each wants a certificate, and building one with the X.509 library
// takes ten times as long as its signature. What all leaves of an authority have in common is encoded by that library once;
// key, times, serial number and names are put in between, in DER (X.690), as RFC 5280 (4.1) orders them.

import { createPrivateKey, randomBytes, sign } from "node:crypto";
import { promisify } from "node:util";
import { leafFrame } from "#identity/certificate.ts";
import { derPem } from "#identity/pem.ts";

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

const tags = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
};
/** Of GeneralName: uniformResourceIdentifier, and of TBSCertificate: version and extensions. */
const uriTag = 0x86;
const versionTag = 0xa0;
const extensionsTag = 0xa3;

/** sha256WithRSAEncryption and ecdsa-with-SHA256, as AlgorithmIdentifier. */
const algorithms: Readonly<Record<string, Buffer>> = {
  rsa: Buffer.from("300d06092a864886f70d01010b0500", "hex"),
  ec: Buffer.from("300a06082a8648ce3d040302", "hex"),
};
/** `subjectAltName` (2.5.29.17), critical, as the subject is empty (4.2.1.6). */
const alternativeNamesHead = Buffer.from("0603551d110101ff", "hex");
const versionThree = der(versionTag, der(tags.integer, Buffer.from([2])));
const emptySubject = der(tags.sequence);

/** Signs what names `certificatePem` as its issuer: workloads' certificates, with an empty subject. */
export function leafSigner(certificatePem: string, privateKeyPem: string): (contents: LeafContents) => Promise<Leaf> {
  const key = createPrivateKey(privateKeyPem);
  const { issuer, extensions } = leafFrame(certificatePem);
  const algorithm = algorithms[key.asymmetricKeyType ?? ""];
  if (!algorithm) throw new TypeError(`an authority does not sign with a key of type ${key.asymmetricKeyType}`);

  return async ({ alternativeNames, publicKey, notBefore, notAfter }) => {
    const serial = randomBytes(16);
    // Positive, and as long as it is written.
    serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
    const names = der(tags.sequence, ...alternativeNames.map((name) => der(uriTag, Buffer.from(name))));
    const signed = der(
      tags.sequence,
      versionThree,
      der(tags.integer, serial),
      algorithm,
      issuer,
      der(tags.sequence, time(notBefore), time(notAfter)),
      emptySubject,
      publicKey,
      der(
        extensionsTag,
        der(tags.sequence, ...extensions, der(tags.sequence, alternativeNamesHead, der(tags.octetString, names))),
      ),
    );
    const signature = await promisify(sign)("sha256", signed, key);
    const bits = der(tags.bitString, Buffer.from([0]), signature);
    return {
      certificate: derPem("CERTIFICATE", der(tags.sequence, signed, algorithm, bits)),
      serial: serial.toString("hex").toUpperCase(),
    };
  };
}

function der(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(length)]), ...contents]);
}

function lengthOctets(length: number): readonly number[] {
  if (length < 0x80) return [length];
  if (length < 0x100) return [0x81, length];
  if (length < 0x10000) return [0x82, length >> 8, length & 0xff];
  throw new RangeError(`${length} bytes are too many for a certificate`);
}

/** Until 2049 with two digits of the year (4.1.2.5). */
function time(ms: number): Buffer {
  const digits = `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, "")}Z`;
  return digits < "2050"
    ? der(tags.utcTime, Buffer.from(digits.slice(2)))
    : der(tags.generalizedTime, Buffer.from(digits));
}

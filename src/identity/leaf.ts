// Leaves in numbers: a thousand proxies that connect at once want a certificate each. What all leaves of an authority have in
// common is encoded once; the structures are those of RFC 5280 (4.1), encoding is the library's, signing is Node's, off the
// event loop.

import { createPrivateKey, randomBytes, sign } from "node:crypto";
import { promisify } from "node:util";
import {
  Boolean as Asn1Boolean,
  type AsnType,
  BitString,
  Constructed,
  fromBER,
  GeneralizedTime,
  Integer,
  Null,
  ObjectIdentifier,
  OctetString,
  Primitive,
  Sequence,
  UTCTime,
} from "asn1js";
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
const algorithms: Readonly<Record<string, Sequence>> = {
  rsa: new Sequence({ value: [new ObjectIdentifier({ value: "1.2.840.113549.1.1.11" }), new Null()] }),
  ec: new Sequence({ value: [new ObjectIdentifier({ value: "1.2.840.10045.4.3.2" })] }),
};
const subjectAltName = "2.5.29.17";
/** Before 2050 a time has two digits of the year (4.1.2.5). */
const generalizedFrom = Date.UTC(2050);

/** Signs what names `certificatePem` as its issuer: workloads' certificates, with an empty subject. */
export function leafSigner(certificatePem: string, privateKeyPem: string): (contents: LeafContents) => Promise<Leaf> {
  const key = createPrivateKey(privateKeyPem);
  const frame = leafFrame(certificatePem);
  const algorithm = algorithms[key.asymmetricKeyType ?? ""];
  if (!algorithm) throw new TypeError(`an authority does not sign with a key of type ${key.asymmetricKeyType}`);
  const version = new Constructed({ ...context(0), value: [new Integer({ value: 2 })] });
  const issuer = decoded(frame.issuer);
  const subject = new Sequence();
  const extensions = frame.extensions.map(decoded);

  return async ({ alternativeNames, publicKey, notBefore, notAfter }) => {
    const serial = randomBytes(16);
    // Positive, and as long as it is written.
    serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
    const validity = new Sequence({ value: [time(notBefore), time(notAfter)] });
    const all = new Sequence({ value: [...extensions, naming(alternativeNames)] });
    const contents = new Sequence({
      value: [
        ...[
          version,
          new Integer({ valueHex: bytesOf(serial) }),
          algorithm,
          issuer,
          validity,
          subject,
          decoded(publicKey),
        ],
        new Constructed({ ...context(3), value: [all] }),
      ],
    });
    const signature = await promisify(sign)("sha256", Buffer.from(contents.toBER()), key);
    const certificate = new Sequence({
      value: [contents, algorithm, new BitString({ valueHex: bytesOf(signature) })],
    });
    return { certificate: pemOf(certificate.toBER()), serial: serial.toString("hex").toUpperCase() };
  };
}

/** The extension of the alternative names; critical, as the subject is empty (4.2.1.6). */
function naming(uris: readonly string[]): Sequence {
  const names = uris.map((uri) => new Primitive({ ...context(6), valueHex: bytesOf(Buffer.from(uri, "ascii")) }));
  return new Sequence({
    value: [
      new ObjectIdentifier({ value: subjectAltName }),
      new Asn1Boolean({ value: true }),
      new OctetString({ valueHex: new Sequence({ value: names }).toBER() }),
    ],
  });
}

const time = (ms: number): UTCTime | GeneralizedTime => {
  const valueDate = new Date(Math.floor(ms / 1000) * 1000);
  return ms < generalizedFrom ? new UTCTime({ valueDate }) : new GeneralizedTime({ valueDate });
};

const context = (tagNumber: number) => ({ idBlock: { tagClass: 3, tagNumber } });
const decoded = (der: Uint8Array): AsnType => fromBER(bytesOf(der)).result;

/** Of its own, not of the pool that Node cuts small buffers from. */
const bytesOf = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

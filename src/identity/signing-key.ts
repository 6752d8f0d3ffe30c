// Keys that sign tokens: where they lie, what they are called, how they are read (interop 5.1). Kuma keeps RSA keys as PKCS#1
// in Secrets numbered from 1; a token names its key's number as `kid`, the highest number signs, all that are there verify.

import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { secretData, secretText } from "#identity/secret.ts";
import { KodiakError } from "#lib/failure.ts";
import { signingKeyPrefix } from "#owned/defaults.ts";
import { describeId, type Resource, type ResourceId } from "#resources/resource.ts";

/** Where the keys of one kind of token lie. */
export interface KeyPlace {
  readonly kind: "Secret" | "GlobalSecret";
  /** Empty for GlobalSecrets. */
  readonly mesh: string;
  readonly prefix: string;
  /** Ids of tokens that are no longer taken, separated by commas. Always a GlobalSecret: Kuma looks nowhere else. */
  readonly revocations: ResourceId;
}

const globalSecret = (name: string): ResourceId => ({ kind: "GlobalSecret", mesh: "", name });

export const dataplaneTokenKeys = (mesh: string): KeyPlace => ({
  kind: "Secret",
  mesh,
  prefix: signingKeyPrefix(mesh),
  revocations: globalSecret(`dataplane-token-revocations-${mesh}`),
});
const globalPlace = (prefix: string, revocations: string): KeyPlace => ({
  kind: "GlobalSecret",
  mesh: "",
  prefix,
  revocations: globalSecret(revocations),
});
export const zoneTokenKeys = globalPlace("zone-token-signing-key", "zone-token-revocations");
/** On a zone that has a global: it gets the public halves only (interop 4.5). */
export const zoneTokenPublicKeys = globalPlace("zone-token-signing-public-key", "zone-token-revocations");
export const userTokenKeys = globalPlace("user-token-signing-key", "user-token-revocations");

/** Of tokens with which zones join; global's alone. */
export const joinTokenKeys = globalPlace("zone-join-signing-key", "zone-join-revocations");

/** Key 0 has no number in its name: that is what the only key was called once. */
export const signingKeyId = (place: KeyPlace, kid: string): ResourceId => ({
  kind: place.kind,
  mesh: place.mesh,
  name: kid === "0" ? place.prefix : `${place.prefix}-${kid}`,
});

/** A key to sign with. */
export interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
}

/** The content of a new signing key's Secret: RSA 2048, PKCS#1, PEM. */
export async function createSigningKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", { modulusLength: 2048 });
  return privateKey.export({ type: "pkcs1", format: "pem" }).toString();
}

/** What global sends to zones of a signing key: `RSA PUBLIC KEY`, PEM. */
export const publicKeyPem = (privateKeyPem: string): string =>
  createPublicKey(privateKeyPem).export({ type: "pkcs1", format: "pem" }).toString();

/** The key with the highest number, `undefined` if there is none. Throws `invalid`, naming the Secret, if it can't sign. */
export function latestSigningKey(place: KeyPlace, secrets: Iterable<Resource>): SigningKey | undefined {
  let latest: { readonly serial: number; readonly secret: Resource } | undefined;
  for (const secret of secrets) {
    const serial = serialOf(place, secret);
    if (serial !== undefined && serial > (latest?.serial ?? -1)) latest = { serial, secret };
  }
  if (latest === undefined) return undefined;
  const read = readSigningKey(secretData(latest.secret));
  if (read.ok && read.key.type === "private") return { kid: String(latest.serial), privateKey: read.key };
  const message = read.ok
    ? "must be a private key; it is a public one, which only verifies: have tokens issued by the global control plane, or with --signing-key"
    : read.reason;
  throw new KodiakError({ kind: "invalid", what: describeId(latest.secret), issues: [{ path: "data", message }] });
}

function serialOf(place: KeyPlace, { kind, mesh, name }: ResourceId): number | undefined {
  if (kind !== place.kind || mesh !== place.mesh || !name.startsWith(place.prefix)) return undefined;
  if (name === place.prefix) return 0;
  const digits = /^-([1-9]\d*)$/.exec(name.slice(place.prefix.length));
  return digits ? Number(digits[1]) : undefined;
}

export type ReadKey = { readonly ok: true; readonly key: KeyObject } | { readonly ok: false; readonly reason: string };

/** Reads what stock control planes read: PKCS#1, PEM or DER, and public keys. PKCS#8 would work here and fail in a stock zone. */
export function readSigningKey(content: Uint8Array): ReadKey {
  const text = Buffer.from(content).toString("latin1");
  if (text.includes("-----BEGIN PRIVATE KEY-----"))
    return {
      ok: false,
      reason: "must be PKCS#1 (BEGIN RSA PRIVATE KEY); it is PKCS#8, convert it with `openssl rsa -traditional`",
    };
  const key = parsedKey(content, text);
  if (key?.asymmetricKeyType !== "rsa") return { ok: false, reason: "must be an RSA key, PKCS#1 in PEM or DER" };
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return bits < 2048
    ? { ok: false, reason: `must be an RSA key of at least 2048 bits; it has ${bits}` }
    : { ok: true, key };
}

const publicHalf = (key: KeyObject): KeyObject => (key.type === "public" ? key : createPublicKey(key));

function parsedKey(content: Uint8Array, text: string): KeyObject | undefined {
  try {
    if (text.includes("PUBLIC KEY-----")) return createPublicKey(text);
    if (text.includes("-----BEGIN")) return createPrivateKey(text);
    return createPrivateKey({ key: Buffer.from(content), format: "der", type: "pkcs1" });
  } catch {
    return undefined;
  }
}

/** What a token is verified with. */
export interface VerifyingKeys {
  /** The public half of a key; `undefined`: there is none of this id. */
  keyOf(kid: string): ReadKey | undefined;
  /** Where that key is or would be, for messages. */
  placeOf(kid: string): string;
  isRevoked(tokenId: string): boolean;
}

/** Reading one takes longer than verifying with it, and all proxies of a mesh show tokens of the same key. */
const verifyingKeys = new WeakMap<Resource, ReadKey>();

function verifyingKeyIn(secret: Resource): ReadKey {
  const known = verifyingKeys.get(secret);
  if (known) return known;
  const read = readSigningKey(secretData(secret));
  const key: ReadKey = read.ok ? { ok: true, key: publicHalf(read.key) } : read;
  verifyingKeys.set(secret, key);
  return key;
}

/** `secretOf` reads a store. */
export const keysInSecrets = (place: KeyPlace, secretOf: (id: ResourceId) => Resource | undefined): VerifyingKeys => ({
  keyOf: (kid) => {
    const secret = secretOf(signingKeyId(place, kid));
    return secret && verifyingKeyIn(secret);
  },
  placeOf: (kid) => {
    const { kind, mesh, name } = signingKeyId(place, kid);
    return `${kind} of name "${name}"${mesh === "" ? "" : ` in mesh "${mesh}"`}`;
  },
  isRevoked: (tokenId) => {
    const secret = secretOf(place.revocations);
    return (
      secret !== undefined &&
      secretText(secret)
        .split(/[\s,]+/)
        .includes(tokenId)
    );
  },
});

// The form that all tokens share (interop 5.1): a compact JWS, RS256, whose `kid` names the key. Verifying gives the claims or a
// sentence; whoever checks a credential puts "authentication failed: " before it.

import type { KeyObject } from "node:crypto";
import { compactVerify, decodeJwt, decodeProtectedHeader, errors, SignJWT } from "jose";
import { z } from "zod";
import type { SigningKey, VerifyingKeys } from "#identity/signing-key.ts";
import { sha256Hex } from "#lib/hash.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

/** What is wrong with a token, in a word for counts. */
export type TokenFault =
  | "missing"
  | "malformed"
  | "algorithm"
  | "key"
  | "signature"
  | "expired"
  | "early"
  | "revoked"
  | "name"
  | "mesh"
  | "tags"
  | "type"
  | "workload"
  | "zone"
  | "scope";
/** `fault` `key`: there is no key of this id, which may yet come from global. */
export type Refused = { readonly ok: false; readonly fault: TokenFault; readonly reason: string };
export type Verified<Claims> = { readonly ok: true; readonly claims: Claims } | Refused;
export const refused = (fault: TokenFault, reason: string): Refused => ({ ok: false, fault, reason });
const unparsed = (fault: TokenFault, reason: string): Refused => refused(fault, `could not parse token: ${reason}`);

/** When and as what a token is issued. */
export interface Issuance {
  readonly now: number;
  readonly validForMs: number;
  /** A UUID; revocation lists name it. */
  readonly tokenId: string;
}

const algorithm = "RS256";
/** Those who verify grant no leeway, and their clocks may be behind. */
const backdatedSeconds = 5;

export function signToken(
  claims: JsonObject,
  key: SigningKey,
  { now, validForMs, tokenId }: Issuance,
): Promise<string> {
  const issued = Math.floor(now / 1000) - backdatedSeconds;
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: algorithm, kid: key.kid, typ: "JWT" })
    .setJti(tokenId)
    .setIssuedAt(issued)
    .setNotBefore(issued)
    .setExpirationTime(Math.floor((now + validForMs) / 1000))
    .sign(key.privateKey);
}

/** What a token says, be it true or not: to tell of one that was just signed. Throws on what is no token. */
export const unverifiedClaims = (token: string): JsonObject => decodeJwt(token) as JsonObject;

/**
 * `shape` reads the claims of one kind of token, by lower-case name: Kuma capitalises its own and takes any case. Every claim
 * may be absent, the registered ones too (checked live): a token without `exp` does not expire.
 */
export async function verifyToken<Claims>(
  token: string,
  keys: VerifyingKeys,
  now: number,
  shape: z.ZodType<Claims>,
): Promise<Verified<Claims>> {
  const found = keyOfToken(token, keys);
  if (!found.ok) return found;
  const signed = await signedClaims(token, found);
  if (!signed.ok) return signed;
  const refusal = refusalOf(signed.claims, keys, now);
  if (refusal) return refusal;
  const claims = shape.safeParse(signed.claims);
  return claims.success ? { ok: true, claims: claims.data } : malformedClaims(claims.error);
}

type FoundKey = { readonly ok: true; readonly key: KeyObject; readonly place: string } | Refused;

/** The header is its sender's word: it names a key, and nothing else in it decides how the token is verified. */
function keyOfToken(token: string, keys: VerifyingKeys): FoundKey {
  if (token === "") return unparsed("missing", "there is no token");
  const header = headerOf(token);
  if (!header) return unparsed("malformed", "token is malformed: it must be three base64url texts joined by dots");
  const { alg, kid } = header;
  // Kuma also takes HS256 by the bytes of an un-numbered key; a symmetric algorithm beside RSA invites confusion of the two.
  if (alg !== algorithm)
    return unparsed("algorithm", `token is signed with ${quoted(alg)}: the algorithm must be ${algorithm}`);
  if (kid === undefined) return unparsed("malformed", "token is unverifiable: JWT token must have kid header");
  if (typeof kid !== "string")
    return unparsed("malformed", "token is unverifiable: JWT token kid header must be a string");
  // It becomes part of a Secret's name.
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/.test(kid))
    return unparsed("malformed", `token is unverifiable: kid ${quoted(kid)} can't be the id of a signing key`);
  const place = keys.placeOf(kid);
  const read = keys.keyOf(kid);
  if (read === undefined)
    return refused(
      "key",
      `there is no signing key with KID ${kid}. ${place} is not found. If signing key was rotated, regenerate the token`,
    );
  return read.ok
    ? { ok: true, key: read.key, place }
    : unparsed("malformed", `token is unverifiable: ${place} ${read.reason}`);
}

function headerOf(token: string): JsonObject | undefined {
  try {
    const header: unknown = decodeProtectedHeader(token);
    return token.split(".").length === 3 && isObject(header) ? header : undefined;
  } catch {
    return undefined;
  }
}

/** What a key has signed, by the token's hash: who comes again and again costs one check of RSA. Whatever can change is checked each time. */
const signedBefore = new WeakMap<KeyObject, Map<string, JsonObject>>();
const mostRemembered = 1_000;

async function signedClaims(token: string, found: Extract<FoundKey, { ok: true }>): Promise<Verified<JsonObject>> {
  const known = signedBefore.get(found.key) ?? new Map<string, JsonObject>();
  signedBefore.set(found.key, known);
  const hash = sha256Hex(token);
  const before = known.get(hash);
  if (before) return { ok: true, claims: before };
  const signed = await checkedClaims(token, found);
  if (!signed.ok) return signed;
  known.set(hash, signed.claims);
  if (known.size > mostRemembered) for (const oldest of known.keys()) if (known.delete(oldest)) break;
  return signed;
}

async function checkedClaims(
  token: string,
  { key, place }: Extract<FoundKey, { ok: true }>,
): Promise<Verified<JsonObject>> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [algorithm] });
    const claims: unknown = JSON.parse(new TextDecoder().decode(payload));
    if (!isObject(claims)) return unparsed("malformed", "token is malformed: its claims must be an object");
    const byName = Object.entries(claims).map(([name, value]) => [name.toLowerCase(), value] as const);
    return { ok: true, claims: Object.fromEntries(byName) };
  } catch (error) {
    if (error instanceof errors.JWSSignatureVerificationFailed)
      return unparsed("signature", `token signature is invalid: it was not signed by ${place}`);
    if (error instanceof errors.JOSEError || error instanceof SyntaxError)
      return unparsed("malformed", `token is malformed: ${error.message}`);
    throw error;
  }
}

const registered = z.object({ exp: z.number().nullish(), nbf: z.number().nullish(), jti: z.string().nullish() });

function refusalOf(claims: JsonObject, keys: VerifyingKeys, now: number): Refused | undefined {
  const read = registered.safeParse(claims);
  if (!read.success) return malformedClaims(read.error);
  const { exp, nbf, jti } = read.data;
  if (typeof exp === "number" && now >= exp * 1000)
    return unparsed("expired", `token has invalid claims: token is expired, since ${time(exp)}`);
  if (typeof nbf === "number" && now < nbf * 1000)
    return refused(
      "early",
      "token is not yet valid: 'valid_from' date is in the future. Check if the system clock on the instance that issued " +
        `the token is set correctly: it is valid from ${time(nbf)}`,
    );
  return typeof jti === "string" && keys.isRevoked(jti) ? refused("revoked", "token is revoked") : undefined;
}

const malformedClaims = (error: z.ZodError): Refused =>
  unparsed(
    "malformed",
    `token has invalid claims: ${error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ")}`,
  );

/** What a stranger wrote, short enough for a log. */
const quoted = (value: unknown): string => JSON.stringify(value)?.slice(0, 80) ?? "nothing";

const time = (seconds: number): string => {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? `${seconds} s` : date.toISOString();
};

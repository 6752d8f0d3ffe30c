// Encryption of single values, by AES-256-GCM: a sealed value opens only with the key and in the place for which it was made,
// so that whoever can write the file can't put one row's value into another.
//
//   nonce (12 bytes, random) │ tag (16) │ ciphertext

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import type { StoreKey, StoreKeys } from "#store/keys.ts";

export interface Sealing {
  /** Id of the key with which it seals. */
  readonly key: string;
  has(key: string): boolean;
  /** `place`: what the value belongs to. */
  seal(place: readonly string[], value: string | Uint8Array): Uint8Array;
  /** Throws if it was sealed with another key or for another place, or has been changed. */
  open(key: string, place: readonly string[], sealed: Uint8Array): Buffer;
}

const algorithm = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

export function sealing(keys: StoreKeys): Sealing {
  const [first] = keys;
  const byId = new Map<string, StoreKey>(keys.map((key) => [key.id, key]));
  return {
    key: first.id,
    has: (key) => byId.has(key),
    seal(place, value) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(algorithm, first.secret, nonce).setAAD(bytesOf(place));
      const text = typeof value === "string" ? cipher.update(value, "utf8") : cipher.update(value);
      cipher.final();
      return Buffer.concat([nonce, cipher.getAuthTag(), text]);
    },
    open(key, place, sealed) {
      const secret = byId.get(key)?.secret;
      if (secret === undefined) throw new Error(`no key ${key}`);
      const decipher = createDecipheriv(algorithm, secret, sealed.subarray(0, nonceBytes), { authTagLength: tagBytes });
      decipher.setAAD(bytesOf(place)).setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
      const text = decipher.update(sealed.subarray(nonceBytes + tagBytes));
      decipher.final();
      return text;
    },
  };
}

const bytesOf = (place: readonly string[]): Buffer => Buffer.from(JSON.stringify(place));

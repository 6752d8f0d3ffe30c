// Hashes that other programs compute too; the only file of the pure folders that imports from node:*.

import { createHash } from "node:crypto";

export const sha256Hex = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
export const sha256Base64 = (text: string): string => createHash("sha256").update(text).digest("base64");

const fnvOffset = 0xcbf29ce484222325n;
const fnvPrime = 0x100000001b3n;

/** FNV-1a, 64 bits, over UTF-8: 16 lower-case hex digits. http://www.isthe.com/chongo/tech/comp/fnv/ */
export function fnv1a64Hex(text: string): string {
  let hash = fnvOffset;
  for (const byte of new TextEncoder().encode(text)) hash = ((hash ^ BigInt(byte)) * fnvPrime) & 0xffffffffffffffffn;
  return hash.toString(16).padStart(16, "0");
}

// The keys that encrypt what a store keeps. They come from outside of the store, or lie in a file beside it that is made at the
// first start: that file protects copies of the database alone, not of the whole folder (decision 12).

import { createSecretKey, type KeyObject, randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { readTextFile } from "#host/text-file.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";

export interface StoreKey {
  readonly id: string;
  /** 32 bytes, for AES-256. */
  readonly secret: KeyObject;
}

/** The first encrypts, all decrypt. */
export type StoreKeys = readonly [StoreKey, ...StoreKey[]];

const sizeBytes = 32;
const howToMake = "make one with `openssl rand -base64 32`";

/**
 * One key a line: `<id> <base64 of 32 bytes>`; empty lines and those that begin with `#` are skipped. `source`: what the text
 * is called in messages. Throws `invalid` with the numbers of wrong lines, whose content is not shown.
 */
export function parseStoreKeys(text: string, source: string): StoreKeys {
  const issues: Issue[] = [];
  const keys = new Map<string, StoreKey>();
  for (const [index, line] of text.split("\n").entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const wrong = (message: string) => issues.push({ path: `line ${index + 1}`, message });
    const [id = "", base64 = "", ...rest] = line.trim().split(/\s+/);
    if (base64 === "" || rest.length > 0) wrong("must be an id and a key in base64, separated by a space");
    else if (!/^[\w.-]{1,64}$/.test(id)) wrong("must begin with an id of at most 64 letters, digits, '.', '_' and '-'");
    else if (keys.has(id)) wrong(`must have another id than a line above: ${id}`);
    else if (!isKey(base64)) wrong(`the key ${id} must be the base64 of ${sizeBytes} bytes; ${howToMake}`);
    else keys.set(id, { id, secret: createSecretKey(base64, "base64") });
  }
  const [first, ...others] = keys.values();
  if (first === undefined && issues.length === 0) issues.push({ path: "", message: `must hold a key; ${howToMake}` });
  if (first === undefined || issues.length > 0) throw new KodiakError({ kind: "invalid", what: source, issues });
  return [first, ...others];
}

/** Node reads base64 leniently: what does not come back as it was had something in it that is none. */
function isKey(base64: string): boolean {
  const bytes = Buffer.from(base64, "base64");
  return bytes.length === sizeBytes && bytes.toString("base64") === base64;
}

/** Those of the file; `undefined` if there is none. */
export const storeKeysIn = (file: string): StoreKeys | undefined =>
  existsSync(file) ? parseStoreKeys(readTextFile(file), file) : undefined;

/** Writes a file with one new key, readable by its owner alone; on the disk before anything is encrypted with it. */
export function makeStoreKeys(file: string, id: string): StoreKeys {
  const text = `# Without this file ${dirname(file)} can't be read: keep a copy, apart from copies of the store.
${id} ${randomBytes(sizeBytes).toString("base64")}
`;
  try {
    const beside = `${file}.new`;
    rmSync(beside, { force: true });
    written(openSync(beside, "wx", 0o600), text);
    renameSync(beside, file);
    written(openSync(dirname(file), "r"), "");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KodiakError({ kind: "unavailable", what: `cannot write ${file}: ${why}` }, { cause: error });
  }
  return parseStoreKeys(text, file);
}

function written(descriptor: number, text: string): void {
  try {
    if (text !== "") writeSync(descriptor, text);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

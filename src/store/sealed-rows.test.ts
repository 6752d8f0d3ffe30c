// Who has the file of a store and not its keys reads nothing of it, and can't make it say something else.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { KodiakError } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { parseStoreKeys, type StoreKeys } from "#store/keys.ts";
import { schemaSteps } from "#store/schema.ts";
import { sqliteFileName, sqliteStore, storeKeysFileName } from "#store/sqlite.ts";

const line = (id: string): string => `${id} ${randomBytes(32).toString("base64")}`;
const keysOf = (...lines: string[]): StoreKeys => parseStoreKeys(lines.join("\n"), "keys");

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "kodiak-sealed-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface Opened {
  readonly store: Store;
  /** As `onSealedAgain` says it. */
  readonly sealedAgain: readonly (readonly [number, string])[];
}

function open(folder: string, keys?: StoreKeys): Opened {
  const sealedAgain: (readonly [number, string])[] = [];
  const store = sqliteStore(folder, Date, crypto, {
    ...(keys && { keys }),
    onSealedAgain: (rows, key) => sealedAgain.push([rows, key]),
  });
  return { store, sealedAgain };
}
const crypto = { uuid: () => globalThis.crypto.randomUUID() };

function raw(t: TestContext, folder: string): DatabaseSync {
  const database = new DatabaseSync(join(folder, sqliteFileName));
  t.after(() => database.isOpen && database.close());
  return database;
}

const resource = (kind: string, name: string, marker: string): Resource => ({
  ...{ kind, mesh: kind === "Secret" ? "default" : "", name, labels: {}, spec: { data: marker } },
  wire: Buffer.from(`${marker} in bytes`),
  creationTime: "0001-01-01T00:00:00Z",
  modificationTime: "0001-01-01T00:00:00Z",
});
const put = (...resources: Resource[]) => resources.map((resource) => ({ kind: "put", resource }) as const);
const note = (key: string, before: string | undefined, after: string | undefined) =>
  ({ kind: "note", key, before, after }) as const;
const dataOf = (store: Store, id: Resource) => {
  const { spec, wire } = store.get(id) ?? {};
  return [spec?.data, wire && Buffer.from(wire).toString()];
};
const isUnavailable = (pattern: RegExp) => (error: unknown) =>
  error instanceof KodiakError && error.failure.kind === "unavailable" && pattern.test(error.message);

/** Files of the folder in which the text is. */
const filesWith = (folder: string, text: string): readonly string[] =>
  readdirSync(folder).filter((file) => readFileSync(join(folder, file)).includes(text));

const secret = resource("Secret", "password", "hunter2-the-first");
const globalSecret = resource("GlobalSecret", "signing-key", "hunter2-signs");
const mesh = resource("Mesh", "with-its-key-inline", "hunter2-inline");

test("nothing of it is readable in any file: not what is there, what was replaced, what was deleted", async (t) => {
  const folder = temporaryFolder(t);
  const { store } = open(folder);
  await store.write([...put(secret, globalSecret, mesh), note("certificate x", undefined, "hunter2-leaf")]);
  await store.write([
    ...put(resource("Secret", "password", "hunter2-the-second")),
    note("certificate x", "hunter2-leaf", undefined),
  ]);
  await store.write([{ kind: "delete", id: globalSecret }, ...put(resource("ZoneInsight", "z", "a-record"))]);
  assert.deepEqual(filesWith(folder, "hunter2"), []);
  assert.deepEqual(filesWith(folder, "a-record"), [`${sqliteFileName}-wal`], "records are as they are");
  await store.close();
  assert.deepEqual(filesWith(folder, "hunter2"), []);
  assert.deepEqual(filesWith(folder, "a-record"), [sqliteFileName]);
});

test("a store without given keys makes its own, once, for its owner alone; without them it is refused, and none are made", async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, storeKeysFileName);
  const first = open(folder).store;
  await first.write(put(secret));
  await first.close();
  const made = readFileSync(file, "utf8");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const second = open(folder).store;
  assert.deepEqual(dataOf(second, secret), ["hunter2-the-first", "hunter2-the-first in bytes"]);
  await second.close();
  assert.equal(readFileSync(file, "utf8"), made);

  rmSync(file);
  const id = /^([\w-]+) /m.exec(made)?.[1];
  const sentence = `^the store .*kodiak.db is encrypted with the key "${id}", which is not in ${file}; put that file back$`;
  assert.throws(() => open(folder), isUnavailable(new RegExp(sentence)));
  assert.deepEqual(readdirSync(folder), [sqliteFileName]);
});

test("a new key in front encrypts all of it again at the next start; the old one can go then", async (t) => {
  const folder = temporaryFolder(t);
  const [old, young] = [line("the-old-one"), line("the-new-one")];
  const first = open(folder, keysOf(old));
  await first.store.write([...put(secret, globalSecret), note("n", undefined, "hunter2-leaf")]);
  await first.store.write(put(resource("ZoneInsight", "z", "a-record")));
  await first.store.close();
  assert.throws(
    () => open(folder, keysOf(young)),
    isUnavailable(
      /is encrypted with the key "the-old-one", which is not among those given; add its line, after the first$/,
    ),
  );
  const both = open(folder, keysOf(young, old));
  assert.deepEqual(both.sealedAgain, [[3, "the-new-one"]]);
  assert.deepEqual(dataOf(both.store, secret), ["hunter2-the-first", "hunter2-the-first in bytes"]);
  assert.deepEqual(filesWith(folder, "the-old-one"), [], "the old ciphertext is gone, too");
  await both.store.close();
  const alone = open(folder, keysOf(young));
  assert.deepEqual(alone.sealedAgain, []);
  assert.deepEqual(dataOf(alone.store, globalSecret), ["hunter2-signs", "hunter2-signs in bytes"]);
  assert.equal(alone.store.note("n"), "hunter2-leaf");
  assert.equal(alone.store.get(resource("ZoneInsight", "z", ""))?.spec.data, "a-record");
  await alone.store.close();
});

test("another key of the same id is refused, and says so", async (t) => {
  const folder = temporaryFolder(t);
  const { store } = open(folder, keysOf(line("k")));
  await store.write(put(secret));
  await store.close();
  assert.throws(
    () => open(folder, keysOf(line("k"))),
    isUnavailable(
      /: Secret "password" in mesh "default" can't be decrypted with the key "k": it has been changed, or the/,
    ),
  );
});

const forgeries: Readonly<Record<string, string>> = {
  "another row's body":
    "UPDATE resource SET body = (SELECT body FROM resource WHERE name = 'signing-key') WHERE name = 'password'",
  "its wire as its body": "UPDATE resource SET body = wire WHERE name = 'password'",
  "another name": "UPDATE resource SET name = 'admin' WHERE name = 'password'",
  "a byte more": "UPDATE resource SET body = CAST(body || x'00' AS BLOB) WHERE name = 'password'",
  "a body cut short": "UPDATE resource SET body = substr(body, 1, 20) WHERE name = 'password'",
  "one that is not encrypted":
    "UPDATE resource SET body = CAST('{\"spec\":{}}' AS BLOB), sealed_with = '' WHERE name = 'password'",
  "another note's text": "UPDATE note SET value = (SELECT value FROM note WHERE key = 'b') WHERE key = 'a'",
  "a note that is not encrypted": "UPDATE note SET value = CAST('x' AS BLOB), sealed_with = '' WHERE key = 'a'",
  "those of another store": "UPDATE store SET id = 'another'",
};
for (const [what, sql] of Object.entries(forgeries))
  test(`whoever writes into the file is found out: ${what}`, async (t) => {
    const folder = temporaryFolder(t);
    const keys = keysOf(line("k"));
    const { store } = open(folder, keys);
    await store.write([...put(secret, globalSecret), note("a", undefined, "1"), note("b", undefined, "2")]);
    await store.close();
    const database = raw(t, folder);
    assert.equal(database.prepare(sql).run().changes, 1);
    database.close();
    assert.throws(() => open(folder, keys), isUnavailable(/can't be decrypted with the key "k?": it has been changed/));
  });

test("a store from before it was encrypted is encrypted; nothing readable is left but in the copy", async (t) => {
  const folder = temporaryFolder(t);
  const database = raw(t, folder);
  for (const step of schemaSteps.slice(0, 2)) database.exec(step);
  database.exec("PRAGMA user_version = 2; INSERT INTO store VALUES ('old', 7)");
  const add = database.prepare("INSERT INTO resource VALUES (?, ?, ?, ?, ?)");
  const old = ({ kind, mesh, name, labels, spec, creationTime, modificationTime, wire = new Uint8Array() }: Resource) =>
    add.run(kind, mesh, name, JSON.stringify({ labels, spec, creationTime, modificationTime }), wire);
  for (const one of [secret, globalSecret, resource("ZoneInsight", "z", "a-record")]) old(one);
  database.exec("INSERT INTO note VALUES ('n', 'hunter2-leaf')");
  // Many, so that whole pages become free.
  database.exec("BEGIN");
  for (let i = 0; i < 200; i++) old(resource("Secret", `deleted-${i}`, `hunter2-deleted-${i}`.repeat(20)));
  database.exec("DELETE FROM resource WHERE name LIKE 'deleted-%'; COMMIT");
  database.close();
  assert.deepEqual(
    filesWith(folder, "hunter2-deleted"),
    [sqliteFileName],
    "SQLite leaves what is deleted where it was",
  );

  const { store, sealedAgain } = open(folder);
  const copy = `${sqliteFileName}.v2`;
  assert.deepEqual(filesWith(folder, "hunter2"), [copy]);
  assert.deepEqual([store.id, store.revision, sealedAgain], ["old", 7, []]);
  assert.deepEqual(dataOf(store, secret), ["hunter2-the-first", "hunter2-the-first in bytes"]);
  assert.equal(store.note("n"), "hunter2-leaf");
  assert.equal(store.get(resource("ZoneInsight", "z", ""))?.spec.data, "a-record");
  await store.close();
  assert.deepEqual(filesWith(folder, "hunter2"), [copy]);
});

test("remains that a crash has left in free pages are removed at the next start", async (t) => {
  const folder = temporaryFolder(t);
  await open(folder).store.close();
  const database = raw(t, folder);
  database.exec("PRAGMA secure_delete = OFF; CREATE TABLE freed (text TEXT)");
  const add = database.prepare("INSERT INTO freed VALUES (?)");
  database.exec("BEGIN");
  for (let i = 0; i < 200; i++) add.run(`hunter2-${i}`.repeat(20));
  database.exec("COMMIT; DROP TABLE freed; UPDATE store SET remains = 1");
  database.close();
  assert.deepEqual(filesWith(folder, "hunter2"), [sqliteFileName]);
  const { store } = open(folder);
  assert.deepEqual(filesWith(folder, "hunter2"), []);
  await store.close();
});

test("keys are refused with what is wrong with which line, and without their content", () => {
  const issuesOf = (text: string): string => {
    try {
      parseStoreKeys(text, "keys");
    } catch (error) {
      if (error instanceof KodiakError) return error.message;
      throw error;
    }
    return "";
  };
  const key = randomBytes(32).toString("base64");
  assert.deepEqual(
    parseStoreKeys(`# comment\n\n a ${key} \r\nb\t${line("").trim()}\n`, "keys").map(({ id }) => id),
    ["a", "b"],
  );
  assert.match(issuesOf(" \n# none\n"), /^keys: must hold a key; make one with `openssl rand -base64 32`$/);
  assert.equal(issuesOf(`a ${key}\n${key}`), "keys: line 2: must be an id and a key in base64, separated by a space");
  assert.equal(issuesOf(`a ${key} x`), "keys: line 1: must be an id and a key in base64, separated by a space");
  assert.match(issuesOf(`a/b ${key}`), /^keys: line 1: must begin with an id of at most 64/);
  assert.equal(issuesOf(`a ${key}\na ${key}`), "keys: line 2: must have another id than a line above: a");
  for (const wrong of [key.slice(4), key.slice(0, -1), `${key.slice(0, -2)}!=`])
    assert.match(
      issuesOf(`a ${wrong}`),
      /^keys: line 1: the key a must be the base64 of 32 bytes; make one with `openssl/,
    );
});

// A file of an older version becomes one of this version, and nothing of it is lost on the way.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { migrate, schemaSteps } from "#store/schema.ts";

const steps = [
  "CREATE TABLE animal (name TEXT NOT NULL) STRICT",
  "ALTER TABLE animal ADD COLUMN legs INTEGER NOT NULL DEFAULT 4",
  "UPDATE animal SET legs = 8 WHERE name = 'spider'",
];
const animals = (database: DatabaseSync) => database.exec("INSERT INTO animal (name) VALUES ('cat'), ('spider')");
const unexpected = () => assert.fail();
const versionOf = (database: DatabaseSync) => database.prepare("PRAGMA user_version").get()?.user_version;

function stored(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "kodiak-schema-"));
  const file = join(folder, "kodiak.db");
  const database = new DatabaseSync(file);
  t.after(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  return { folder, file, database };
}

test("a new file gets all steps, what completes them, and no copy", (t) => {
  const { folder, file, database } = stored(t);
  const complete = () => database.exec("INSERT INTO animal (name) VALUES ('dog')");
  assert.deepEqual(migrate(database, file, complete, steps), { from: 0, to: 3 });
  assert.deepEqual({ ...database.prepare("SELECT * FROM animal").get() }, { name: "dog", legs: 4 });
  assert.deepEqual(migrate(database, file, unexpected, steps), { from: 3, to: 3 });
  assert.deepEqual(readdirSync(folder), ["kodiak.db"]);
});

test("an older file gets the steps that it lacks, after a copy that only its owner can read", (t) => {
  const { folder, file, database } = stored(t);
  migrate(database, file, () => animals(database), steps.slice(0, 1));
  const copy = join(folder, "kodiak.db.v1");
  const completed: number[] = [];
  assert.deepEqual(
    migrate(database, file, (from) => completed.push(from), steps),
    { from: 1, to: 3, copy },
  );
  assert.deepEqual(completed, [1]);
  const legs = database.prepare("SELECT name, legs FROM animal").all();
  assert.deepEqual(
    legs.map((row) => ({ ...row })),
    [
      { name: "cat", legs: 4 },
      { name: "spider", legs: 8 },
    ],
  );
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  const before = new DatabaseSync(copy);
  assert.deepEqual([versionOf(before), before.prepare("SELECT * FROM animal").all().length], [1, 2]);
  before.close();
});

test("a step that fails leaves the file as it was, and the next attempt succeeds", (t) => {
  const { folder, file, database } = stored(t);
  migrate(database, file, () => animals(database), steps.slice(0, 1));
  assert.throws(
    () => migrate(database, file, unexpected, [...steps.slice(0, 2), "INSERT INTO missing VALUES (1)"]),
    /could not be brought from schema version 1 to 3: no such table: missing; it was left as it was/,
  );
  assert.equal(versionOf(database), 1);
  assert.equal(migrate(database, file, () => {}, steps).to, 3);
  assert.deepEqual(readdirSync(folder).sort(), ["kodiak.db", "kodiak.db.v1"]);
});

test("without a copy nothing is changed", (t) => {
  const { file, database } = stored(t);
  migrate(database, file, () => animals(database), steps.slice(0, 1));
  assert.throws(() => migrate(database, "/nowhere/kodiak.db", unexpected, steps), /could not be copied before/);
  assert.equal(versionOf(database), 1);
  assert.equal(migrate(database, file, () => {}, steps).to, 3);
});

test("a file of a newer version is refused, and not touched", (t) => {
  const { folder, file, database } = stored(t);
  database.exec("PRAGMA user_version = 999");
  assert.throws(
    () => migrate(database, file, unexpected),
    /made by a newer Kodiak \(its schema version is 999, this one/,
  );
  assert.equal(versionOf(database), 999);
  assert.deepEqual(readdirSync(folder), ["kodiak.db"]);
  assert.ok(schemaSteps.length < 999);
});

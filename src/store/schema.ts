// The tables of a store's file, and how a file of an older version becomes one of this version: step by step, all steps in one
// transaction, after a copy of the file as it was has been made beside it.

import { closeSync, openSync, renameSync, rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { KodiakError } from "#lib/failure.ts";

/** Each leads from the version before to the next; the first makes a new store. A step that was released is never changed. */
export const schemaSteps: readonly string[] = [
  `CREATE TABLE store (id TEXT NOT NULL, revision INTEGER NOT NULL) STRICT;
   CREATE TABLE resource (
     kind TEXT NOT NULL, mesh TEXT NOT NULL, name TEXT NOT NULL,
     body TEXT NOT NULL, -- JSON: all else but wire
     wire BLOB,
     PRIMARY KEY (kind, mesh, name)
   ) STRICT, WITHOUT ROWID;`,
  `CREATE TABLE opening (number INTEGER PRIMARY KEY, id TEXT NOT NULL, revision INTEGER NOT NULL) STRICT;
   CREATE TABLE note (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE tombstone (
     kind TEXT NOT NULL, mesh TEXT NOT NULL, name TEXT NOT NULL,
     labels TEXT NOT NULL, -- JSON
     revision INTEGER NOT NULL, -- in which it was deleted
     deleted INTEGER NOT NULL, -- when, in milliseconds
     PRIMARY KEY (kind, mesh, name)
   ) STRICT, WITHOUT ROWID;`,
  // sealed_with: id of the key that encrypts the row; empty: none does. What was there is encrypted by `sealed-rows.ts`.
  `ALTER TABLE store ADD COLUMN remains INTEGER NOT NULL DEFAULT 0; -- 1: free pages may hold what is encrypted with another key, or none
   ALTER TABLE resource RENAME TO plain_resource;
   CREATE TABLE resource (
     kind TEXT NOT NULL, mesh TEXT NOT NULL, name TEXT NOT NULL,
     sealed_with TEXT NOT NULL,
     body BLOB NOT NULL, -- JSON: all else but wire
     wire BLOB,
     PRIMARY KEY (kind, mesh, name)
   ) STRICT, WITHOUT ROWID;
   INSERT INTO resource SELECT kind, mesh, name, '', CAST(body AS BLOB), wire FROM plain_resource;
   DROP TABLE plain_resource;
   ALTER TABLE note RENAME TO plain_note;
   CREATE TABLE note (
     key TEXT NOT NULL PRIMARY KEY,
     sealed_with TEXT NOT NULL,
     value BLOB NOT NULL
   ) STRICT, WITHOUT ROWID;
   INSERT INTO note SELECT key, '', CAST(value AS BLOB) FROM plain_note;
   DROP TABLE plain_note;`,
];

/** From this version on, rows are encrypted. */
export const sealedSince = 3;

export interface Migrated {
  /** 0: the file was new. */
  readonly from: number;
  readonly to: number;
  /** Of the file as it was; absent for one that was new, or is as it should be. */
  readonly copy?: string;
}

/**
 * Brings the file to the version of the last step; its version is kept in it as `user_version`. What steps in
 * SQL can't do, `complete` does after them, in the same transaction: `from` 0 is a new file. Throws `unavailable`: the file is of a newer version, it could not be copied
 * (then nothing was changed), or a step failed (the file is as it was).
 */
export function migrate(
  database: DatabaseSync,
  file: string,
  complete: (from: number) => void,
  steps: readonly string[] = schemaSteps,
): Migrated {
  const from = Number(database.prepare("PRAGMA user_version").get()?.user_version);
  const to = steps.length;
  if (from > to)
    throw unavailable(
      `the store ${file} was made by a newer Kodiak (its schema version is ${from}, this one knows up to ${to}); run that version or give another folder`,
    );
  if (from === to) return { from, to };
  const copy = from === 0 ? undefined : copied(database, file, from);
  try {
    inTransaction(database, () => {
      for (const step of steps.slice(from)) database.exec(step);
      complete(from);
      database.exec(`PRAGMA user_version = ${to}`);
    });
  } catch (error) {
    const what = `the store ${file} could not be brought from schema version ${from} to ${to}: ${reason(error)}`;
    throw unavailable(`${what}; it was left as it was, run the version of Kodiak that made it`, error);
  }
  return { from, to, ...(copy !== undefined && { copy }) };
}

/** Beside the file, named after its version: `kodiak.db.v1`. It takes its name when it is whole. */
function copied(database: DatabaseSync, file: string, version: number): string {
  const copy = `${file}.v${version}`;
  const unfinished = `${copy}.unfinished`;
  try {
    rmSync(unfinished, { force: true });
    // Made first, because secrets are in there: SQLite writes into an empty file, and would make one that others can read.
    closeSync(openSync(unfinished, "wx", 0o600));
    database.prepare("VACUUM INTO ?").run(unfinished);
    renameSync(unfinished, copy);
    return copy;
  } catch (error) {
    rmSync(unfinished, { force: true });
    const what = `the store ${file} is of an older version and could not be copied before it is changed: ${reason(error)}`;
    throw unavailable(`${what}; make room or give a folder that is writable`, error);
  }
}

export function inTransaction(database: DatabaseSync, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    // A full disk may have ended the transaction already.
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

const unavailable = (what: string, cause?: unknown): KodiakError =>
  new KodiakError({ kind: "unavailable", what }, { cause });
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

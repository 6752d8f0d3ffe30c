// A store in one file of a folder, over Node's own SQLite: write-ahead log, synchronous FULL, so that what was acknowledged
// outlives a loss of power. The file belongs to one process at a time; reads come from memory. What it keeps is encrypted.

import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Clock, Random } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import { type Store, type Tombstone, tombstonesLastMs } from "#resources/store.ts";
import { type Entry, groupedStore, type Journal, type Opening } from "#store/grouped.ts";
import { makeStoreKeys, type StoreKeys, storeKeysIn } from "#store/keys.ts";
import { inTransaction, type Migrated, migrate, sealedSince } from "#store/schema.ts";
import { keysNeeded, type SealedRows, sealedRows } from "#store/sealed-rows.ts";
import { sealing } from "#store/sealing.ts";
import { tombstonesOf } from "#store/tombstone.ts";

export const sqliteFileName = "kodiak.db";

/** In the folder; made at the first start if no keys are given. */
export const storeKeysFileName = "store-keys";

export interface StoreOptions {
  /** Else those of the folder's own file. */
  readonly keys?: StoreKeys;
  /** A file of an older version is of this one now. */
  onMigrated?(migrated: Migrated): void;
  /** So many rows had another key or none, and have the first one now. */
  onSealedAgain?(rows: number, key: string): void;
  /** One commit is durable; how long that took. */
  onCommit?(durationMs: number): void;
}

/**
 * Opens or makes the store of a folder. Throws `unavailable`: folder not writable, file in use, made by a newer version, a key is
 * missing or is not the one with which something was encrypted; `invalid`: the folder's own file of keys is not one.
 */
export const sqliteStore = (
  folder: string,
  clock: Pick<Clock, "now">,
  random: Pick<Random, "uuid">,
  options: StoreOptions = {},
): Store => groupedStore(openJournal(folder, clock, random.uuid, options), clock.now);

type Now = Pick<Clock, "now">;

function openJournal(folder: string, clock: Now, newId: () => string, options: StoreOptions): Journal {
  const database = openDatabase(folder);
  try {
    return journalOf(database, folder, clock, newId, options);
  } catch (error) {
    database.close();
    throw error;
  }
}

/** A connection that holds the file's lock and writes through to the disk. */
export function openDatabase(folder: string): DatabaseSync {
  const file = join(folder, sqliteFileName);
  let database: DatabaseSync | undefined;
  try {
    // Secrets and signing keys are in there: nobody else may read them, not even for the moment before a chmod.
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    closeSync(openSync(file, "a", 0o600));
    chmodSync(file, 0o600);
    database = new DatabaseSync(file);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    // What is deleted is overwritten.
    database.exec("PRAGMA secure_delete = ON");
    // The lock is taken with the first transaction and kept.
    database.exec("BEGIN IMMEDIATE; COMMIT");
    return database;
  } catch (error) {
    database?.close();
    const what = /locked/.test(reason(error))
      ? `the store ${file} is in use by another control plane; stop that one or give another folder`
      : `cannot open the store ${file}: ${reason(error)}; give a folder that is writable`;
    throw new KodiakError({ kind: "unavailable", what }, { cause: error });
  }
}

function journalOf(
  database: DatabaseSync,
  folder: string,
  clock: Now,
  newId: () => string,
  options: StoreOptions,
): Journal {
  const file = join(folder, sqliteFileName);
  const rows = openRows(database, folder, newId, options);

  const { id, revision } = database.prepare("SELECT id, revision FROM store").get() ?? {};
  const remove = database.prepare("DELETE FROM resource WHERE kind = ? AND mesh = ? AND name = ?");
  const setRevision = database.prepare("UPDATE store SET revision = ?");
  const endNote = database.prepare("DELETE FROM note WHERE key = ?");
  const bury = database.prepare(
    "INSERT OR REPLACE INTO tombstone (kind, mesh, name, labels, revision, deleted) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const buried = database.prepare(
    "SELECT kind, mesh, name, labels, revision FROM tombstone WHERE kind = ? AND revision > ? AND deleted > ?",
  );
  const forget = database.prepare("DELETE FROM tombstone WHERE deleted <= ?");
  let forgotAt = Number.NEGATIVE_INFINITY;
  return {
    id: String(id),
    revision: Number(revision),
    resources: rows.resources(),
    openings: opened(database, { id: newId(), revision: Number(revision) }),
    notes: rows.notes(),
    tombstones: (kind, since) => buried.all(kind, since, clock.now() - tombstonesLastMs).map(tombstoneOf),
    append: (entry) => {
      const beganMs = performance.now();
      try {
        inTransaction(database, () => write(entry));
      } catch (error) {
        throw new KodiakError(
          { kind: "unavailable", what: `cannot write to the store ${file}: ${reason(error)}` },
          { cause: error },
        );
      }
      options.onCommit?.(performance.now() - beganMs);
    },
    close: () => database.close(),
  };

  function write(entry: Entry): void {
    for (const { id, after } of entry.changes) {
      if (!after) remove.run(id.kind, id.mesh, id.name);
      else rows.put(after);
    }
    for (const { kind, mesh, name, labels, revision } of tombstonesOf(entry))
      bury.run(kind, mesh, name, JSON.stringify(labels), revision, clock.now());
    for (const [key, value] of entry.notes) {
      if (value === undefined) endNote.run(key);
      else rows.putNote(key, value);
    }
    setRevision.run(entry.revision);
    forgetSometimes();
  }

  /** From the disk: once a day is enough for what lasts thirty. */
  function forgetSometimes(): void {
    const now = clock.now();
    if (now < forgotAt + dayMs) return;
    forget.run(now - tombstonesLastMs);
    forgotAt = now;
  }
}

/** Brings the file to this version and to the first key. */
function openRows(database: DatabaseSync, folder: string, newId: () => string, options: StoreOptions): SealedRows {
  const file = join(folder, sqliteFileName);
  const withKeys = (): { readonly rows: SealedRows; readonly key: string } => {
    const made = sealing(keysFor(database, folder, newId, options.keys));
    return { rows: sealedRows(database, file, made), key: made.key };
  };
  const leaveRemains = (): void => database.exec("UPDATE store SET remains = 1");
  const migrated = migrate(database, file, (from) => {
    if (from === 0) database.prepare("INSERT INTO store (id, revision) VALUES (?, 0)").run(newId());
    else if (from < sealedSince) {
      withKeys().rows.sealAgain("plain");
      leaveRemains();
    }
  });
  if (migrated.copy !== undefined) options.onMigrated?.(migrated);

  const { rows, key } = withKeys();
  let again = 0;
  inTransaction(database, () => {
    again = rows.sealAgain("others");
    if (again > 0) leaveRemains();
  });
  if (again > 0) options.onSealedAgain?.(again, key);
  if (database.prepare("SELECT remains FROM store").get()?.remains === 1) removeRemains(database, file);
  return rows;
}

/** Throws `unavailable` if a row needs a key that is not there; one is made only where none is needed. */
function keysFor(database: DatabaseSync, folder: string, newId: () => string, given: StoreKeys | undefined): StoreKeys {
  const own = join(folder, storeKeysFileName);
  const needed = keysNeeded(database);
  const keys = given ?? storeKeysIn(own) ?? (needed.length === 0 ? makeStoreKeys(own, newId().slice(0, 8)) : []);
  const missing = needed.filter((key) => !keys.some(({ id }) => id === key));
  const [first, ...others] = keys;
  if (first !== undefined && missing.length === 0) return [first, ...others];
  const names = missing.map((key) => JSON.stringify(key)).join(", ");
  const what = `the store ${join(folder, sqliteFileName)} is encrypted with the key ${names}, which is not`;
  const where =
    given === undefined ? `in ${own}; put that file back` : "among those given; add its line, after the first";
  throw new KodiakError({ kind: "unavailable", what: `${what} ${where}` });
}

/** What was written before it was encrypted, or with a key that is to go: out of the file's free pages and the log beside it. */
function removeRemains(database: DatabaseSync, file: string): void {
  try {
    database.exec("VACUUM; UPDATE store SET remains = 0; PRAGMA wal_checkpoint(TRUNCATE)");
  } catch (error) {
    const what = `cannot remove from the store ${file} what was there before it was encrypted anew: ${reason(error)}; make room`;
    throw new KodiakError({ kind: "unavailable", what }, { cause: error });
  }
}

const dayMs = 86_400_000;
/** Peers that saw only earlier ones are treated as those of another store. */
const openingsKept = 1_000;

function opened(database: DatabaseSync, { id, revision }: Opening): readonly Opening[] {
  database.prepare("INSERT INTO opening (id, revision) VALUES (?, ?)").run(id, revision);
  database.exec(`DELETE FROM opening WHERE number <= (SELECT max(number) FROM opening) - ${openingsKept}`);
  const rows: readonly Row[] = database.prepare("SELECT id, revision FROM opening ORDER BY number").all();
  return rows.map((row) => ({ id: String(row.id), revision: Number(row.revision) }));
}

type Row = Readonly<Record<string, unknown>>;

const tombstoneOf = (row: Row): Tombstone => ({
  kind: String(row.kind),
  mesh: String(row.mesh),
  name: String(row.name),
  labels: JSON.parse(String(row.labels)),
  revision: Number(row.revision),
});

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// A store in one file of a folder, over Node's own SQLite: write-ahead log, synchronous FULL, so that what was acknowledged
// outlives a loss of power. The file belongs to one process at a time; reads come from memory.

import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Clock, Random } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import { type Store, type Tombstone, tombstonesLastMs } from "#resources/store.ts";
import { type Entry, groupedStore, type Journal, type Opening } from "#store/grouped.ts";
import { inTransaction, type Migrated, migrate } from "#store/schema.ts";
import { tombstonesOf } from "#store/tombstone.ts";

export const sqliteFileName = "kodiak.db";

export interface StoreObserver {
  /** A file of an older version is of this one now. */
  onMigrated?(migrated: Migrated): void;
  /** One commit is durable; how long that took. */
  onCommit?(durationMs: number): void;
}

/** Opens or makes the store of a folder. Throws `unavailable`: folder not writable, file in use, made by a newer version. */
export const sqliteStore = (
  folder: string,
  clock: Pick<Clock, "now">,
  random: Pick<Random, "uuid">,
  observer: StoreObserver = {},
): Store => groupedStore(openJournal(folder, clock, random.uuid, observer), clock.now);

type Now = Pick<Clock, "now">;

function openJournal(folder: string, clock: Now, newId: () => string, observer: StoreObserver): Journal {
  const file = join(folder, sqliteFileName);
  const database = openDatabase(folder);
  try {
    return journalOf(database, file, clock, newId, observer);
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
  file: string,
  clock: Now,
  newId: () => string,
  observer: StoreObserver,
): Journal {
  const migrated = migrate(database, file, () => {
    database.prepare("INSERT INTO store (id, revision) VALUES (?, 0)").run(newId());
  });
  if (migrated.copy !== undefined) observer.onMigrated?.(migrated);

  const { id, revision } = database.prepare("SELECT id, revision FROM store").get() ?? {};
  const put = database.prepare("INSERT OR REPLACE INTO resource (kind, mesh, name, body, wire) VALUES (?, ?, ?, ?, ?)");
  const remove = database.prepare("DELETE FROM resource WHERE kind = ? AND mesh = ? AND name = ?");
  const setRevision = database.prepare("UPDATE store SET revision = ?");
  const putNote = database.prepare("INSERT OR REPLACE INTO note (key, value) VALUES (?, ?)");
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
    resources: database.prepare("SELECT kind, mesh, name, body, wire FROM resource").all().map(resourceOf),
    openings: opened(database, { id: newId(), revision: Number(revision) }),
    notes: new Map(database.prepare("SELECT key, value FROM note").all().map(noteOf)),
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
      observer.onCommit?.(performance.now() - beganMs);
    },
    close: () => database.close(),
  };

  function write(entry: Entry): void {
    for (const { id, after } of entry.changes) {
      if (!after) remove.run(id.kind, id.mesh, id.name);
      else put.run(id.kind, id.mesh, id.name, bodyOf(after), after.wire ?? null);
    }
    for (const { kind, mesh, name, labels, revision } of tombstonesOf(entry))
      bury.run(kind, mesh, name, JSON.stringify(labels), revision, clock.now());
    for (const [key, value] of entry.notes) {
      if (value === undefined) endNote.run(key);
      else putNote.run(key, value);
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
type Body = Omit<Resource, "kind" | "mesh" | "name" | "wire">;

const bodyOf = ({ labels, spec, status, sent, creationTime, modificationTime }: Resource): string =>
  JSON.stringify({ labels, spec, status, sent, creationTime, modificationTime } satisfies {
    [M in keyof Body]-?: unknown;
  });

const noteOf = (row: Row): readonly [string, string] => [String(row.key), String(row.value)];

const tombstoneOf = (row: Row): Tombstone => ({
  kind: String(row.kind),
  mesh: String(row.mesh),
  name: String(row.name),
  labels: JSON.parse(String(row.labels)),
  revision: Number(row.revision),
});

function resourceOf(row: Row): Resource {
  const body: Body = JSON.parse(String(row.body));
  const { wire } = row;
  return {
    kind: String(row.kind),
    mesh: String(row.mesh),
    name: String(row.name),
    ...body,
    ...(wire instanceof Uint8Array && { wire }),
  };
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

// The rows of a store's file that hold what it keeps: encrypted, each under the id of its key, but for records (insights), which
// are many, often written, and hold no secret. Any other kind may: a route sets a header, a mesh has its key inline.

import type { DatabaseSync } from "node:sqlite";
import { KodiakError } from "#lib/failure.ts";
import { findKind } from "#resources/kinds.ts";
import { describeId, type Resource } from "#resources/resource.ts";
import type { Sealing } from "#store/sealing.ts";

export interface SealedRows {
  /** Throws `unavailable`: one can't be decrypted. */
  resources(): readonly Resource[];
  notes(): ReadonlyMap<string, string>;
  put(resource: Resource): void;
  putNote(key: string, text: string): void;
  /** Encrypts with the first key what has another one, or what has none and should; returns how many rows. */
  sealAgain(those: "others" | "plain"): number;
}

type Row = Readonly<Record<string, unknown>>;
type Body = Omit<Resource, "kind" | "mesh" | "name" | "wire">;

const notSealed = "";
const isSealed = (kind: string): boolean => !findKind(kind)?.readOnly;

/** Ids of the keys that are needed to read all of it. */
export const keysNeeded = (database: DatabaseSync): readonly string[] =>
  database
    .prepare("SELECT sealed_with FROM resource UNION SELECT sealed_with FROM note ORDER BY 1")
    .all()
    .map(({ sealed_with }) => String(sealed_with))
    .filter((key) => key !== notSealed);

export function sealedRows(database: DatabaseSync, file: string, sealing: Sealing): SealedRows {
  const store = String(database.prepare("SELECT id FROM store").get()?.id);
  const put = database.prepare(
    "INSERT OR REPLACE INTO resource (kind, mesh, name, sealed_with, body, wire) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const putNote = database.prepare("INSERT OR REPLACE INTO note (key, sealed_with, value) VALUES (?, ?, ?)");
  const selectResources = "SELECT kind, mesh, name, sealed_with, body, wire FROM resource";
  const selectNotes = "SELECT key, sealed_with, value FROM note";
  const due = "WHERE (sealed_with = '') = ? AND sealed_with <> ?";
  const resourceRows = database.prepare(selectResources);
  const noteRows = database.prepare(selectNotes);
  const resourceRowsDue = database.prepare(`${selectResources} ${due}`);
  const noteRowsDue = database.prepare(`${selectNotes} ${due}`);

  // Values of another store, of another row and of the other column do not open here.
  const placeOf = ({ kind, mesh, name }: Pick<Resource, "kind" | "mesh" | "name">, column: "body" | "wire") =>
    [store, "resource", kind, mesh, name, column] as const;
  const placeOfNote = (key: string) => [store, "note", key] as const;

  function opened(row: Row, place: readonly string[], value: unknown, mayBePlain: boolean): Buffer {
    const bytes = value instanceof Uint8Array ? value : Buffer.alloc(0);
    const key = String(row.sealed_with);
    if (key === notSealed && mayBePlain) return Buffer.from(bytes);
    try {
      return sealing.open(key, place, bytes);
    } catch (error) {
      const of = row.kind === undefined ? `the note "${row.key}"` : describeId(idOf(row));
      const why = "it has been changed, or the key was another one";
      const what = `the store ${file}: ${of} can't be decrypted with the key "${key}": ${why}; give the right key, or put back a copy of the store`;
      throw new KodiakError({ kind: "unavailable", what }, { cause: error });
    }
  }

  function resourceOf(row: Row, mayBePlain: boolean): Resource {
    const id = idOf(row);
    const body: Body = JSON.parse(opened(row, placeOf(id, "body"), row.body, mayBePlain).toString());
    const wire = row.wire === null ? undefined : opened(row, placeOf(id, "wire"), row.wire, mayBePlain);
    return { ...id, ...body, ...(wire && { wire: Uint8Array.from(wire) }) };
  }
  const noteOf = (row: Row, mayBePlain: boolean): string =>
    opened(row, placeOfNote(String(row.key)), row.value, mayBePlain).toString();

  const rows: SealedRows = {
    resources: () => resourceRows.all().map((row) => resourceOf(row, !isSealed(String(row.kind)))),
    notes: () => new Map(noteRows.all().map((row) => [String(row.key), noteOf(row, false)])),
    put(resource) {
      const { kind, mesh, name, wire } = resource;
      const body = bodyOf(resource);
      if (!isSealed(kind)) put.run(kind, mesh, name, notSealed, Buffer.from(body), wire ?? null);
      else {
        const sealedWire = wire === undefined ? null : sealing.seal(placeOf(resource, "wire"), wire);
        put.run(kind, mesh, name, sealing.key, sealing.seal(placeOf(resource, "body"), body), sealedWire);
      }
    },
    putNote: (key, text) => void putNote.run(key, sealing.key, sealing.seal(placeOfNote(key), text)),
    sealAgain(those) {
      const isPlain = those === "plain";
      const which = [isPlain ? 1 : 0, sealing.key] as const;
      const resources = resourceRowsDue.all(...which).filter((row) => isSealed(String(row.kind)));
      const notes = noteRowsDue.all(...which);
      for (const row of resources) rows.put(resourceOf(row, isPlain));
      for (const row of notes) rows.putNote(String(row.key), noteOf(row, isPlain));
      return resources.length + notes.length;
    },
  };
  return rows;
}

const idOf = (row: Row) => ({ kind: String(row.kind), mesh: String(row.mesh), name: String(row.name) });

const bodyOf = ({ labels, spec, status, sent, creationTime, modificationTime }: Resource): string =>
  JSON.stringify({ labels, spec, status, sent, creationTime, modificationTime } satisfies {
    [M in keyof Body]-?: unknown;
  });

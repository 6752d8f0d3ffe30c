// What every store keeps: one suite over all implementations, and what only the one on disk promises.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import { KodiakError } from "#lib/failure.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import type { Commit, Store } from "#resources/store.ts";
import { groupedStore } from "#store/grouped.ts";
import { memoryStore } from "#store/memory.ts";
import { openDatabase, sqliteFileName, sqliteStore } from "#store/sqlite.ts";

/** A clock that stands still: times must rise all the same. */
const clock = { now: () => Date.UTC(2026, 0, 2) };
const random = { uuid: () => crypto.randomUUID() };

const openers: Record<string, (t: TestContext, at?: typeof clock) => Store> = {
  memory: (_, at = clock) => memoryStore(at, random),
  sqlite: (t, at) => openSqlite(t, temporaryFolder(t), at),
};

function openSqlite(t: TestContext, folder: string, at = clock): Store {
  const store = sqliteStore(folder, at, random);
  t.after(() => store.close());
  return store;
}

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "kodiak-store-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const timeout = (name: string, connectionTimeout = "1s", mesh = "default"): Resource => ({
  kind: "MeshTimeout",
  mesh,
  name,
  labels: { "kuma.io/mesh": mesh },
  spec: { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout } }] },
  creationTime: "0001-01-01T00:00:00Z",
  modificationTime: "0001-01-01T00:00:00Z",
});
const put = (resource: Resource) => ({ kind: "put", resource }) as const;
const remove = (resource: Resource) => ({ kind: "delete", id: resource }) as const;
const idOf = ({ kind, mesh, name }: Resource) => ({ kind, mesh, name });
const isConflict = (pattern: RegExp) => (error: unknown) =>
  error instanceof KodiakError && error.failure.kind === "conflict" && pattern.test(error.message);
const isUnavailable = (pattern: RegExp) => (error: unknown) =>
  error instanceof KodiakError && error.failure.kind === "unavailable" && pattern.test(error.message);

function watched(store: Store): Commit[] {
  const commits: Commit[] = [];
  store.watch((commit) => commits.push(commit));
  return commits;
}

for (const [name, open] of Object.entries(openers)) {
  describe(`${name} store`, () => {
    it("is empty at the start, with an id of its own", (t) => {
      const store = open(t);
      assert.equal(store.revision, 0);
      assert.deepEqual([...store.all()], []);
      assert.notEqual(store.id, open(t).id);
    });

    it("returns what was written, with times, only after the write is acknowledged", async (t) => {
      const store = open(t);
      const written = store.write([put(timeout("a"))]);
      assert.equal(store.get(timeout("a")), undefined);
      assert.equal(await written, 1);
      const found = store.get(timeout("a"));
      assert.deepEqual(found, {
        ...timeout("a"),
        creationTime: "2026-01-02T00:00:00.000Z",
        modificationTime: "2026-01-02T00:00:00.000Z",
      });
      assert.equal(store.get({ ...timeout("a"), mesh: "other" }), undefined);
    });

    it("keeps the creation time and raises the modification time of an update, even if the clock stands still", async (t) => {
      const store = open(t);
      await store.write([put(timeout("a"))]);
      await store.write([put(timeout("a", "2s"))]);
      const second = store.get(timeout("a"))!;
      assert.equal(second.creationTime, "2026-01-02T00:00:00.000Z");
      assert.equal(second.modificationTime, "2026-01-02T00:00:00.000000001Z");
    });

    it("lists a kind by mesh, then name, as a snapshot", async (t) => {
      const store = open(t);
      await store.write([
        put(timeout("b", "1s", "a")),
        put(timeout("a", "1s", "a-b")),
        put(timeout("a", "1s", "a")),
        put({ ...timeout("x"), kind: "MeshRetry" }),
      ]);
      const list = store.list("MeshTimeout");
      assert.deepEqual(list.map(keyOf), ["a/a", "a/b", "a-b/a"]);
      await store.write([remove(timeout("a", "1s", "a"))]);
      assert.equal(list.length, 3);
      assert.deepEqual(store.list("MeshTimeout").map(keyOf), ["a/b", "a-b/a"]);
      assert.deepEqual(store.list("MeshTrace"), []);
      assert.equal([...store.all()].length, 3);
    });

    it("makes one commit of what is written in one turn of the event loop", async (t) => {
      const store = open(t);
      const commits = watched(store);
      const revisions = await Promise.all([
        store.write([put(timeout("a"))]),
        store.write([put(timeout("b"))]),
        Promise.resolve().then(() => store.write([put(timeout("a", "2s"))])),
      ]);
      assert.deepEqual(revisions, [1, 1, 1]);
      assert.deepEqual(
        commits.map((commit) => [commit.revision, commit.changes.map((change) => keyOf(change.id))]),
        [[1, ["default/a", "default/b"]]],
      );
      assert.deepEqual(store.get(timeout("a"))!.spec, timeout("a", "2s").spec);
      assert.equal(await store.write([put(timeout("c"))]), 2);
    });

    it("tells watchers before and after, in order, once a commit can be read", async (t) => {
      const store = open(t);
      const seen: unknown[] = [];
      store.watch(({ revision, changes }) => {
        for (const { id, before, after } of changes) {
          assert.equal(store.get(id), after);
          seen.push([revision, id.name, before?.spec, after?.spec]);
        }
      });
      await store.write([put(timeout("a", "1s"))]);
      await store.write([put(timeout("a", "2s"))]);
      await store.write([remove(timeout("a"))]);
      const [one, two] = [timeout("a", "1s").spec, timeout("a", "2s").spec];
      assert.deepEqual(seen, [
        [1, "a", undefined, one],
        [2, "a", one, two],
        [3, "a", two, undefined],
      ]);
    });

    it("lets a watcher write: a later commit, seen by all watchers after this one", async (t) => {
      const store = open(t);
      const echo = new Promise<number>((resolve) => {
        const stop = store.watch(() => {
          stop();
          resolve(store.write([put(timeout("echo"))]));
        });
      });
      const commits = watched(store);
      await store.write([put(timeout("a"))]);
      assert.equal(await echo, 2);
      assert.deepEqual(
        commits.map((commit) => commit.changes.map((change) => change.id.name)),
        [["a"], ["echo"]],
      );
    });

    it("ends a watch", async (t) => {
      const store = open(t);
      const commits: Commit[] = [];
      const stop = store.watch((commit) => commits.push(commit));
      await store.write([put(timeout("a"))]);
      stop();
      await store.write([put(timeout("b"))]);
      assert.equal(commits.length, 1);
    });

    it("does not count what changes nothing", async (t) => {
      const store = open(t);
      await store.write([put(timeout("a"))]);
      const before = store.get(timeout("a"));
      const commits = watched(store);
      assert.equal(await store.write([put(timeout("a")), remove(timeout("missing"))]), 1);
      assert.equal(await store.write([put(timeout("new")), remove(timeout("new"))]), 1);
      assert.equal(await store.write([]), 1);
      assert.deepEqual(commits, []);
      assert.equal(store.get(timeout("a")), before);
    });

    it("does all edits of a write or none; a broken expectation rejects only its own write", async (t) => {
      const store = open(t);
      await store.write([put(timeout("a"))]);
      const [good, bad, later] = await Promise.allSettled([
        store.write([put(timeout("b"))]),
        store.write([put(timeout("c")), remove(timeout("b")), { ...put(timeout("a", "9s")), expected: "absent" }]),
        store.write([put(timeout("d"))]),
      ]);
      assert.equal(good.status, "fulfilled");
      assert.equal(later.status, "fulfilled");
      assert.equal(bad.status, "rejected");
      assert.ok(isConflict(/^MeshTimeout "a" in mesh "default" exists already$/)(bad.reason));
      assert.deepEqual(
        store.list("MeshTimeout").map((resource) => resource.name),
        ["a", "b", "d"],
      );
      assert.equal(store.revision, 2);
    });

    it("writes only over the state that was expected", async (t) => {
      const store = open(t);
      await store.write([{ ...put(timeout("a")), expected: "absent" }]);
      const expected = { modificationTime: store.get(timeout("a"))!.modificationTime };
      const [first, second] = await Promise.allSettled([
        store.write([{ ...put(timeout("a", "2s")), expected }]),
        store.write([{ ...put(timeout("a", "3s")), expected }]),
      ]);
      assert.equal(first.status, "fulfilled");
      assert.ok(second.status === "rejected" && isConflict(/has been changed meanwhile/)(second.reason));
      await store.write([remove(timeout("a"))]);
      await assert.rejects(
        store.write([{ ...remove(timeout("a")), expected }]),
        isConflict(/has been deleted meanwhile/),
      );
    });

    it("keeps unknown members, status and wire bytes", async (t) => {
      const store = open(t);
      const resource: Resource = {
        ...timeout("a"),
        spec: { future: { nested: [1, null, "ü"] } },
        status: { conditions: [] },
        wire: new Uint8Array([0, 255, 7]),
      };
      await store.write([put(resource)]);
      const { spec, status, wire } = store.get(resource)!;
      assert.deepEqual([spec, status, wire], [resource.spec, resource.status, resource.wire]);
      assert.equal(await store.write([put({ ...resource, wire: new Uint8Array([0, 255, 8]) })]), 2);
    });

    it("keeps tombstones of what was deleted: with labels, by kind, later than a revision", async (t) => {
      const store = open(t);
      await store.write([put(timeout("a")), put(timeout("b")), put({ ...timeout("x"), kind: "MeshRetry" })]);
      await store.write([remove(timeout("a")), remove({ ...timeout("x"), kind: "MeshRetry" })]);
      await store.write([remove(timeout("b")), put(timeout("a"))]);
      const { kind, mesh, labels } = timeout("a");
      const tombstone = (name: string, revision: number) => ({ kind, mesh, name, labels, revision });
      assert.deepEqual(store.tombstones(kind, 1), [tombstone("a", 2), tombstone("b", 3)]);
      assert.deepEqual(store.tombstones(kind, 2), [tombstone("b", 3)]);
      assert.deepEqual(store.tombstones(kind, 3), []);
    });

    it("keeps a tombstone for 30 days and no longer, whatever else is written meanwhile", async (t) => {
      const [dayMs, hourMs] = [86_400_000, 3_600_000];
      let nowMs = clock.now();
      const store = open(t, { now: () => nowMs });
      const namesIn = () => store.tombstones("MeshTimeout", 0).map(({ name }) => name);
      await store.write([put(timeout("a")), put(timeout("b")), put(timeout("c"))]);
      await store.write([remove(timeout("a"))]);
      nowMs += 30 * dayMs - hourMs;
      await store.write([remove(timeout("b"))]);
      assert.deepEqual(namesIn(), ["a", "b"]);
      nowMs += 2 * hourMs;
      assert.deepEqual(namesIn(), ["b"]);
      await store.write([remove(timeout("c"))]);
      assert.deepEqual(namesIn(), ["b", "c"]);
    });

    it("keeps notes in the transaction of what they speak of; they are no revision, and nobody watches them", async (t) => {
      const store = open(t);
      const commits = watched(store);
      const note = (before: string | undefined, after: string | undefined) =>
        ({ kind: "note", key: "seen", before, after }) as const;
      assert.equal(await store.write([note(undefined, "1")]), 0);
      assert.equal(await store.write([note("1", "2"), put(timeout("a"))]), 1);
      assert.equal(store.note("seen"), "2");
      const stale = [note("1", "3"), put(timeout("b"))];
      await assert.rejects(store.write(stale), isConflict(/^seen has been changed meanwhile$/));
      const [first, second] = await Promise.allSettled([
        store.write([note("2", "4")]),
        store.write([note("2", "5"), put(timeout("c"))]),
      ]);
      assert.deepEqual([first.status, second.status, store.note("seen")], ["fulfilled", "rejected", "4"]);
      await store.write([note("4", undefined)]);
      assert.deepEqual([store.note("seen"), store.get(timeout("b")), commits.length], [undefined, undefined, 1]);
    });

    it("does what was written before it is closed, and refuses what comes after", async (t) => {
      const store = open(t);
      const written = store.write([put(timeout("a"))]);
      await store.close();
      assert.equal(await written, 1);
      await assert.rejects(store.write([put(timeout("b"))]), isUnavailable(/closed/));
      await store.close();
    });
  });
}

describe("group commit", () => {
  it("rejects what could not be made durable, and shows nothing of it", async () => {
    let isFull = true;
    const append = () => {
      if (isFull) throw new KodiakError({ kind: "unavailable", what: "disk full" });
    };
    const journal = { id: "x", revision: 7, resources: [], notes: new Map(), tombstones: () => [] };
    const store = groupedStore({ ...journal, openings: [], append, close: () => {} }, clock.now);
    const commits = watched(store);
    await assert.rejects(store.write([put(timeout("a"))]), isUnavailable(/disk full/));
    assert.deepEqual([store.revision, [...store.all()], commits], [7, [], []]);
    isFull = false;
    assert.equal(await store.write([put(timeout("a"))]), 8);
  });
});

describe("sqlite store on disk", () => {
  it("is the same after it was opened again: id, revision, resources; times go on rising", async (t) => {
    const folder = temporaryFolder(t);
    const first = openSqlite(t, folder);
    const wire = new Uint8Array([1, 2, 3]);
    await first.write([put({ ...timeout("a"), wire, status: { ok: true } }), put(timeout("b"))]);
    await first.write([put(timeout("b", "2s"))]);
    await first.write([remove(timeout("missing")), put(timeout("c"))]);
    await first.write([remove(timeout("c"))]);
    const held = [...first.all()];
    await first.close();

    const second = openSqlite(t, folder);
    assert.equal(second.id, first.id);
    assert.equal(second.revision, 4);
    assert.deepEqual([...second.all()], held);
    assert.equal(await second.write([put(timeout("b", "3s"))]), 5);
    const times = [...held, second.get(timeout("b"))!].map((resource) => resource.modificationTime);
    assert.equal(new Set(times).size, times.length);
  });

  it("knows its past, and not that of a store that went on when a copy of it was made", async (t) => {
    const [folder, copy] = [temporaryFolder(t), temporaryFolder(t)];
    const momentOf = ({ id, opening, revision }: Store) => ({ store: id, opening, revision });
    const first = openSqlite(t, folder);
    await first.write([put(timeout("a"))]);
    const shared = momentOf(first);
    await first.close();
    cpSync(folder, copy, { recursive: true });
    const second = openSqlite(t, folder);
    await second.write([put(timeout("b"))]);
    const later = momentOf(second);
    const restored = openSqlite(t, copy);
    for (const name of ["c", "d", "e"]) await restored.write([put(timeout(name))]);
    assert.ok(restored.revision > later.revision);
    for (const store of [second, restored]) assert.ok(store.includes(shared) && store.includes(momentOf(store)));
    assert.equal(second.includes(later), true);
    assert.equal(second.includes({ ...later, revision: later.revision + 1 }), false);
    assert.equal(restored.includes(later), false);
    assert.equal(restored.includes({ ...shared, revision: later.revision }), false);
    assert.equal(restored.includes({ ...shared, store: "another" }), false);
  });

  it("has tombstones and notes when it was opened again, tombstones for thirty days", async (t) => {
    const folder = temporaryFolder(t);
    let now = clock.now();
    const open = () => sqliteStore(folder, { now: () => now }, random);
    const first = open();
    await first.write([
      put(timeout("a")),
      put(timeout("b")),
      { kind: "note", key: "k", before: undefined, after: "v" },
    ]);
    await first.write([remove(timeout("a"))]);
    await first.close();
    const second = open();
    assert.equal(second.note("k"), "v");
    now += 29 * 86_400_000;
    await second.write([remove(timeout("b"))]);
    const names = (store: Store) => store.tombstones("MeshTimeout", 0).map(({ name }) => name);
    assert.deepEqual(names(second), ["a", "b"]);
    now += 2 * 86_400_000;
    await second.write([put(timeout("c"))]);
    assert.deepEqual(names(second), ["b"]);
    await second.close();
  });

  it("survives the end of its process without a close", (t) => {
    const folder = temporaryFolder(t);
    const script = `
      const { sqliteStore } = await import(${JSON.stringify(new URL("./sqlite.ts", import.meta.url).href)});
      const store = sqliteStore(${JSON.stringify(folder)}, Date, { uuid: () => "fixed" });
      await store.write([{ kind: "put", resource: ${JSON.stringify(timeout("a"))} }]);
      process.kill(process.pid, "SIGKILL");`;
    const { signal } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: import.meta.dirname,
    });
    assert.equal(signal, "SIGKILL");
    const store = openSqlite(t, folder);
    assert.deepEqual(idOf(store.get(timeout("a"))!), idOf(timeout("a")));
    assert.equal(store.id, "fixed");
  });

  it("writes through to the disk with each commit", (t) => {
    const database = openDatabase(temporaryFolder(t));
    t.after(() => database.close());
    assert.equal(database.prepare("PRAGMA synchronous").get()?.synchronous, 2);
    assert.equal(database.prepare("PRAGMA journal_mode").get()?.journal_mode, "wal");
  });

  it("lets nobody else read", async (t) => {
    const folder = join(temporaryFolder(t), "made", "here");
    await openSqlite(t, folder).write([put(timeout("a"))]);
    const modeOf = (path: string) => statSync(path).mode & 0o777;
    assert.equal(modeOf(folder), 0o700);
    for (const suffix of ["", "-wal"]) assert.equal(modeOf(join(folder, sqliteFileName + suffix)), 0o600);
  });

  it("belongs to one process at a time", (t) => {
    const folder = temporaryFolder(t);
    openSqlite(t, folder);
    assert.throws(() => openSqlite(t, folder), isUnavailable(/kodiak\.db is in use by another control plane; stop/));
  });

  it("refuses a store that a newer version made", async (t) => {
    const folder = temporaryFolder(t);
    await openSqlite(t, folder).close();
    const database = new DatabaseSync(join(folder, sqliteFileName));
    database.exec("PRAGMA user_version = 999");
    database.close();
    assert.throws(() => openSqlite(t, folder), isUnavailable(/made by a newer Kodiak \(its schema version is 999/));
  });

  it("says which file it could not use", (t) => {
    const folder = temporaryFolder(t);
    assert.throws(
      () => openSqlite(t, join(folder, sqliteFileName, "\0")),
      isUnavailable(/^cannot open the store .*give a folder/),
    );
  });
});

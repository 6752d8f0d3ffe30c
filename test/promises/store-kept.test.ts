// The store keeps what it has acknowledged, whatever becomes of the process, and a file of another version is not spoiled. That a
// commit waits for the disk (`PRAGMA synchronous` reads FULL) is in src/store/contract.test.ts.

import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { isObject, type JsonObject } from "#lib/json.ts";
import { schemaSteps } from "#store/schema.ts";
import { times } from "../lab/soak.ts";
import { apply, type ControlPlane, type Processes, processes, startGlobal } from "../processes/processes.ts";

const writers = 16;
const names = 20;

/** What a name stands for: a number that the writer chose, or nothing. */
type Value = number | undefined;

interface Written {
  /** The last that was acknowledged. */
  readonly acknowledged: Map<string, Value>;
  /** Sent and not answered. */
  readonly underWay: Map<string, Value>;
}

const list = "/meshes/default/meshtimeouts";
const timeout = (name: string, value: number) => ({
  type: "MeshTimeout",
  mesh: "default",
  name,
  spec: { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: `${value}ms` } }] },
});

/** Resolves when it is acknowledged, rejects when there is no answer. */
function write(api: string, agent: Agent, name: string, value: Value): Promise<void> {
  const method = value === undefined ? "DELETE" : "PUT";
  const headers = { "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const sent = request(`${api}${list}/${name}`, { agent, method, headers }, (response) => {
      response.resume();
      const { statusCode = 0 } = response;
      if (statusCode === 200 || statusCode === 201) resolve();
      else reject(new Error(`${method} ${name}: ${statusCode}`));
    });
    sent.on("error", reject);
    sent.end(value === undefined ? undefined : JSON.stringify(timeout(name, value)));
  });
}

/** Makes, changes and deletes, several at a time, until `enough` are acknowledged; then kills while others are under way. */
async function writeUntilKilled({ api, child }: ControlPlane, enough: number, { acknowledged, underWay }: Written) {
  const agent = new Agent({ keepAlive: true, maxSockets: writers });
  let count = 0;
  let isKilled = false;
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let turn = 0; ; turn++) {
        const name = `t-${writer}-${turn % names}`;
        const isThere = acknowledged.get(name) !== undefined;
        const value = isThere && Math.random() < 0.2 ? undefined : 1 + Math.floor(Math.random() * 1e6);
        underWay.set(name, value);
        try {
          await write(api, agent, name, value);
        } catch (error) {
          // Only the kill may be the reason.
          if (!isKilled) throw error;
          return;
        }
        underWay.delete(name);
        acknowledged.set(name, value);
        if (++count < enough || isKilled) continue;
        isKilled = true;
        child.kill("SIGKILL");
      }
    }),
  );
  agent.destroy();
  await child.end();
  return count;
}

async function valuesAt(api: string): Promise<ReadonlyMap<string, Value>> {
  const { items, total }: JsonObject = JSON.parse(await (await fetch(`${api}${list}?size=1000`)).text());
  assert.ok(Array.isArray(items) && items.length === total);
  const own = items.filter(isObject).filter(({ name }) => String(name).startsWith("t-"));
  return new Map(own.map(({ name, spec }) => [String(name), Number(/"(\d+)ms"/.exec(JSON.stringify(spec))?.[1])]));
}

/** Each name is as it was acknowledged last, or as what was under way says. */
async function nothingIsLost(api: string, { acknowledged, underWay }: Written): Promise<void> {
  const found = await valuesAt(api);
  const lost = [...new Set([...acknowledged.keys(), ...underWay.keys(), ...found.keys()])].filter((name) => {
    const value = found.get(name);
    return value !== acknowledged.get(name) && !(underWay.has(name) && value === underWay.get(name));
  });
  assert.deepEqual(lost, []);
  // From here on, what is there is what counts.
  for (const name of underWay.keys()) acknowledged.set(name, found.get(name));
  underWay.clear();
}

async function loseNothing(of: Processes, writes: number, kills: number): Promise<string> {
  const written: Written = { acknowledged: new Map(), underWay: new Map() };
  let at = await startGlobal(of);
  await apply(at, { type: "Mesh", name: "default" });
  let count = 0;
  let unanswered = 0;
  for (let kill = 1; kill <= kills; kill++) {
    const share = writes / kills;
    const enough = kill === kills ? writes - count : share * (0.5 + Math.random());
    count += await writeUntilKilled(at, enough, written);
    unanswered += written.underWay.size;
    at = await startGlobal(of);
    await nothingIsLost(at.api, written);
  }
  assert.ok(count >= writes && unanswered > 0);
  return `${count} writes acknowledged, ${kills} kills, ${unanswered} writes under way when killed`;
}

test("the store of a control plane", async (t) => {
  const of = await processes(t);

  await t.test("no acknowledged write is lost when the process is killed with -9 again and again", async (t) => {
    t.diagnostic(await loseNothing(of, times(800, 10_000), times(4, 50)));
  });

  const foreign = async (folder: string, version: number, fill: (database: DatabaseSync) => void) => {
    const data = join(of.folder, folder);
    await mkdir(data);
    const database = new DatabaseSync(join(data, "kodiak.db"));
    for (const step of schemaSteps.slice(0, version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${version}`);
    fill(database);
    database.close();
    return data;
  };
  const run = (data: string) => ["run", "global", "--data", data, ...ports];
  const ports = [
    "--kds-port",
    "0",
    "--dp-port",
    "0",
    "--api-port",
    "0",
    "--api-https-port",
    "0",
    "--diagnostics-port",
    "0",
  ];

  await t.test("one of a newer version is refused with a sentence", async () => {
    const data = await foreign("newer", 999, () => {});
    const { code, err } = await of.kodiak(...run(data));
    assert.deepEqual(
      [code, err],
      [
        1,
        `error: the store ${join(data, "kodiak.db")} was made by a newer Kodiak (its schema version is 999, this one knows up to ${schemaSteps.length}); run that version or give another folder\n`,
      ],
    );
  });

  await t.test("one of the first version is migrated, after a copy, and holds what it held", async () => {
    const body = JSON.stringify({
      labels: { "kuma.io/origin": "global" },
      spec: {},
      creationTime: "2026-01-01T00:00:00Z",
      modificationTime: "2026-01-01T00:00:00Z",
    });
    const data = await foreign("older", 1, (database) => {
      database.exec("INSERT INTO store VALUES ('an-old-one', 7)");
      database.prepare("INSERT INTO resource VALUES ('Mesh', '', 'kept', ?, NULL)").run(body);
    });
    const child = await of.start("global-older", run(data));
    const { from, to, copy } = await child.said(/the store was of an older version/);
    assert.deepEqual([from, to, copy], [1, schemaSteps.length, join(data, "kodiak.db.v1")]);
    const { apiPort } = await child.said(/is ready$/);
    const kept: JsonObject = JSON.parse(await (await fetch(`http://127.0.0.1:${apiPort}/meshes/kept`)).text());
    assert.deepEqual([kept.name, kept.creationTime], ["kept", "2026-01-01T00:00:00Z"]);
    assert.ok((await readdir(data)).includes("kodiak.db.v1"));
    const before = new DatabaseSync(join(data, "kodiak.db.v1"), { readOnly: true });
    assert.deepEqual(
      { ...before.prepare("SELECT name FROM resource").get(), ...before.prepare("PRAGMA user_version").get() },
      { name: "kept", user_version: 1 },
    );
    before.close();
  });
});

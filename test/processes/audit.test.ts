// The audit log of a real control plane that is killed as nothing can be killed more, again and again while many write.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { get } from "../lab/http.ts";
import { put, remove } from "../lab/lab.ts";
import { killControlPlane, processes, startGlobal } from "./processes.ts";

const writers = 8;
const rounds = 3;
const perRound = 120;

const timeout = (name: string, seconds: number) => ({
  ...{ type: "MeshTimeout", mesh: "default", name },
  spec: { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: `${seconds}s` } }] },
});
const pathOf = (name: string) => `/meshes/default/meshtimeouts/${name}`;

test("after kill -9 every acknowledged change is in the audit log, and no change is without its line", async (t) => {
  const of = await processes(t);
  let global = await startGlobal(of);
  /** `<name> <seconds>`, or `<name> deleted`. */
  const acknowledged = new Set<string>();
  const lines = (): readonly JsonObject[] =>
    readdirSync(global.data)
      .filter((name) => /^audit\.log(\.\d+)?$/.test(name))
      .flatMap((name) => readFileSync(join(global.data, name), "utf8").split("\n"))
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));

  for (let round = 1; round <= rounds; round++) {
    let count = 0;
    let start: (() => Promise<typeof global>) | undefined;
    const write = async (writer: number): Promise<void> => {
      for (let i = 1; start === undefined; i++) {
        const name = `written-${round}-${writer}-${i % 5}`;
        const isDeleted = i % 5 === 0 && acknowledged.has(`${name} ${i - 5}`);
        try {
          if (isDeleted) await remove(global.api, pathOf(name));
          else await put(global.api, pathOf(name), timeout(name, i));
        } catch (error) {
          if (start) return;
          throw error;
        }
        acknowledged.add(isDeleted ? `${name} deleted` : `${name} ${i}`);
        count++;
        if (count === perRound) {
          start = () => Promise.reject(new Error("not killed yet"));
          start = await killControlPlane(of, global, ["global"]);
        }
      }
    };
    await Promise.all(Array.from({ length: writers }, (_, writer) => write(writer)));
    assert.ok(start);
    global = await start();

    const told = new Set<string>();
    for (const { verb, what, changes, outcome } of lines()) {
      assert.match(String(outcome), /^(accepted|failed)$/);
      const { kind, name } = what as JsonObject;
      if (kind !== "MeshTimeout") continue;
      const seconds = /"after":(?:.*"connectionTimeout":)?"(\d+)s"/.exec(JSON.stringify(changes))?.[1];
      told.add(verb === "delete" ? `${name} deleted` : `${name} ${seconds}`);
    }
    assert.ok(acknowledged.size >= round * 50);
    assert.deepEqual(
      [...acknowledged].filter((change) => !told.has(change)),
      [],
    );
    const { items } = JSON.parse((await get(`${global.api}/meshtimeouts?size=1000&name=written-`)).text);
    for (const { name, spec } of items)
      assert.ok(told.has(`${name} ${Number.parseInt(spec.to[0].default.connectionTimeout, 10)}`), name);
  }
  for (const name of ["audit.log", "audit-refused.log"])
    assert.equal(statSync(join(global.data, name)).mode & 0o777, 0o600);
});

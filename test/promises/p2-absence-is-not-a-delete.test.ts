// P2: absence is not a delete. Stores are lost, restored from an older copy, and robbed of rows while proxies serve: no byte of a
// running proxy's configuration changes for that, no request fails, and what waits is shown until it ends. P5: it does end, and
// what was deleted while a link was cut is gone when it is back.

import assert from "node:assert/strict";
import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { isObject, type JsonObject } from "#lib/json.ts";
import { eventually } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { noneFailed } from "../lab/soak.ts";
import { apply, type ControlPlane } from "../processes/processes.ts";
import { answeredBy, openStage, type Part, type Stage } from "./stage.ts";

const timeout = (name: string, conf: object) => ({
  type: "MeshTimeout",
  mesh: "default",
  name,
  spec: { to: [{ targetRef: { kind: "MeshService", name: "backend" }, default: conf }] },
});

const storeFiles = async (data: string): Promise<readonly string[]> =>
  (await readdir(data)).filter((name) => name.startsWith("kodiak.db")).map((name) => join(data, name));

async function removeStore({ data }: ControlPlane): Promise<void> {
  for (const file of await storeFiles(data)) await rm(file);
}

async function itemsAt({ api }: ControlPlane, list: string): Promise<readonly JsonObject[]> {
  const { items }: JsonObject = JSON.parse(await (await fetch(`${api}/${list}`)).text());
  return Array.isArray(items) ? items.filter(isObject) : [];
}

/** As they are called where they were made. */
async function namesAt(at: ControlPlane, list: string): Promise<readonly string[]> {
  const items = await itemsAt(at, list);
  return items
    .map(({ labels, name }) => String((isObject(labels) ? labels["kuma.io/display-name"] : undefined) ?? name))
    .sort();
}

/** Besides those that come with a mesh. */
const hasTimeouts = (at: ControlPlane, ...names: readonly string[]): Promise<void> =>
  eventually(`the timeouts ${names}`, 20_000, async () => {
    const found = await namesAt(at, "meshes/default/meshtimeouts");
    assert.deepEqual(
      found.filter((name) => !name.startsWith("mesh-")),
      names,
    );
  });

/** What is held there, of all its links. */
const heldAt = async (at: ControlPlane): Promise<readonly string[]> =>
  (await itemsAt(at, "_links"))
    .flatMap(({ held }) => (Array.isArray(held) ? held.filter(isObject) : []))
    .map(({ what, type, name }) => `${what} ${type} ${name}`);
const isHeld = (at: ControlPlane, ...expected: readonly RegExp[]): Promise<void> =>
  eventually(`held: ${expected}`, 30_000, async () => {
    const held = await heldAt(at);
    for (const one of expected)
      assert.ok(
        held.some((found) => one.test(found)),
        `${one}: ${held}`,
      );
  });
const isWhole = (at: ControlPlane): Promise<void> =>
  eventually("nothing held", 20_000, async () => assert.deepEqual(await heldAt(at), []));

/** Of a config dump: all but the certificates that a proxy has from its own control plane. */
const withoutIdentities = (dump: unknown): unknown =>
  JSON.parse(JSON.stringify(dump), (key, value) =>
    key === "dynamic_active_secrets"
      ? value.filter(({ name }: JsonObject) => !String(name).startsWith("identity_cert"))
      : value,
  );

/** How often frontend's Envoy was told of the instances of backend. */
async function updatesOf({ proxies }: Stage): Promise<number> {
  const stats = await proxies.get("frontend")?.admin("/stats?filter=^cluster.backend.update_success$");
  return Number(/^cluster\.backend\.update_success: (\d+)$/m.exec(stats ?? "")?.[1] ?? assert.fail(stats));
}

test("stores are lost and restored while proxies serve", async (t) => {
  const stage = await openStage(t);
  const { of, global } = stage;
  await apply(global, timeout("slow", { connectionTimeout: "7s" }));
  const zones = [stage.zones["zone-a"], stage.zones["zone-b"]] as const;
  const [zoneA, zoneB] = zones;
  const all = ["backend-1", "backend-2", "backend-3"];
  const inventory = [...all, "frontend"].sort();
  const insights = [
    ["dataplane-insights", inventory],
    ["zone-ingress-insights", ["ingress-b"]],
    ["zone-insights", ["zone-a", "zone-b"]],
  ] as const;
  await stage.online();
  await hasTimeouts(zoneA, "slow");

  /** Kills it, does something to its data, starts it again; no request fails until `seen` resolves, and nothing has changed. */
  async function unchanged(
    what: string,
    part: Part,
    change: () => Promise<void>,
    seen: () => Promise<void>,
    { held = stage.held as () => Promise<unknown>, joins }: { held?: () => Promise<unknown>; joins?: "joins" } = {},
  ): Promise<void> {
    const [before, told] = [await held(), await updatesOf(stage)];
    const calling = load(stage.url);
    of.atEnd(calling.stop);
    const start = await stage.kill(part);
    await change();
    await start(joins);
    await seen();
    noneFailed(t, what, await calling.stop());
    assert.deepEqual(await held(), before, what);
    assert.equal(await updatesOf(stage), told, "what frontend was told of backend meanwhile");
  }

  await t.test("a deletion made while the link was cut arrives when it is back, by name", async () => {
    const [before, hour] = [await stage.held(), { http: { streamIdleTimeout: "1h" } }];
    await apply(global, timeout("gone", hour));
    for (const zone of zones) await hasTimeouts(zone, "gone", "slow");
    await eventually("frontend has heard of it", 10_000, async () =>
      assert.match(JSON.stringify((await stage.held()).get("frontend")), /"idle_timeout":"3600s"/),
    );
    const known = await stage.held();
    const mend = await stage.cut("zone-a");
    await of.done("delete", "meshtimeout", "gone", "--api", global.api);
    await hasTimeouts(zoneB, "slow");
    await hasTimeouts(zoneA, "gone", "slow");
    assert.deepEqual(await stage.held(), known);
    await mend();
    await hasTimeouts(zoneA, "slow");
    await isWhole(zoneA);
    await eventually("all is as before", 10_000, async () => assert.deepEqual(await stage.held(), before));
  });

  await t.test("all Dataplanes and insights are lost in global's store: they are back within 5 s", async () => {
    await unchanged(
      "all Dataplanes and insights removed from global's store",
      "global",
      async () => {
        const database = new DatabaseSync(join(global.data, "kodiak.db"));
        database.exec("DELETE FROM resource WHERE kind LIKE 'Dataplane%' OR kind LIKE 'Zone%Insight'");
        database.close();
      },
      async () => {
        await eventually("all dataplanes and insights at global", 5_000, async () => {
          assert.deepEqual(await namesAt(global, "dataplanes"), inventory);
          for (const [list, names] of insights) assert.deepEqual(await namesAt(global, list), names, list);
        });
        await stage.online();
      },
    );
    for (const one of [global, ...zones]) await isWhole(one);
  });

  await t.test("A15: global is restored from an older copy: what it lacks is held, until it is back", async () => {
    const copy = join(of.folder, "copy");
    const start = await stage.kill("global");
    await cp(global.data, copy, { recursive: true });
    await start();
    await apply(global, timeout("later", { connectionTimeout: "9s" }));
    for (const zone of zones) await hasTimeouts(zone, "later", "slow");
    await stage.online();
    await unchanged(
      "global restored from an older copy",
      "global",
      async () => {
        await removeStore(global);
        for (const file of await storeFiles(copy)) await cp(file, file.replace(copy, global.data));
      },
      async () => {
        for (const zone of zones) await isHeld(zone, /^removal MeshTimeout later-/);
        const said = await of.done("get", "zones", "--api", zoneA.api);
        assert.match(said, /^global +online since \w+ +1 removal\n/m);
        assert.match(said, /^global: 1 removal held for \w+: its store is an older copy of the one that was known\n/m);
        assert.match(said, /^ {2}removal of MeshTimeout "later-\w+" in mesh "default"\n/m);
        await stage.online();
      },
    );
    await apply(global, timeout("later", { connectionTimeout: "9s" }));
    for (const zone of zones) await isWhole(zone);
  });

  await t.test("a zone's store is lost: its proxies bring again what they had brought", async () => {
    const withoutCertificates = async () =>
      new Map([...(await stage.held())].map(([name, dump]) => [name, withoutIdentities(dump)]));
    await unchanged(
      "a zone's control plane restarted with an empty store",
      "zone-b",
      () => removeStore(zoneB),
      async () => {
        await eventually("all proxies in the store", 60_000, async () => {
          assert.deepEqual(await namesAt(zoneB, "dataplanes"), ["backend-2", "backend-3"]);
          assert.deepEqual(await namesAt(zoneB, "zone-ingresses"), ["ingress-b"]);
        });
        await stage.online();
        await answeredBy(stage.url, all);
        for (const one of [global, ...zones]) await isWhole(one);
        assert.deepEqual(await namesAt(global, "dataplanes"), inventory);
      },
      // Its proxies get new ones from there, and it joins anew: its own certificate is lost, too.
      { held: withoutCertificates, joins: "joins" },
    );
  });

  await t.test("A15: global comes back empty: what it lacks is held, until somebody accepts it", async () => {
    await unchanged(
      "global restarted with an empty store",
      "global",
      () => removeStore(global),
      async () => {
        // It is another one, which has given no zone a certificate: nobody comes until each is given a token.
        for (const [name, zone] of [["zone-a", zoneA] as const, ["zone-b", zoneB] as const]) {
          await zone.child.said(/^no connection to global/);
          await (await stage.kill(name))("joins");
        }
        for (const zone of zones)
          await isHeld(
            zone,
            /^removal MeshTrafficPermission allow-all-/,
            /^removal MeshTimeout slow-/,
            /^removal Secret default.ca-builtin-cert-ca-1$/,
            /^change Mesh default$/,
            /^change Secret dataplane-token-signing-key-default-1$/,
          );
        await stage.online();
      },
    );
    // Zones still let their proxies in, by the keys that they have.
    await stage.startBackend("zone-a", "newcomer", "127.0.1.9");
    await answeredBy(stage.url, [...all, "newcomer"]);

    for (const zone of zones) {
      const said = await of.done("zone", "accept", "global", "--api", zone.api);
      assert.match(said, /^global: \d+ removed, \d+ to be taken as they are there\n$/);
      await hasTimeouts(zone);
      await isWhole(zone);
    }
    await apply(global, timeout("news", { connectionTimeout: "5s" }));
    for (const zone of zones) await hasTimeouts(zone, "news");
  });
});

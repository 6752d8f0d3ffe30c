// What is known of a proxy goes with its Dataplane, where a user wrote that and deletes it, and does not come again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { relayTo } from "#host/relay-for-test.ts";
import { isOnline } from "#owned/online.ts";
import { eventually, type LabZone, lab, put, remove, startZone } from "../lab/lab.ts";
import { dataplane, mesh } from "../lab/manifests.ts";
import { startFakeProxy } from "./fake-proxy.ts";

const insightOf = ({ store }: LabZone, name: string) => store.get({ kind: "DataplaneInsight", mesh: "default", name });

for (const when of ["connected", "away"] as const)
  test(`the insight of a Dataplane that a user deletes goes with it: its proxy is ${when}`, async (t) => {
    const of = await lab(t);
    const zone = await startZone(of, "zone-a");
    await put(zone.api, "/meshes/default", mesh("default"));
    const token = await zone.tokenFor("default");
    const start = async (name: string, port: number) => {
      const manifest = dataplane({ mesh: "default", name, service: "web", address: "127.0.9.1", port, appPort: 80 });
      await put(zone.api, `/meshes/default/dataplanes/${name}`, manifest);
      const relay = await relayTo(zone.dpPort);
      of.atEnd(() => relay.close());
      await startFakeProxy(of, zone, { mesh: "default", name }, token, relay.port);
      await eventually("an insight", 5_000, async () => assert.ok(isOnline(insightOf(zone, name))));
      return relay;
    };
    const relay = await start("web-1", 81);
    if (when === "away") {
      await relay.close();
      await eventually("a closed insight", 5_000, async () => assert.ok(!isOnline(insightOf(zone, "web-1"))));
    }
    await remove(zone.api, "/meshes/default/dataplanes/web-1");
    await relay.close();
    await eventually("no insight", 5_000, async () => assert.equal(insightOf(zone, "web-1"), undefined));
    // Records are written together: when that of another is there, one of the first would be, too.
    await start("web-2", 82);
    assert.equal(insightOf(zone, "web-1"), undefined);
  });

test("a proxy whose Dataplane a user deletes keeps the listeners that it has: what is under way to it is served", async (t) => {
  const of = await lab(t);
  const zone = await startZone(of, "zone-a");
  await put(zone.api, "/meshes/default", mesh("default"));
  const token = await zone.tokenFor("default");
  const start = (name: string, port: number) =>
    startFakeProxy(
      of,
      zone,
      dataplane({ mesh: "default", name, service: "web", address: "127.0.9.1", port, appPort: 80 }),
      token,
    );
  const deleted = await start("web-1", 81);
  const types = ["listener", "secret"] as const;
  const held = () => types.map((type) => new Map(deleted.held(type)));
  const before = held();
  assert.ok(before.every(({ size }) => size > 0));
  await remove(zone.api, "/meshes/default/dataplanes/web-1");
  // It has come into being after the deletion, so that was pushed before it.
  await start("web-2", 82);
  assert.deepEqual(held(), before);
});

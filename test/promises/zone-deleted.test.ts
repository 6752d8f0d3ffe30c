// A Zone that is deleted on global takes what it sent with it, so that no other zone routes there any more; one that is connected
// is not deleted; one that comes again is there again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { kodiak } from "#cli/cli.fixture.ts";
import { eventually, type LabZone, lab, put, startGlobal, startZone } from "../lab/lab.ts";
import { dataplane, usualMesh, zoneIngress } from "../lab/manifests.ts";

test("a zone is deleted when it is away, with all that it sent, and other zones lose its ingress; it may come again", async (t) => {
  const of = await lab(t);
  const global = await startGlobal(of);
  await put(global.api, "/meshes/default", usualMesh("default"));
  const zoneA = await startZone(of, "zone-a", global);
  const own = { mesh: "default", address: "127.0.9.1", port: 80, appPort: 81 };
  const hasMesh = ({ store }: LabZone) =>
    eventually("the mesh", 10_000, async () => assert.ok(store.get({ kind: "Mesh", mesh: "", name: "default" })));
  await hasMesh(zoneA);
  await put(zoneA.api, "/meshes/default/dataplanes/web", dataplane({ ...own, name: "web", service: "web" }));
  const fill = async (zone: LabZone): Promise<void> => {
    await hasMesh(zone);
    await put(zone.api, "/meshes/default/dataplanes/b-1", dataplane({ ...own, name: "b-1", service: "backend" }));
    await put(zone.api, "/zoneingresses/in-b", zoneIngress("in-b", "127.0.9.2", 10_001));
  };
  const run = (...args: readonly string[]) => kodiak([...args, "--api", global.api]);
  const shows = (kind: string, isThere: boolean, name: RegExp) =>
    eventually(`${kind} on global`, 10_000, async () => assert.equal(name.test((await run("get", kind)).out), isThere));
  const reachesA = (isThere: boolean) =>
    eventually("the ingress in zone-a", 10_000, async () =>
      assert.equal(zoneA.store.list("ZoneIngress").length, isThere ? 1 : 0),
    );

  const zoneB = await startZone(of, "zone-b", global);
  await fill(zoneB);
  await shows("dataplanes", true, /b-1/);
  await reachesA(true);
  const refused = await run("delete", "zone", "zone-b");
  assert.equal(refused.code, 1);
  assert.match(refused.err, /Zone CP is still connected, please shut it down first/);
  await reachesA(true);

  await zoneB.close();
  await shows("zones", true, /^zone-b +offline/m);
  assert.equal((await run("delete", "zone", "zone-b")).code, 0);
  await reachesA(false);
  await shows("zones", false, /zone-b/);
  await shows("dataplanes", false, /b-1/);
  await shows("dataplanes", true, /web/);
  await shows("zoneingresses", false, /in-b/);

  await fill(await startZone(of, "zone-b", global));
  await reachesA(true);
  await shows("dataplanes", true, /b-1/);
});

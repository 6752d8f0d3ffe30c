// A5: with routing.localityAwareLoadBalancing other zones get nothing while there is an instance here, and everything when
// there is none. They are another priority, which is what a retry may go on to.

import assert from "node:assert/strict";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { eventually, lab, put } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { mesh } from "../lab/manifests.ts";
import { noneFailed, repeated } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answersOf } from "./many-zones.ts";

test("A5: local first", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, { ...mesh("default"), routing: { localityAwareLoadBalancing: true } });
  const { zoneA, zoneB, url } = stage;
  const only = async (...names: readonly string[]) =>
    eventually(`answers of ${names.join(" and ")} only`, 30_000, async () =>
      assert.deepEqual([...(await answersOf(url, 60)).keys()].sort(), names),
    );
  const addLocal = () => stage.addBackend(zoneA, "backend-local", "127.0.1.2");
  await stage.addBackend(zoneB, "backend-remote-1", "127.0.2.2");
  await stage.addBackend(zoneB, "backend-remote-2", "127.0.2.3");
  await only("backend-remote-1", "backend-remote-2");
  let local = await addLocal();
  await only("backend-local");

  await t.test("no remote request while local is healthy, though the other zone has more instances", async () => {
    assert.deepEqual([...(await answersOf(url, 1_000))], [["backend-local", 1_000]]);
  });

  await t.test("all remote while there is none here; no request fails on either way", async (inner) => {
    const calling = load(url);
    own.atEnd(calling.stop);
    await repeated(calling, async () => {
      assert.equal(await local.leave(), 0);
      await only("backend-remote-1", "backend-remote-2");
      local = await addLocal();
      await only("backend-local");
    });
    noneFailed(
      inner,
      "with local first, the only local instance leaves by SIGTERM and comes back",
      await calling.stop(),
    );
  });

  await t.test(
    "a retry that omits previous priorities goes to the other zone, as soon as updateFrequency says",
    async () => {
      // Its application is gone, its proxy is not: every attempt there ends in 503.
      await local.app.close();
      const inForce = (numRetries: number, hostSelection: readonly object[]) => {
        const http = { numRetries, retryOn: ["503"], backOff: { baseInterval: "1ms" }, hostSelection };
        const spec = { to: [{ targetRef: { kind: "MeshService", name: "backend" }, default: { http } }] };
        const manifest = { type: "MeshRetry", mesh: "default", name: "other-zone", spec };
        return put(stage.global.api, "/meshes/default/meshretries/other-zone", manifest);
      };
      const answers = (status: number) =>
        eventually(`${status}`, 30_000, async () => {
          for (let i = 0; i < 20; i++) assert.equal((await get(url)).status, status);
        });
      const omit = (updateFrequency: number) => [{ predicate: "OmitPreviousPriorities", updateFrequency }];
      await inForce(3, []);
      await answers(503);
      await inForce(1, omit(1));
      await answers(200);
      await inForce(1, omit(2));
      await answers(503);
    },
  );
});

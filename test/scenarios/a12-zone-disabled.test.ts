// A12: a zone that is disabled gets no traffic of other zones and sends them none, and what is drained gets what nobody else has. Each on
// global, under load in both directions, and without a failed request; draining and forgetting while the zone's control plane is away.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { kodiak } from "#cli/cli.fixture.ts";
import { freePort } from "#host/free-port.ts";
import { startApp } from "../lab/http.ts";
import { eventually, lab, put, startProxy } from "../lab/lab.ts";
import { type Load, load } from "../lab/load.ts";
import { dataplane, zoneIngress } from "../lab/manifests.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answersOf } from "./many-zones.ts";

/** Ends with the test, also when that fails. */
function loading(t: TestContext, url: string): Load {
  const calling = load(url, 2);
  t.after(() => calling.stop());
  return calling;
}

test("A12: a zone is disabled, enabled, drained, restored and forgotten", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const { global, zoneA, zoneB, url } = stage;
  await startProxy(own, zoneA, zoneIngress("ingress-a", "127.0.1.9", await freePort("127.0.1.9")), stage.zoneToken);
  const out = await freePort();
  const app = await startApp("frontend-b");
  own.atEnd(() => app.close());
  const frontend = {
    ...{ mesh: "default", name: "frontend-b", service: "frontend-b", appPort: app.port },
    ...{ address: "127.0.2.8", port: await freePort("127.0.2.8"), outbounds: { [out]: "backend" } },
  };
  await startProxy(own, zoneB, dataplane(frontend), stage.token);
  const urlOfB = `http://127.0.0.1:${out}`;
  let local = await stage.addBackend(zoneA, "in-a", "127.0.1.2");
  await stage.addBackend(zoneB, "in-b", "127.0.2.2");

  const answered = (from: string, names: readonly string[]) =>
    eventually(`answers of ${names.join(" and ")} only`, 30_000, async () =>
      assert.deepEqual([...(await answersOf(from, 40)).keys()].sort(), names),
    );
  const both = ["in-a", "in-b"];
  await answered(url, both);
  await answered(urlOfB, both);
  const enabled = (isEnabled: boolean) =>
    put(global.api, "/zones/zone-b", { type: "Zone", name: "zone-b", enabled: isEnabled });
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, out, err } = await kodiak([...args, "--api", global.api]);
    assert.equal(code, 0, err);
    return out;
  };

  await t.test("disabled: neither zone sends to the other; enabled again, each does", async (inner) => {
    const calling = [loading(inner, url), loading(inner, urlOfB)];
    for (let round = 0; round < times(1, 20); round++) {
      await enabled(false);
      await answered(url, ["in-a"]);
      await answered(urlOfB, ["in-b"]);
      await eventually("no ingress of the other", 10_000, async () =>
        assert.deepEqual([zoneA.store.list("ZoneIngress").length, zoneB.store.list("ZoneIngress").length], [1, 1]),
      );
      assert.match(await run("get", "zones"), /^zone-b +online since \S+ +disabled$/m);
      await enabled(true);
      await answered(url, both);
      await answered(urlOfB, both);
    }
    for (const [i, one] of calling.entries())
      noneFailed(inner, `a zone is disabled and enabled, ${i === 0 ? "calls to it" : "its calls"}`, await one.stop());
  });

  await zoneB.close();

  await t.test("drained while its control plane is away: it gets nothing, but what nobody else has", async (inner) => {
    const calling = loading(inner, url);
    assert.match(await run("zone", "drain", "zone-b"), /^zone-b: other zones send nothing there/);
    await answered(url, ["in-a"]);
    await eventually("the zone shown as away", 10_000, async () =>
      // An object may have been on its way when it went: then it says so between the two.
      assert.match(await run("get", "zones"), /^zone-b +offline since \S+ +drained for \S+ .*for \S+$/m),
    );
    assert.equal(await local.leave(), 0);
    await answered(url, ["in-b"]);
    local = await stage.addBackend(zoneA, "in-a", "127.0.1.2");
    await answered(url, ["in-a"]);
    await run("zone", "restore", "zone-b");
    await answered(url, both);
    noneFailed(inner, "a zone without a control plane is drained and restored", await calling.stop());
  });

  await t.test(
    "forgotten while its control plane is away: nothing of it is left, and no request fails",
    async (inner) => {
      const calling = loading(inner, url);
      await run("zone", "forget", "zone-b");
      await answered(url, ["in-a"]);
      await eventually("no ingress of it", 10_000, async () =>
        assert.deepEqual(
          zoneA.store.list("ZoneIngress").map(({ name }) => name),
          ["ingress-a"],
        ),
      );
      noneFailed(inner, "a zone without a control plane is forgotten", await calling.stop());
    },
  );
});

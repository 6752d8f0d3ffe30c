// P12: never more than two thirds of all zones are taken out of rotation for being silent, the one that finds them so among them: with more
// it is that one which has lost its network. Its proxies then go by themselves, and leave two thirds of their endpoints out at most.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { blackhole } from "../lab/blackhole.ts";
import { eventually, lab, put, startZone } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh, zoneIngress } from "../lab/manifests.ts";
import { noneFailed } from "../lab/soak.ts";
import { answersOf, byZone, manyZones } from "../scenarios/many-zones.ts";

const shape = { instances: 1, ingresses: 1 };

test("P12: two of three zones that do not answer are taken out, three of four are not", async (t) => {
  const own = await lab(t);
  const stage = await manyZones(own, { "zone-a": shape, "zone-b": shape, "zone-c": shape }, usualMesh("default"));
  await stage.knows({ "zone-a": 1, "zone-b": 1, "zone-c": 1 });
  const endpoints = await stage.frontend.admin("/clusters?filter=^backend$");
  // Addresses of `manyZones`.
  const ingresses = [...endpoints.matchAll(/^backend::(127\.0\.1[12]\.101):(\d+)::health_flags/gm)];
  assert.equal(ingresses.length, 2);
  const lines = await Promise.all(ingresses.map(([, host = "", port]) => blackhole(own, { host, port: Number(port) })));
  /** How many endpoints the client's Envoy leaves out, and how many of these because its zone says so. */
  const leftOut = async () => {
    const text = await stage.frontend.admin("/clusters?filter=^backend$");
    const flags = [...text.matchAll(/^backend::[^:]+:\d+::health_flags::(.*)$/gm)].map(([, one = ""]) => one);
    assert.equal(flags.length, 3);
    return {
      all: flags.filter((one) => one !== "healthy").length,
      marked: flags.filter((one) => one.includes("failed_eds_health")).length,
    };
  };
  const calls = load(stage.url, 2, false, 40);

  for (const { open } of lines) await open();
  await eventually("both zones taken out", 30_000, async () =>
    assert.deepEqual(await leftOut(), { all: 2, marked: 2 }),
  );
  assert.deepEqual(byZone(await answersOf(stage.url, 50)), { "zone-a": 50 });

  // A fourth zone, whose ingress nobody has started.
  const silent = await startZone(own, "zone-d", stage.global);
  const nowhere = zoneIngress("ingress-d", "127.0.40.1", await freePort("127.0.40.1"));
  await put(silent.api, "/zoneingresses/ingress-d", nowhere);
  await eventually("no zone taken out any more", 30_000, async () => assert.equal((await leftOut()).marked, 0));
  await eventually("the client goes by itself", 20_000, async () => assert.equal((await leftOut()).all, 2));
  const before = calls.sent();
  await eventually("a hundred more requests", 30_000, async () => {
    assert.ok((await leftOut()).all <= 2);
    assert.ok(calls.sent() > before + 100);
  });

  for (const { mend } of lines) await mend();
  await eventually("all three are back", 30_000, async () => {
    assert.deepEqual(await leftOut(), { all: 0, marked: 0 });
    assert.deepEqual(Object.keys(byZone(await answersOf(stage.url, 30))).sort(), ["zone-a", "zone-b", "zone-c"]);
  });
  noneFailed(t, "two of three zones do not answer, then three of four", await calls.stop());
});

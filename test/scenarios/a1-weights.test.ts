// A1, A2, with and without egresses: each zone's share is that of its instances, however many ingresses it has, and each instance has its share of that.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, lab, patience, put } from "../lab/lab.ts";
import { egressMesh } from "../lab/manifests.ts";
import { answersOf, byZone, manyZones } from "./many-zones.ts";

const requests = 5_000;

test("A1, A2: three zones of 1, 3 and 6 instances behind 1, 2 and 3 ingresses", async (t) => {
  const own = await lab(t);
  const stage = await manyZones(own, {
    "zone-a": { instances: 1, ingresses: 1, egresses: 2 },
    "zone-b": { instances: 3, ingresses: 2 },
    "zone-c": { instances: 6, ingresses: 3 },
  });
  await stage.knows({ "zone-a": 1, "zone-b": 3, "zone-c": 6 });

  const shared = (counts: ReadonlyMap<string, number>): void => {
    const text = JSON.stringify([...counts].sort());
    t.diagnostic(text);
    for (const [zone, percent] of Object.entries({ "zone-a": 10, "zone-b": 30, "zone-c": 60 })) {
      const share = (100 * (byZone(counts)[zone] ?? 0)) / requests;
      assert.ok(Math.abs(share - percent) <= 2, `${zone}: ${share} %; ${text}`);
    }
    assert.equal(counts.size, 10, text);
  };
  const even = (counts: ReadonlyMap<string, number>): void => {
    for (const [instance, count] of counts)
      assert.ok(Math.abs(count - requests / 10) <= requests / 40, `${instance}: ${count}`);
  };

  await t.test(
    "A1: shares of 10, 30 and 60 %, within 2 points; every instance within a quarter of its own",
    async () => {
      const counts = await answersOf(stage.url, requests);
      shared(counts);
      even(counts);
    },
  );

  await t.test("A1 through two egresses: the same", async () => {
    await put(stage.global.api, "/meshes/default", egressMesh("default"));
    await eventually("endpoints behind egresses", 10_000, async () =>
      assert.match(await stage.frontend.admin("/clusters"), /envoy:\/\/kodiak:egress\/zone-c/),
    );
    await stage.knows({ "zone-a": 1, "zone-b": 3, "zone-c": 6 });
    const counts = await answersOf(stage.url, requests);
    shared(counts);
    even(counts);
    for (const egress of stage.egresses)
      assert.match(await egress.admin("/stats?filter=zone_zone-c.upstream_cx_total"), /: [1-9]/);
  });

  await t.test("A1 of a client that sees its egresses only, as Kuma's do: the shares of zones", async () => {
    shared(await answersOf(await stage.stockKnows({ "zone-a": 1, "zone-b,zone-c": 9 }), requests));
  });

  await t.test("A2: six become one, and the share follows within two seconds", async () => {
    const leaving = stage.zones.get("zone-c")?.backends.splice(1) ?? [];
    const start = performance.now();
    const left = Promise.all(leaving.map((proxy) => proxy.leave()));
    await stage.knows({ "zone-a": 1, "zone-b": 3, "zone-c": 1 }, 20_000);
    const ms = performance.now() - start;
    t.diagnostic(`the share followed after ${ms.toFixed(0)} ms`);
    assert.ok(ms <= 2_000 * patience, `${ms} ms`);
    const counts = await answersOf(stage.url, 1_000);
    const text = JSON.stringify([...counts].sort());
    for (const [zone, percent] of Object.entries({ "zone-a": 20, "zone-b": 60, "zone-c": 20 })) {
      const share = (byZone(counts)[zone] ?? 0) / 10;
      assert.ok(Math.abs(share - percent) <= 3, `${zone}: ${share} %; ${text}`);
    }
    // Until it has gone, one that leaves may answer what comes on a connection that is open.
    assert.deepEqual(new Set(await left), new Set([0]));
    const gone = new Set(leaving.map(({ name }) => name));
    for (const instance of (await answersOf(stage.url, 500)).keys()) assert.ok(!gone.has(instance), instance);
  });
});

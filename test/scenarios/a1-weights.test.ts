// A1, A2: each zone's share is that of its instances, however many ingresses it has, and each instance has its share of that.

import assert from "node:assert/strict";
import { test } from "node:test";
import { lab, patience } from "../lab/lab.ts";
import { answersOf, byZone, manyZones } from "./many-zones.ts";

const requests = 5_000;

test("A1, A2: three zones of 1, 3 and 6 instances behind 1, 2 and 3 ingresses", async (t) => {
  const own = await lab(t);
  const stage = await manyZones(own, {
    "zone-a": { instances: 1, ingresses: 1 },
    "zone-b": { instances: 3, ingresses: 2 },
    "zone-c": { instances: 6, ingresses: 3 },
  });
  await stage.knows({ "zone-a": 1, "zone-b": 3, "zone-c": 6 });

  await t.test(
    "A1: shares of 10, 30 and 60 %, within 2 points; every instance within a quarter of its own",
    async () => {
      const counts = await answersOf(stage.url, requests);
      const text = JSON.stringify([...counts].sort());
      t.diagnostic(text);
      for (const [zone, percent] of Object.entries({ "zone-a": 10, "zone-b": 30, "zone-c": 60 })) {
        const share = (100 * (byZone(counts)[zone] ?? 0)) / requests;
        assert.ok(Math.abs(share - percent) <= 2, `${zone}: ${share} %; ${text}`);
      }
      assert.equal(counts.size, 10, text);
      for (const [instance, count] of counts)
        assert.ok(Math.abs(count - requests / 10) <= requests / 40, `${instance}: ${count}; ${text}`);
    },
  );

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

// Days in milliseconds: zones issue their proxies' certificates from authorities of their own, whether global is there or not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { misfits } from "./checks.ts";
import type { ControlPlane } from "./control-plane.ts";
import { meshSpec } from "./manifests.ts";
import type { Stage } from "./stage.ts";
import { end, instance, twoZones } from "./two-zones.ts";

const minute = 60_000;
const hour = 60 * minute;

/** Whose leaves live so long. */
function meshWith(expiration: string) {
  const builtin = { name: "ca-1", type: "builtin", mode: "STRICT", dpCert: { rotation: { expiration } } };
  return { ...meshSpec("m1", "STRICT"), mtls: { enabledBackend: "ca-1", backends: [builtin] } };
}
const brief = { mesh: meshWith("30m"), lastsMs: 4 * hour };

/** How long the certificates of the proxies are still good, the shortest and the longest. */
function validMs({ proxies, time }: Stage): readonly [least: number, most: number] {
  const ends = proxies.filter(({ kind }) => kind === "Dataplane").map(({ identity }) => identity?.notAfter ?? 0);
  return [Math.min(...ends) - time.now(), Math.max(...ends) - time.now()];
}

const own = ({ store }: ControlPlane): string => store?.note("intermediate m1/ca-1") ?? "";

test("A8: global is away: certificates are renewed, and given to who comes, from zones' own authorities; when it is back, these are renewed", async () => {
  const on = await twoZones(brief);
  const { zoneA, zoneB, global } = on;
  const first = on.zones.map(own);
  for (const one of first) assert.notEqual(one, "");
  global.kill();
  for (let passed = 0; passed < 150; passed += 10) {
    if (passed === 60) instance(on, zoneA, 2);
    if (passed === 110) zoneB.kill();
    if (passed === 120) zoneB.start();
    await on.time.advance(10 * minute);
    const [least] = validMs(on);
    // Renewed at half, and one is without its control plane for ten minutes.
    assert.ok(least >= 4 * minute, `${least} ms left after ${passed + 10} min`);
  }
  // Half of their time has passed: they were asked for, and nobody was there.
  assert.deepEqual(on.zones.map(own), first);
  global.start();
  await on.time.advance(10_000);
  for (const [i, zone] of on.zones.entries()) assert.notEqual(own(zone), first[i], zone.name);
  await on.time.advance(2 * hour);
  assert.ok(validMs(on)[0] >= 14 * minute);
  assert.deepEqual(misfits(on), []);
  end(on);
});

test("global is away until zones' own authorities have ended: once it is back, all proxies have certificates within seconds", async () => {
  const on = await twoZones(brief);
  on.global.kill();
  await on.time.advance(5 * hour);
  assert.ok(validMs(on)[1] <= 0, "no certificate outlives who signed it");
  on.global.start();
  await on.time.advance(30_000);
  assert.ok(validMs(on)[0] >= 29 * minute);
  await on.time.advance(3 * hour);
  assert.ok(validMs(on)[0] >= 14 * minute);
  assert.deepEqual(misfits(on), []);
  end(on);
});

test("A10: a zone's control plane is away for 26 h: certificates hold, and are renewed when it is back", async () => {
  const on = await twoZones({ mesh: meshWith("54h") });
  const { zoneA } = on;
  const before = on.proxies.map(({ has }) => [...has.listener]);
  zoneA.kill();
  await on.time.advance(26 * hour);
  assert.ok(validMs(on)[0] >= 27 * hour);
  assert.deepEqual(
    on.proxies.map(({ has }) => [...has.listener]),
    before,
  );
  zoneA.start();
  await on.time.advance(2 * hour);
  assert.ok(validMs(on)[0] >= 52 * hour);
  assert.deepEqual(misfits(on), []);
  end(on);
});

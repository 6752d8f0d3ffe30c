// A link between control planes on which nothing passes for a while, with megabytes to send in both directions, compressed.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { relayTo } from "#host/relay-for-test.ts";
import { resource, startGlobal, startZone, world } from "../kds/control-planes.ts";
import { times } from "../lab/soak.ts";

const resources = 50;
/** Of noise, which does not become smaller: 5 MB in each direction. */
const noiseBytes = 100 * 1024;
const stuckMs = times(4_000, 10_000);

const noisy = (origin: string) =>
  Array.from({ length: resources }, (_, i) =>
    resource(
      "MeshTimeout",
      `${origin}-${i}`,
      { noise: randomBytes((noiseBytes * 3) / 4).toString("base64") },
      { "kuma.io/origin": origin },
    ),
  );

test("a link on which nobody read for a while comes to life again, with both sides full", async (t) => {
  const global = await startGlobal(t);
  await global.put(resource("Mesh", "default", {}));
  const relay = await relayTo(global.target.port);
  t.after(relay.close);
  const zone = startZone(t, "zone-a", { ...global.target, port: relay.port });
  await zone.linked(({ kind }) => kind === "connected");
  await zone.has("Mesh", "default");
  await zone.put(resource("MeshTimeout", "first", {}, { "kuma.io/origin": "zone" }));
  const timeoutsAt = ({ store }: typeof global | typeof zone): number => store.list("MeshTimeout").length;
  await global.changed.until(
    () => timeoutsAt(global) === 1,
    () => "the zone's first",
  );
  const links = zone.links.length;

  relay.hold();
  await Promise.all([global.put(...noisy("global")), zone.put(...noisy("zone"))]);
  await new Promise<void>((resolve) => world.clock.alarm(world.clock.now() + stuckMs, resolve));
  // Own: what it has written; the other's has not come.
  assert.deepEqual([timeoutsAt(global), timeoutsAt(zone)], [resources + 1, resources + 1]);

  relay.release();
  for (const place of [global, zone])
    await place.changed.until(
      () => timeoutsAt(place) === 2 * resources + 1,
      () => `there are ${timeoutsAt(place)}`,
    );
  assert.deepEqual(
    zone.links.slice(links).filter(({ kind }) => kind === "away"),
    [],
    "it is the same link",
  );
});

// P1, between a zone's control plane and its own proxies: packets are dropped until nothing is heard of any of them. They serve, so other
// zones go on sending to them, and what they brought stays.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asZoneIngress } from "#resources/zone-ingress.ts";
import { blackhole } from "../lab/blackhole.ts";
import { eventually, lab } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh } from "../lab/manifests.ts";
import { noneFailed } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answersOf } from "../scenarios/many-zones.ts";

const what = "the link of a zone's control plane to its own proxies is cut, silently";

test(`P1: ${what}`, async (t) => {
  const own = await lab(t);
  const { zoneB, url, global, ingress, addBackend } = await twoZones(own, usualMesh("default"));
  const addresses = ["127.0.2.2", "127.0.2.3"];
  for (const [i, address] of addresses.entries()) await addBackend(zoneB, `backend-${i + 1}`, address);
  // Requests would not tell: those of a connection that is kept all go to the one place behind the ingress that it was made to.
  const areBehindTheIngress = async () => {
    const clusters = await ingress.admin("/clusters?filter=^default:backend$");
    const healthy = clusters.matchAll(/::([\d.]+):\d+::health_flags::healthy$/gm);
    assert.deepEqual([...healthy].map(([, address]) => address).sort(), addresses);
  };
  await eventually("both behind the ingress", 30_000, areBehindTheIngress);
  await eventually("an answer", 30_000, () => answersOf(url, 1));
  // What follows from that is written by now, and on global, where everything is watched from here on.
  await eventually("all of it known on global", 30_000, async () => {
    const [offered] = asZoneIngress(global.store.list("ZoneIngress")[0]!).spec.availableServices ?? [];
    assert.equal(offered?.instances, addresses.length);
    assert.equal(global.store.list("Dataplane").length, addresses.length + 1);
  });
  const frozenSince = async () => {
    const own = (await (await fetch(`${zoneB.api}/_links`)).json()) as { readonly frozenSince?: string };
    return own.frozenSince;
  };
  const changes: string[] = [];
  for (const { store } of [zoneB, global])
    t.after(
      store.watch((commit) => {
        for (const { id, after } of commit.changes)
          if (["Dataplane", "ZoneIngress"].includes(id.kind)) changes.push(`${id.name} ${after ? "put" : "deleted"}`);
      }),
    );
  const line = await blackhole(own, { host: "127.0.0.1", port: zoneB.dpPort });
  const calling = load(url, 4, false, 100);
  own.atEnd(calling.stop);
  await line.open();
  const cutAt = performance.now();
  await eventually("the loss of all", 60_000, async () => assert.ok(await frozenSince()));
  const frozenMs = performance.now() - cutAt;
  await areBehindTheIngress();
  await line.mend();
  const mendedAt = performance.now();
  await eventually("all of them back", 60_000, async () => assert.equal(await frozenSince(), undefined));
  t.diagnostic(`noticed after ${Math.round(frozenMs)} ms, back after ${Math.round(performance.now() - mendedAt)} ms`);
  noneFailed(t, what, await calling.stop());
  assert.deepEqual(changes, []);
  await areBehindTheIngress();
});

// P3: every push is make-before-break, in an Envoy and between zones: no request fails because of an update. Within one Envoy:
// test/envoy/make-before-break.test.ts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { eventually, lab, remove, startProxy } from "../lab/lab.ts";
import { type Load, load } from "../lab/load.ts";
import { zoneIngress } from "../lab/manifests.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { type TwoZones, twoZones } from "../lab/two-zones.ts";

const often = times(4, 50);
/** Long enough for what is cut off too early to be missed. What fails at one place is tried again at another, so its client sees nothing of it. */
async function goesOn(calling: Load, { frontend }: TwoZones): Promise<void> {
  const failures = async () => {
    const clusters = await frontend.admin("/clusters?filter=^backend$");
    return [...clusters.matchAll(/::cx_connect_fail::(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const [before, sent] = [await failures(), calling.sent()];
  await eventually("requests meanwhile", 10_000, async () => assert.ok(calling.sent() > sent + 500));
  assert.equal(await failures(), before);
}
const rolls = times(3, 10);

test(`a service is made and deleted in another zone ${often} times: no request of this zone, which has it too, fails`, async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  await stage.addBackend(stage.zoneA, "backend-a", "127.0.1.2");
  const answeredBy = (instance: string) =>
    eventually(`an answer of ${instance}`, 30_000, async () => {
      const { status, text } = await get(stage.url);
      assert.equal(status, 200, text);
      assert.equal(JSON.parse(text).instance, instance);
    });
  await answeredBy("backend-a");
  const calling = load(stage.url);
  own.atEnd(calling.stop);
  for (let i = 0; i < often; i++) {
    const name = `backend-${i}`;
    const other = await stage.addBackend(stage.zoneB, name, "127.0.2.2");
    await answeredBy(name);
    // This zone hears of it late: what it sends until then is served.
    stage.linkOfB.hold();
    // By its proxy, which leaves, or by a user while it serves.
    const leaving = i % 2 === 0 ? other.leave() : remove(stage.zoneB.api, `/meshes/default/dataplanes/${name}`);
    await goesOn(calling, stage);
    stage.linkOfB.release();
    await leaving;
    await eventually("this zone to know of its own instance only", 10_000, async () =>
      assert.equal((await stage.frontend.admin("/clusters?filter=^backend$")).match(/::rq_total::/g)?.length, 1),
    );
    if (i % 2 === 0) await remove(stage.zoneB.api, `/meshes/default/dataplanes/${name}`);
    assert.equal(await other.leave(), 0);
  }
  noneFailed(t, `another zone's only instance of a service comes and is deleted, ${often} times`, await calling.stop());
});

test(`the two ingresses of a zone are rolled ${rolls} times: no request of the other zone fails`, async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  await stage.addBackend(stage.zoneB, "backend-2", "127.0.2.2");
  const ingresses = [stage.ingress];
  const add = async (host: string): Promise<void> => {
    const port = await freePort(host);
    ingresses.push(await startProxy(own, stage.zoneB, zoneIngress(`ingress-${host}`, host, port), stage.zoneToken));
    // Its address is in use when the client's Envoy has sent something there.
    await eventually(`requests through ${host}`, 30_000, async () => {
      assert.equal((await get(stage.url)).status, 200);
      const clusters = await stage.frontend.admin("/clusters?filter=^backend$");
      const [, requests = "0"] = new RegExp(`::${host}:${port}::rq_total::(\\d+)`).exec(clusters) ?? [];
      assert.ok(Number(requests) > 0, clusters);
    });
  };
  await eventually("an answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const calling = load(stage.url);
  own.atEnd(calling.stop);
  for (let i = 0; i < rolls; i++) {
    await add(`127.0.2.${20 + i}`);
    stage.linkOfB.hold();
    const left = ingresses.shift()?.leave();
    await goesOn(calling, stage);
    stage.linkOfB.release();
    assert.equal(await left, 0);
  }
  noneFailed(t, `a zone's ingresses are replaced one by one, ${rolls} times`, await calling.stop());
});

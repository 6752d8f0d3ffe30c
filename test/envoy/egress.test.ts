// A mesh with `routing.zoneEgress`: local proxy → local zone egress → remote zone ingress, or nothing.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { eventually, type LabProxy, lab, post, put, startProxy } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { egressMesh, mesh, zoneEgress } from "../lab/manifests.ts";
import { mostFailed, noneFailed, times } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";

const counter = async ({ admin }: LabProxy, name: string): Promise<number> => {
  const text = await admin(`/stats?filter=^${name.replaceAll(".", "\\.")}$`);
  return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
};
const throughEgress = "cluster.kodiak_zone_zone-b.upstream_cx_total";
const rolls = times(2, 20);
const switches = times(3, 30);

test("a zone's way out is its egress", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, egressMesh("default"));
  const backend = await stage.addBackend(stage.zoneB, "backend-1", "127.0.2.2");
  const token = await eventually("a token", 10_000, () =>
    post(stage.global.api, "/tokens/zone", { scope: ["egress"], validFor: "1h" }),
  );
  const startEgress = async (name: string, address: string) => ({
    ...(await startProxy(own, stage.zoneA, zoneEgress(name, address, await freePort(address)), token)),
    address,
  });
  const answered = () => eventually("an answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const requests = () => counter(backend, `http.localhost_${backend.app.port}.downstream_rq_total`);
  const endpoints = async () => stage.frontend.admin("/clusters");
  const without = { zone: "zone-a", meshes: ["default"] };
  const withoutEgress = async (at: { readonly api: string }) =>
    ((await (await fetch(`${at.api}/_links`)).json()) as { withoutEgress?: object[] }).withoutEgress ?? [];
  const failsClosed = async () => {
    await eventually("a refusal that says why", 20_000, async () =>
      assert.deepEqual(await get(stage.url).then(({ status, text }) => ({ status, text })), {
        status: 503,
        text: "no way out of zone-a: mesh default reaches other zones through a zone egress, and none is alive",
      }),
    );
    assert.deepEqual(await withoutEgress(stage.zoneA), [without]);
    const before = await requests();
    for (let i = 0; i < 50; i++) assert.equal((await get(stage.url)).status, 503);
    assert.equal(await requests(), before, "nothing leaves the zone");
  };

  await t.test("without one it fails closed, and says so", async () => {
    await eventually("a backend that serves", 20_000, async () =>
      assert.match(await stage.ingress.admin("/clusters"), /default:backend::127\.0\.2\.2/),
    );
    await failsClosed();
    // No zone has one, and the other does not need it to be called.
    const zones = async () => (await withoutEgress(stage.global)).map((one) => Reflect.get(one, "zone")).sort();
    await eventually("both zones on global", 10_000, async () => assert.deepEqual(await zones(), ["zone-a", "zone-b"]));
  });

  const egresses = [await startEgress("egress-1", "127.0.1.9")];
  const [first] = egresses;
  assert.ok(first);

  await t.test("requests go through it, and through the ingress of the other zone", async () => {
    await answered();
    await eventually("an egress that is known", 10_000, async () =>
      assert.deepEqual(await withoutEgress(stage.zoneA), []),
    );
    const hops = async () => ({
      egress: await counter(first, throughEgress),
      ingress: await counter(stage.ingress, "cluster.default_backend.upstream_cx_total"),
      requests: await requests(),
    });
    const before = await hops();
    for (let i = 0; i < 500; i++) assert.equal((await get(stage.url)).status, 200);
    const after = await hops();
    assert.equal(after.requests - before.requests, 500);
    // A connection to another zone carries 50 requests.
    assert.equal(after.egress - before.egress, 10);
    assert.equal(after.ingress - before.ingress, 10);
    const client = await stage.frontend.admin("/config_dump?include_eds");
    assert.match(client, new RegExp(`"${first.address}"`));
    assert.doesNotMatch(
      client,
      new RegExp(`"${stage.ingressAt.host}"`),
      "clients do not know the other zone's ingress",
    );
  });

  await t.test(`two are rolled one by one under load, ${rolls} times: no request fails`, async () => {
    egresses.push(await startEgress("egress-2", "127.0.1.10"));
    const both = (addresses: readonly string[]) =>
      eventually(`egresses ${addresses}`, 20_000, async () => {
        const known = await endpoints();
        for (const address of addresses) assert.match(known, new RegExp(`kodiak:egress::${address}:`));
      });
    await both(egresses.map(({ address }) => address));
    const calling = load(stage.url);
    own.atEnd(calling.stop);
    for (let round = 0; round < rolls; round++) {
      const leaving = egresses.shift();
      assert.equal(await leaving?.leave(), 0);
      const name = `egress-${round + 3}`;
      egresses.push(await startEgress(name, `127.0.1.${round + 11}`));
      await both(egresses.map(({ address }) => address));
    }
    noneFailed(t, `egresses are rolled one by one, ${rolls} times`, await calling.stop());
  });

  await t.test("one of two is killed under load: at most the requests under way fail", async () => {
    const [killed, other] = egresses;
    const atOnce = 4;
    const calling = load(stage.url, atOnce);
    own.atEnd(calling.stop);
    const before = await counter(other!, throughEgress);
    process.kill(await killed!.envoyPid(), "SIGKILL");
    await eventually("connections through the other", 10_000, async () =>
      assert.ok((await counter(other!, throughEgress)) > before + 5),
    );
    await eventually("the killed one, started again", 20_000, async () =>
      assert.match(await endpoints(), new RegExp(`kodiak:egress::${killed!.address}:`)),
    );
    const why = "requests under way through it, without retries";
    mostFailed(t, "one of two egresses is killed", await calling.stop(), atOnce, why);
  });

  await t.test(`zoneEgress is switched off and on under load, ${switches} times: no request fails`, async () => {
    const calling = load(stage.url);
    own.atEnd(calling.stop);
    for (let round = 0; round < switches; round++) {
      await put(stage.global.api, "/meshes/default", mesh("default"));
      const direct = new RegExp(`backend::${stage.ingressAt.host}:${stage.ingressAt.port}::`);
      await eventually("the ingress itself", 10_000, async () => assert.match(await endpoints(), direct));
      await put(stage.global.api, "/meshes/default", egressMesh("default"));
      await eventually("a way through egresses", 10_000, async () =>
        assert.match(await endpoints(), /backend::envoy:\/\/kodiak:egress\/zone-b\//),
      );
    }
    noneFailed(t, `zoneEgress is switched off and on, ${switches} times`, await calling.stop());
  });

  await t.test("when the last has gone it fails closed again", async () => {
    assert.deepEqual(await Promise.all(egresses.map((egress) => egress.leave())), [0, 0]);
    await failsClosed();
  });
});

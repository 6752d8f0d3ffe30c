import assert from "node:assert/strict";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { eventually, lab } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";

test("requests cross zones through the ingress and nothing else; every instance gets its share", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  await stage.addBackend(stage.zoneA, "backend-1", "127.0.1.2");
  const remote = [
    await stage.addBackend(stage.zoneB, "backend-2", "127.0.2.2"),
    await stage.addBackend(stage.zoneB, "backend-3", "127.0.2.3"),
  ];
  const seen = new Set<string>();
  await eventually("an answer of each instance", 20_000, async () => {
    const { status, text } = await get(stage.url);
    assert.equal(status, 200, text);
    seen.add(JSON.parse(text).instance);
    assert.equal(seen.size, 3);
  });

  const counts = new Map<string, number>();
  for (let i = 0; i < 900; i++) {
    const { instance } = JSON.parse((await get(stage.url)).text);
    counts.set(instance, (counts.get(instance) ?? 0) + 1);
  }
  // 900 requests are 12 connections to zone-b, so its instances can differ by one connection of 50.
  assert.ok(Math.abs((counts.get("backend-1") ?? 0) - 300) <= 18, JSON.stringify([...counts]));
  for (const name of ["backend-2", "backend-3"])
    assert.ok(Math.abs((counts.get(name) ?? 0) - 300) <= 60, JSON.stringify([...counts]));

  const client = await stage.frontend.admin("/config_dump?include_eds");
  assert.match(client, new RegExp(`"${stage.ingressAt.host}"`));
  for (const { address } of remote) assert.doesNotMatch(client, new RegExp(`"${address}"`));

  const ingress = JSON.parse(await stage.ingress.admin("/config_dump"));
  const parts = ingress.configs.map((config: { "@type": string }) => config["@type"].split(".").at(-1));
  const secrets = ingress.configs.find((config: { "@type": string }) => config["@type"].endsWith("SecretsConfigDump"));
  // Only what its bootstrap has, to trust its control plane with.
  assert.deepEqual(secrets?.dynamic_active_secrets ?? [], [], parts.join());
  assert.doesNotMatch(JSON.stringify(ingress), /private_key/);
});

const leavings = times(2, 25);

test(`an instance starts and leaves by SIGTERM under load, ${leavings} times: no request fails, all traffic in the other zone`, async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  await stage.addBackend(stage.zoneB, "backend-2", "127.0.2.2");
  await eventually("an answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const calling = load(stage.url);
  own.atEnd(calling.stop);
  for (let round = 0; round < leavings; round++) {
    const local = await stage.addBackend(stage.zoneA, "backend-1", "127.0.1.2");
    const seen = new Set<string>();
    await eventually("answers of both zones", 20_000, async () => {
      const { status, text } = await get(stage.url);
      assert.equal(status, 200, text);
      seen.add(JSON.parse(text).instance);
      assert.equal(seen.size, 2);
    });
    assert.equal(await local.leave(), 0);
    for (let i = 0; i < 100; i++) assert.equal(JSON.parse((await get(stage.url)).text).instance, "backend-2");
  }
  noneFailed(t, `a zone's only instance starts and leaves by SIGTERM, ${leavings} times`, await calling.stop());
});

// The key that signs dataplane tokens is rotated while requests go on in both directions across zones: added, used, and the old one
// removed. No request fails, and who still has a token of the old key is out at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { createSigningKey, dataplaneTokenKeys, signingKeyId } from "#identity/signing-key.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabZone, lab, post, put, remove, startProxy } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";

const requests = times(5_000, 50_000);
const keyId = (kid: string) => signingKeyId(dataplaneTokenKeys("default"), kid);
const secretPath = (kid: string): string => `/meshes/default/secrets/${keyId(kid).name}`;

test("a token key is rotated under load in both directions across zones; who has a token of the old one is out", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, mesh("default"));
  const { global, zoneA, zoneB, zoneToken, token: old } = stage;
  const at = { host: "127.0.2.2", port: await freePort("127.0.2.2") };
  await startProxy(own, zoneA, zoneIngress("ingress-a", at.host, at.port), zoneToken);

  const add = async (zone: LabZone, name: string, token: string, calls?: string) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const address = `127.0.3.${++last}`;
    const [port, out] = await Promise.all([freePort(address), freePort()]);
    const [service = ""] = name.split("-");
    const outbounds = calls === undefined ? {} : { [out]: calls };
    const manifest = dataplane({ mesh: "default", name, service, address, port, appPort: app.port, outbounds });
    return { ...(await startProxy(own, zone, manifest, token)), url: `http://127.0.0.1:${out}` };
  };
  let last = 0;
  const answers = (url: string, instance: string) =>
    eventually(`an answer of ${instance}`, 30_000, async () => {
      const { status, text } = await get(url);
      assert.equal(status === 200 && JSON.parse(text).instance, instance);
    });
  /** A provider and a caller in each zone, with this token. */
  const generation = async (number: number, token: string) => {
    const [east, west] = await Promise.all([
      add(zoneA, `east-${number}`, token, "west"),
      add(zoneB, `west-${number}`, token, "east"),
    ]);
    await Promise.all([answers(east.url, `west-${number}`), answers(west.url, `east-${number}`)]);
    return { proxies: [east, west], loads: [load(east.url), load(west.url)] };
  };
  const noMore = async (loads: readonly ReturnType<typeof load>[]) => {
    const all = await Promise.all(loads.map((one) => one.stop()));
    return { sent: all.reduce((sum, { sent }) => sum + sent, 0), failures: all.flatMap(({ failures }) => failures) };
  };
  const enough = (loads: readonly ReturnType<typeof load>[], most: number) =>
    eventually(`${most} requests in each direction`, most * 20, async () => {
      for (const one of loads) assert.ok(one.sent() >= most);
    });

  const first = await generation(1, old);
  const data = Buffer.from(await createSigningKey()).toString("base64");
  await put(global.api, secretPath("2"), { type: "Secret", mesh: "default", name: keyId("2").name, data });
  const fresh = await post(global.api, "/tokens/dataplane", { mesh: "default", validFor: "1h" });
  const kid = (token: string) => JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid;
  assert.deepEqual([kid(old), kid(fresh)], ["1", "2"]);
  await eventually("key 2 in the zones", 10_000, async () => {
    for (const zone of [zoneA, zoneB]) assert.ok(zone.store.get(keyId("2")));
  });

  const second = await generation(2, fresh);
  await enough([...first.loads, ...second.loads], requests / 2);
  // Their callers go with them.
  const counted = [await noMore(first.loads)];
  await first.proxies[0]?.leave();

  await remove(global.api, secretPath("1"));
  const dataplanes = (zone: LabZone): string =>
    zone.store
      .list("Dataplane")
      .filter(({ labels }) => labels["kuma.io/origin"] !== "global")
      .map(({ name }) => name)
      .sort()
      .join();
  await eventually("without who has a token of key 1", 10_000, async () => {
    assert.equal(dataplanes(zoneA), "east-2");
    assert.equal(dataplanes(zoneB), "west-2");
  });
  const { loads } = second;
  await enough(loads, (loads[0]?.sent() ?? 0) + requests / 2);
  counted.push(await noMore(loads));
  noneFailed(t, "the key of tokens is rotated under load in both directions across zones", {
    sent: counted.reduce((sum, { sent }) => sum + sent, 0),
    failures: counted.flatMap(({ failures }) => failures),
  });
});

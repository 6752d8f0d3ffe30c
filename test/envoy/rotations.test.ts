// What proxies are believed for is rotated while up to 500 requests a second go in each direction across zones, and said how many: their
// leaves, the root of the mesh, the key of their tokens. No request fails.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type TestContext, test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { createSigningKey, dataplaneTokenKeys, signingKeyId } from "#identity/signing-key.ts";
import { authorityOf } from "../lab/authority.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabProxy, type LabZone, lab, patience, post, put, remove, startProxy } from "../lab/lab.ts";
import { type Load, load } from "../lab/load.ts";
import { dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";

/** In each direction. */
const requests = times(5_000, 50_000);
const perSecond = 500;

/** Services east, in zone-a, and west, in zone-b, call each other; each zone has an ingress. */
async function stageOf(t: TestContext, meshSpec: object = mesh("default")) {
  const own = await lab(t);
  const stage = await twoZones(own, meshSpec);
  const { zoneA, zoneB, zoneToken } = stage;
  const at = { host: "127.0.2.2", port: await freePort("127.0.2.2") };
  await startProxy(own, zoneA, zoneIngress("ingress-a", at.host, at.port), zoneToken);
  let last = 0;
  const add = async (zone: LabZone, name: string, token: string, calls: string) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const address = `127.0.3.${++last}`;
    const [port, out] = await Promise.all([freePort(address), freePort()]);
    const [service = ""] = name.split("-");
    const manifest = dataplane({
      ...{ mesh: "default", name, service, address, port, appPort: app.port },
      outbounds: { [out]: calls },
    });
    return { ...(await startProxy(own, zone, manifest, token)), url: `http://127.0.0.1:${out}` };
  };
  const answers = (url: string, instance: string) =>
    eventually(`an answer of ${instance}`, 30_000, async () => {
      const { status, text } = await get(url);
      assert.equal(status === 200 && JSON.parse(text).instance, instance);
    });
  return {
    ...stage,
    /** A provider and a caller in each zone, with this token. */
    async generation(number: number, token: string) {
      const [east, west] = await Promise.all([
        add(zoneA, `east-${number}`, token, "west"),
        add(zoneB, `west-${number}`, token, "east"),
      ]);
      await Promise.all([answers(east.url, `west-${number}`), answers(west.url, `east-${number}`)]);
      const loads = [east, west].map(({ url }) => load(url, 4, false, perSecond));
      for (const one of loads) own.atEnd(one.stop);
      return { proxies: [east, west], loads };
    },
  };
}

type Loads = readonly Load[];

/** So many in each direction from now on. */
async function more(loads: Loads, count: number): Promise<void> {
  const before = loads.map((one) => one.sent());
  await eventually(`${count} requests in each direction`, 30_000 + count * 20, async () => {
    for (const [i, one] of loads.entries()) assert.ok(one.sent() >= (before[i] ?? 0) + count);
  });
}

async function noMore(t: TestContext, loads: Loads) {
  const rates = loads.map((one) => Math.round(one.perSecond()));
  t.diagnostic(`${rates.join(" and ")} requests/s`);
  const all = await Promise.all(loads.map((one) => one.stop()));
  return { sent: all.reduce((sum, { sent }) => sum + sent, 0), failures: all.flatMap(({ failures }) => failures) };
}

/** What its Envoy shows and whom it believes, of the mesh. */
async function heldBy(proxy: LabProxy) {
  const { configs } = JSON.parse(await proxy.admin("/config_dump?resource=dynamic_active_secrets"));
  const certificates = (member: string, of: string): readonly X509Certificate[] =>
    configs.flatMap(({ secret }: { secret: Record<string, Record<string, { inline_bytes: string }>> }) => {
      const text = Buffer.from(secret[member]?.[of]?.inline_bytes ?? "", "base64").toString();
      return text
        .split(/(?<=-----END CERTIFICATE-----\n)/)
        .flatMap((pem) => (pem.trim() ? new X509Certificate(pem) : []));
    });
  const [leaf, ...between] = certificates("tls_certificate", "certificate_chain");
  assert.ok(leaf, "a certificate");
  return { leaf, between, roots: certificates("validation_context", "trusted_ca") };
}

test("leaves are rotated under load in both directions across zones", async (t) => {
  // Renewed at half of it; longer where a machine does other things too, as an expired leaf would fail requests.
  const expiration = `${6 + 2 * patience}s`;
  const backends = [{ name: "ca-1", type: "builtin", dpCert: { rotation: { expiration } } }];
  const stage = await stageOf(t, { ...mesh("default"), mtls: { enabledBackend: "ca-1", backends } });
  const { proxies, loads } = await stage.generation(1, stage.token);
  const serials = proxies.map(() => new Set<string>());
  const look = async () => {
    for (const [i, proxy] of proxies.entries()) serials[i]?.add((await heldBy(proxy)).leaf.serialNumber);
  };
  const before = loads.map((one) => one.sent());
  await eventually("three renewals at both ends, and all requests", 30_000 + requests * 20, async () => {
    await look();
    for (const some of serials) assert.ok(some.size > 3, `${some.size} leaves`);
    for (const [i, one] of loads.entries()) assert.ok(one.sent() >= (before[i] ?? 0) + requests);
  });
  noneFailed(t, "leaves are rotated under load in both directions across zones", await noMore(t, loads));
});

test("the root is rotated under load in both directions across zones", async (t) => {
  const builtin = (name: string) => ({ name, type: "builtin" });
  const meshWith = (enabledBackend: string, ...names: string[]) => ({
    ...mesh("default"),
    mtls: { enabledBackend, backends: names.map(builtin) },
  });
  const stage = await stageOf(t, meshWith("ca-1", "ca-1"));
  const { global } = stage;
  const { proxies, loads } = await stage.generation(1, stage.token);
  const all = [...proxies, stage.frontend];
  const first = new X509Certificate(authorityOf("default", global).certificate).fingerprint256;
  const rootsOf = async () =>
    (await Promise.all(all.map(heldBy))).map(({ roots }) => roots.map((one) => one.fingerprint256));
  await more(loads, requests / 4);

  await put(global.api, "/meshes/default", meshWith("ca-1", "ca-1", "ca-2"));
  await eventually("all trust both", 30_000, async () => {
    for (const roots of await rootsOf()) assert.equal(roots.length, 2);
  });
  await more(loads, requests / 4);
  const second = (await rootsOf())[0]?.find((one) => one !== first);
  assert.ok(second);

  await put(global.api, "/meshes/default", meshWith("ca-2", "ca-1", "ca-2"));
  await eventually("all have a leaf of the second", 30_000, async () => {
    for (const { between, roots } of await Promise.all(all.map(heldBy))) {
      const root = roots.find((one) => one.fingerprint256 === second);
      assert.ok(root && between[0]?.verify(root.publicKey));
    }
  });
  await more(loads, requests / 4);

  // It is not let go before global has heard that all have.
  await eventually("the first may go", 30_000, () => put(global.api, "/meshes/default", meshWith("ca-2", "ca-2")));
  await eventually("all trust the second alone", 30_000, async () => {
    for (const roots of await rootsOf()) assert.deepEqual(roots, [second]);
  });
  await more(loads, requests / 4);
  noneFailed(t, "the root is rotated under load in both directions across zones", await noMore(t, loads));
});

const keyId = (kid: string) => signingKeyId(dataplaneTokenKeys("default"), kid);
const secretPath = (kid: string): string => `/meshes/default/secrets/${keyId(kid).name}`;

test("the key of tokens is rotated under load in both directions across zones; who has a token of the old one is out", async (t) => {
  const stage = await stageOf(t);
  const { global, zoneA, zoneB, token: old } = stage;
  const first = await stage.generation(1, old);
  const data = Buffer.from(await createSigningKey()).toString("base64");
  await put(global.api, secretPath("2"), { type: "Secret", mesh: "default", name: keyId("2").name, data });
  const fresh = await post(global.api, "/tokens/dataplane", { mesh: "default", validFor: "1h" });
  const kid = (token: string) => JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString()).kid;
  assert.deepEqual([kid(old), kid(fresh)], ["1", "2"]);
  await eventually("key 2 in the zones", 10_000, async () => {
    for (const zone of [zoneA, zoneB]) assert.ok(zone.store.get(keyId("2")));
  });

  const second = await stage.generation(2, fresh);
  await more([...first.loads, ...second.loads], requests / 2);
  // Their callers go with them.
  const counted = [await noMore(t, first.loads)];
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
  await more(second.loads, requests / 2);
  counted.push(await noMore(t, second.loads));
  noneFailed(t, "the key of tokens is rotated under load in both directions across zones", {
    sent: counted.reduce((sum, { sent }) => sum + sent, 0),
    failures: counted.flatMap(({ failures }) => failures),
  });
});

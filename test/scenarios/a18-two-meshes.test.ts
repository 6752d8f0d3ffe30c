// A18: two meshes with a service of the same name, behind one ingress. Nothing of one is to be had in the other: not by its
// SNI, not at its address, not by a Dataplane that claims to be an instance and leads to one of the other.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { type Authority, createBuiltinAuthority } from "#identity/authority.ts";
import { authorityOf } from "../lab/authority.ts";
import { get, startApp } from "../lab/http.ts";
import {
  eventually,
  type Lab,
  type LabProxy,
  type LabZone,
  lab,
  post,
  put,
  startGlobal,
  startProxy,
  startZone,
} from "../lab/lab.ts";
import { allowAll, dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { clientCertificate, handshake } from "../lab/openssl.ts";

const meshes = ["red", "blue"] as const;

interface OfMesh {
  /** Where its `frontend`, in zone-a, calls its `backend`, in zone-b. */
  readonly url: string;
  readonly frontend: LabProxy;
  readonly backendAt: { readonly host: string; readonly port: number };
  readonly token: string;
}

async function populate(
  own: Lab,
  api: string,
  name: string,
  i: number,
  zoneA: LabZone,
  zoneB: LabZone,
): Promise<OfMesh> {
  await put(api, `/meshes/${name}`, mesh(name));
  await put(api, `/meshes/${name}/meshtrafficpermissions/allow-all`, allowAll(name));
  const token = await eventually("a token", 10_000, () =>
    post(api, "/tokens/dataplane", { mesh: name, validFor: "1h" }),
  );
  const start = async (zone: LabZone, service: string, address: string, rest: object = {}) => {
    const app = await startApp(`${name}-${service}`);
    own.atEnd(() => app.close());
    const port = await freePort(address);
    const self = { mesh: name, name: `${service}-${name}`, service, address, port, appPort: app.port };
    const proxy = await startProxy(own, zone, dataplane({ ...self, ...rest }), token);
    return { proxy, at: { host: address, port } };
  };
  const backend = await start(zoneB, "backend", `127.0.2.${10 + i}`);
  const out = await freePort();
  const { proxy: frontend } = await start(zoneA, "frontend", `127.0.1.${10 + i}`, { outbounds: { [out]: "backend" } });
  return { url: `http://127.0.0.1:${out}`, frontend, backendAt: backend.at, token };
}

test("A18: two meshes, the same service, one ingress, no crossing", async (t) => {
  const own = await lab(t);
  const global = await startGlobal(own);
  const zoneA = await startZone(own, "zone-a", global);
  const zoneB = await startZone(own, "zone-b", global);
  const ingressAt = { host: "127.0.2.1", port: await freePort("127.0.2.1") };
  const zoneToken = await eventually("a token", 10_000, () =>
    post(global.api, "/tokens/zone", { scope: ["ingress"], validFor: "1h" }),
  );
  await startProxy(own, zoneB, zoneIngress("ingress-b", ingressAt.host, ingressAt.port), zoneToken);
  const red = await populate(own, global.api, "red", 0, zoneA, zoneB);
  const blue = await populate(own, global.api, "blue", 1, zoneA, zoneB);
  for (const { url } of [red, blue])
    await eventually("an answer", 60_000, async () => assert.equal((await get(url)).status, 200));

  await t.test("requests stay in their mesh", async () => {
    for (let i = 0; i < 60; i++)
      for (const [name, { url }] of [
        ["red", red],
        ["blue", blue],
      ] as const)
        assert.equal(JSON.parse((await get(url)).text).instance, `${name}-backend`);
  });

  await t.test("a proxy holds nothing of the other mesh", async () => {
    const config = await red.frontend.admin("/config_dump?include_eds");
    assert.match(config, /spiffe:\/\/red\/backend/);
    assert.doesNotMatch(config, /blue/);
  });

  const request = "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n";
  const certificates: Record<string, readonly string[]> = {};
  for (const name of meshes) certificates[name] = await clientCertificate(own, name, authorityOf(name, global));
  const of = (name: string): readonly string[] => certificates[name] ?? [];

  await t.test(
    "the ingress leads an SNI to the instance of its mesh, which refuses a client of the other",
    async () => {
      for (const [mine, other] of [meshes, [...meshes].reverse()] as const) {
        const sni = ["-servername", `backend{mesh=${mine}}`];
        const shown = await handshake(ingressAt, sni);
        assert.match(shown, new RegExp(`CN ?= ?${mine}`), "signed by its own mesh");
        assert.doesNotMatch(shown, new RegExp(`CN ?= ?${other}`));
        assert.match(await handshake(ingressAt, [...sni, ...of(mine), "-quiet"], request), /HTTP\/1\.1 200/);
        assert.doesNotMatch(await handshake(ingressAt, [...sni, ...of(other ?? ""), "-quiet"], request), /HTTP\/1\.1/);
      }
    },
  );

  await t.test("an instance refuses a client of the other mesh at its own address", async () => {
    assert.match(await handshake(red.backendAt, [...of("red"), "-quiet"], request), /HTTP\/1\.1 200/);
    assert.doesNotMatch(await handshake(red.backendAt, [...of("blue"), "-quiet"], request), /HTTP\/1\.1/);
  });

  await t.test("nor one whose certificate is of the right authority and names the other mesh", async () => {
    const pretending = await clientCertificate(own, "blue", authorityOf("red", global));
    assert.doesNotMatch(await handshake(red.backendAt, [...pretending, "-quiet"], request), /HTTP\/1\.1/);
    const foreign: Authority = await createBuiltinAuthority("red", Date.now());
    const claiming = await clientCertificate(own, "red", foreign);
    assert.doesNotMatch(await handshake(red.backendAt, [...claiming, "-quiet"], request), /HTTP\/1\.1/);
  });

  await t.test("a client refuses an instance of the other mesh that its own mesh says is its destination", async () => {
    const { host, port } = blue.backendAt;
    const stray = { mesh: "red", name: "stray", service: "stray", address: host, port, appPort: port };
    // It is zone-a's word that the instance is there.
    await put(zoneA.api, "/meshes/red/dataplanes/stray", {
      ...dataplane(stray),
      labels: { "kuma.io/origin": "zone" },
    });
    const out = await freePort();
    const address = "127.0.1.20";
    const caller = { mesh: "red", name: "caller", service: "caller", address, port: await freePort(address) };
    const manifest = dataplane({ ...caller, appPort: port, outbounds: { [out]: "stray" } });
    const proxy = await startProxy(own, zoneA, manifest, red.token);
    await eventually("503 for the certificate", 30_000, async () => {
      assert.equal((await get(`http://127.0.0.1:${out}`)).status, 503);
      const refused = await proxy.admin("/stats?filter=^cluster\\.stray\\.ssl\\.fail_verify_error$");
      assert.match(refused, /: [1-9]/);
    });
  });
});

// A zone has no key that could speak for a mesh: it issues its proxies' certificates from an authority of its own, which global signed,
// and goes on doing so while global is away.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { certificatesIn } from "#identity/pem.ts";
import { builtinCertificateId, builtinKeyId, secretText } from "#identity/secret.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabZone, lab, post, startGlobal, startProxy, startZone } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";

const privateKeysIn = ({ store }: LabZone): readonly string[] =>
  [...store.all()]
    .filter(
      (resource) => ["Secret", "GlobalSecret"].includes(resource.kind) && secretText(resource).includes("PRIVATE KEY"),
    )
    .map(({ name }) => name);

test("requests cross zones with certificates of the zones' own authorities; no key of the mesh is in a zone", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  await stage.addBackend(stage.zoneB, "backend-b", "127.0.2.2");
  await eventually("an answer of the other zone", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  for (const zone of [stage.zoneA, stage.zoneB]) {
    assert.ok(zone.store.get(builtinCertificateId("default", "ca-1")));
    assert.equal(zone.store.get(builtinKeyId("default", "ca-1")), undefined);
    assert.deepEqual(privateKeysIn(zone), ["user-token-signing-key-1"], "its own, for users of its API");
  }
});

test("while global is away a zone goes on issuing certificates, from its own authority", async (t) => {
  const own = await lab(t);
  const global = await startGlobal(own);
  await post(global.api, "/_apply", mtlsMesh);
  const zone = await startZone(own, "zone-a", global);
  const token = await zone.tokenFor("default");
  const start = async (name: string, address: string) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const port = await freePort(address);
    const proxy = dataplane({ mesh: "default", name, service: name, address, port, appPort: app.port });
    return startProxy(own, zone, proxy, token);
  };
  const leafOf = async (proxy: Awaited<ReturnType<typeof start>>) =>
    eventually("a certificate", 20_000, async () => {
      const dump = JSON.parse(await proxy.admin("/config_dump?resource=dynamic_active_secrets"));
      const chain: string = dump.configs
        .map((one: { secret: { tls_certificate?: { certificate_chain: { inline_bytes: string } } } }) =>
          Buffer.from(one.secret.tls_certificate?.certificate_chain.inline_bytes ?? "", "base64").toString(),
        )
        .join("");
      const [leaf, intermediate] = certificatesIn(chain).map((pem) => new X509Certificate(pem));
      assert.ok(leaf && intermediate, "a leaf and the zone's authority");
      return { leaf, intermediate };
    });
  const first = await leafOf(await start("first", "127.0.1.2"));
  await global.close();
  const second = await leafOf(await start("second", "127.0.1.3"));
  assert.equal(second.intermediate.fingerprint256, first.intermediate.fingerprint256);
  assert.ok(second.leaf.checkIssued(second.intermediate));
  assert.match(second.intermediate.subject, /CN=zone-a/);
  assert.notEqual(second.leaf.serialNumber, first.leaf.serialNumber);
});

const mtlsMesh = [
  {
    type: "Mesh",
    name: "default",
    mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] },
  },
];

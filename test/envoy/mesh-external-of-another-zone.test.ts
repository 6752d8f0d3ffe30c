// A MeshExternalService that is pinned to another zone by its label: proxy → own egress → that zone's ingress → its egress → the server, whether
// or not the mesh leaves its zones through egresses (decision 26).

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get, startApp } from "../lab/http.ts";
import { type LabProxy, type LabZone, lab, put, startProxy } from "../lab/lab.ts";
import { dataplane, mesh } from "../lab/manifests.ts";
import { answered, egressStarter, tlsServer } from "../lab/outside.ts";
import { twoZones } from "../lab/two-zones.ts";

const name = "default_bank__zone-b_extsvc_9000";

const counter = async ({ admin }: LabProxy, cluster: string, what: string): Promise<number> =>
  Number(/: (\d+)/.exec(await admin(`/stats?filter=^cluster\\.${cluster}\\.${what}$`))?.[1] ?? 0);

test("a MeshExternalService that is pinned to another zone", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const { api } = stage.global;
  const app = await startApp("outside");
  own.atEnd(() => app.close());
  const tls = await tlsServer(own, "api.example.com");
  const bank = (port: number, more: object = {}) =>
    put(api, "/meshes/default/meshexternalservices/bank", {
      ...{ type: "MeshExternalService", mesh: "default", name: "bank", labels: { "kuma.io/zone": "zone-b" } },
      spec: { match: { port: 9000, protocol: "http" }, endpoints: [{ address: "127.0.0.1", port }], ...more },
    });
  /** An outbound stands for the redirect, by the name that stands for the service. */
  const startClient = async (zone: LabZone, name_: string, address: string): Promise<string> => {
    const out = await freePort();
    const at = { address, port: await freePort(address), appPort: app.port };
    const client = dataplane({ mesh: "default", name: name_, service: name_, ...at, outbounds: { [out]: name } });
    await startProxy(own, zone, client, stage.token);
    return `http://127.0.0.1:${out}`;
  };
  const startEgress = await egressStarter(own, stage.global);
  const notOffered =
    /^external service bank is called from zone-b only, and no zone ingress of zone-b offers it: an ingress and an egress must be alive there$/;

  await bank(app.port);
  const url = await startClient(stage.zoneA, "teller", "127.0.1.7");
  await t.test("without an egress there it fails closed, and says why", async () => {
    await answered(url, 503, notOffered);
  });
  const egressB = await startEgress(stage.zoneB, "egress-b", "127.0.2.9");
  await t.test("without an egress here it fails closed, and says why", async () => {
    await answered(
      url,
      503,
      /^no way out of zone-a: mesh default reaches services outside through a zone egress, and none/,
    );
  });
  const egressA = await startEgress(stage.zoneA, "egress-a", "127.0.1.9");
  const hops = async () => ({
    egress: await counter(egressA, name, "upstream_cx_total"),
    ingress: await counter(stage.ingress, name, "upstream_cx_total"),
    server: await counter(egressB, name, "upstream_rq_total"),
  });

  await t.test("HTTP goes through both egresses and the ingress", async () => {
    assert.equal(JSON.parse(await answered(url, 200)).instance, "outside");
    const before = await hops();
    assert.ok(before.egress > 0 && before.ingress > 0, JSON.stringify(before));
    for (let i = 0; i < 20; i++) assert.equal((await get(url)).status, 200);
    assert.equal((await hops()).server - before.server, 20);
    assert.doesNotMatch(await egressA.admin("/clusters"), new RegExp(`:${app.port}::`), "only zone-b knows the server");
  });

  await t.test("its own zone calls it from its egress", async () => {
    const near = await startClient(stage.zoneB, "near", "127.0.2.7");
    const before = await hops();
    assert.equal(JSON.parse(await answered(near, 200)).instance, "outside");
    const after = await hops();
    assert.ok(after.server > before.server);
    assert.deepEqual([after.egress, after.ingress], [before.egress, before.ingress]);
  });

  await t.test("a mesh that forbids what is outside is asked there, and here nothing is reached", async () => {
    const forbids = { routing: { defaultForbidMeshExternalServiceAccess: true } };
    await put(api, "/meshes/default", { ...mesh("default"), ...forbids });
    await answered(url, 403);
    await put(api, "/meshes/default", mesh("default"));
    await answered(url, 200);
  });

  await t.test("TLS that the egress there begins", async () => {
    const verification = {
      ...{ caCert: { inlineString: tls.ca }, serverName: "api.example.com" },
      clientCert: { inlineString: tls.client.certificate },
      clientKey: { inlineString: tls.client.privateKey },
    };
    await bank(tls.port, { tls: { enabled: true, verification } });
    const said = JSON.parse(await answered(url, 200, /sni/));
    assert.deepEqual([said.sni, said.client], ["api.example.com", "DNS:the-mesh"]);
  });

  await t.test("the egress there ends: nothing leads outside, and the reason is said", async () => {
    await egressB.leave();
    await answered(url, 503, notOffered);
  });
});

// Run by `called-by-name.test.ts` in a namespace of its own.

import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { startApp } from "../lab/http.ts";
import { eventually, lab, post, put, startProxy } from "../lab/lab.ts";
import { dataplane, zoneEgress } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";
import { getAsStranger, redirectHere } from "./namespace.ts";

test("an application calls http://backend.mesh and single instances by name, which run in the other zone", async (t) => {
  const ports = { outbound: 15_001, dns: 15_053 };
  const outside = "198.51.100.1";
  await redirectHere(ports, outside);
  const of = await lab(t);
  const { global, zoneA, zoneB, token, addBackend } = await twoZones(of);
  await put(global.api, "/meshes/default/virtual-outbounds/instances", {
    ...{ type: "VirtualOutbound", mesh: "default", name: "instances" },
    selectors: [{ match: { "kuma.io/service": "*", instance: "*" } }],
    conf: {
      host: "{{.instance}}.{{.service}}.mesh",
      port: "8080",
      parameters: [{ name: "service", tagKey: "kuma.io/service" }, { name: "instance" }],
    },
  });
  await addBackend(zoneB, "backend-1", "127.0.2.2", { instance: "one" });
  await addBackend(zoneB, "backend-2", "127.0.2.3", { instance: "two" });
  const app = await startApp("caller");
  of.atEnd(() => app.close());
  const caller = dataplane({
    ...{ mesh: "default", name: "caller", service: "caller", address: "127.0.1.9", appPort: app.port },
    port: await freePort("127.0.1.9"),
  });
  const proxy = await startProxy(of, zoneA, caller, token, {
    ...{ inboundPort: 0, outboundPort: ports.outbound, dnsPort: ports.dns },
    resolvers: [],
  });
  const instanceAt = async (url: string): Promise<string> => {
    const response = await fetch(url);
    assert.equal(response.status, 200, url);
    return ((await response.json()) as { instance: string }).instance;
  };
  const answers = (url: string) => eventually(`an answer of ${url}`, 20_000, () => instanceAt(url));
  assert.match(await answers("http://backend.mesh/"), /^backend-/);
  assert.equal(await answers("http://one.backend.mesh:8080/"), "backend-1");
  assert.equal(await answers("http://TWO.Backend.Mesh:8080/"), "backend-2");
  for (let i = 0; i < 10; i++) assert.equal(await instanceAt("http://one.backend.mesh:8080/"), "backend-1");
  // A service has one address, whatever ports a name of it has; an instance one of its own.
  const addressOf = async (name: string) => (await lookup(name, { family: 4 })).address;
  assert.equal(await addressOf("backend.MESH"), await addressOf("backend.mesh"));
  assert.notEqual(await addressOf("one.backend.mesh"), await addressOf("two.backend.mesh"));
  assert.match((await lookup("backend.mesh", { family: 6 })).address, /^::ffff:/);
  // Nobody else is asked, and there is nobody else: a name that is not there is not found, which is no answer that is made up.
  await assert.rejects(lookup("nowhere.mesh"), { code: /ENOTFOUND|EAI_AGAIN/ });

  // What is no service of the mesh passes Envoy by.
  const elsewhere = await startApp("elsewhere", outside);
  of.atEnd(() => elsewhere.close());
  assert.match(await getAsStranger(`http://${outside}:${elsewhere.port}/`), /elsewhere/);
  const passed = await proxy.admin("/stats?filter=^cluster.outbound_passthrough_ipv4.upstream_cx_total$");
  assert.match(passed, /upstream_cx_total: [1-9]/);

  // An ExternalService is called by its name, and one at an IP address there, too.
  await put(global.api, "/meshes/default/external-services/shop", {
    ...{ type: "ExternalService", mesh: "default", name: "shop" },
    tags: { "kuma.io/service": "shop", "kuma.io/protocol": "http" },
    networking: { address: `${outside}:${elsewhere.port}` },
  });
  assert.equal(await answers("http://shop.mesh/"), "elsewhere");
  assert.equal(await instanceAt(`http://shop.mesh:${elsewhere.port}/`), "elsewhere");
  await eventually("its own address, through the proxy", 20_000, async () =>
    assert.match(await proxy.admin("/listeners"), new RegExp(`outbound:${outside}:${elsewhere.port}::`)),
  );

  // A MeshExternalService through the egress, by the name that global's generator gives it.
  const egressToken = await post(global.api, "/tokens/zone", { scope: ["egress"], validFor: "1h" });
  const egress = zoneEgress("egress-1", "127.0.1.8", await freePort("127.0.1.8"));
  const egressProxy = await startProxy(of, zoneA, egress, egressToken);
  await put(global.api, "/meshes/default/meshexternalservices/bank", {
    ...{ type: "MeshExternalService", mesh: "default", name: "bank" },
    spec: {
      match: { port: 9000, protocol: "http" },
      endpoints: [{ address: outside, port: elsewhere.port }],
    },
  });
  assert.equal(await answers("http://bank.extsvc.mesh.local:9000/"), "elsewhere");
  assert.match(await addressOf("bank.extsvc.mesh.local"), /^242\./);
  assert.match(
    await egressProxy.admin("/stats?filter=^cluster.default_bank___extsvc_9000.upstream_rq_total$"),
    /: [1-9]/,
  );
  // Both zones have given it the same address.
  const shown = async (api: string) => {
    const list = (await (await fetch(`${api}/meshes/default/meshexternalservices`)).json()) as {
      readonly items: readonly { readonly status: { readonly vip?: { readonly ip: string } } }[];
    };
    return list.items[0]?.status.vip?.ip;
  };
  const inA = await shown(zoneA.api);
  assert.ok(inA);
  await eventually("its address in the other zone", 10_000, async () => assert.equal(await shown(zoneB.api), inA));
});

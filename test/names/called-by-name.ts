// Run by `called-by-name.test.ts` in a namespace of its own.

import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { startApp } from "../lab/http.ts";
import { eventually, lab, put, startProxy } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
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
});

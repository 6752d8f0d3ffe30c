// Run by `mesh-services.test.ts` in a namespace of its own.

import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { test } from "node:test";
import { isObject, type JsonObject } from "#lib/json.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabZone, lab, put, remove, startProxy } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { noneFailed } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";
import { redirectHere } from "./namespace.ts";

const port = 8080;
const patient = 20_000;
const named = (zone: string) => ({ "kuma.io/display-name": "backend", "kuma.io/zone": zone });

test("services of two zones, made of their proxies", async (t) => {
  const ports = { outbound: 15_001, dns: 15_053 };
  await redirectHere(ports, "198.51.100.1");
  const own = await lab(t);
  const meshWith = (mode: string) => ({ ...mesh("default"), meshServices: { mode } });
  const { global, zoneA, zoneB, ingress, ingressAt, token, zoneToken } = await twoZones(own, meshWith("Everywhere"));
  const start = async (zone: LabZone, name: string, address: string) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const at = { mesh: "default", name, service: "backend", address, port, appPort: app.port };
    return startProxy(own, zone, dataplane(at), token);
  };
  const inA = await start(zoneA, "backend-a", "127.0.1.2");
  const inB = await start(zoneB, "backend-b", "127.0.2.2");
  const put2 = (kind: string, name: string, resource: object) =>
    put(global.api, `/meshes/default/${kind}/${name}`, { mesh: "default", name, ...resource });

  const called = async (api: string, zone: string): Promise<JsonObject> => {
    const { items } = JSON.parse((await get(`${api}/meshes/default/meshservices`)).text) as { items: JsonObject[] };
    const found = items.filter(({ labels }) => isObject(labels) && labels["kuma.io/zone"] === zone);
    const backend = found.find(({ labels }) => isObject(labels) && labels["kuma.io/display-name"] === "backend");
    assert.ok(backend, JSON.stringify(items));
    return backend;
  };
  const statusOf = ({ status }: JsonObject): JsonObject => (isObject(status) ? status : {});

  await t.test("they are in their zone, on global and in the other zone, with one address everywhere", async () => {
    const local = await eventually("its own zone knows that it is ready", patient, async () => {
      const backend = await called(zoneB.api, "zone-b");
      assert.deepEqual(statusOf(backend).tls, { status: "Ready" });
      assert.deepEqual(statusOf(backend).dataplaneProxies, { connected: 1, healthy: 1, total: 1 });
      assert.ok(statusOf(backend).vips && statusOf(backend).addresses, JSON.stringify(backend));
      return backend;
    });
    assert.equal(local.name, "backend");
    assert.deepEqual(local.spec, {
      state: "Available",
      selector: { dataplaneTags: { "kuma.io/service": "backend" } },
      ports: [{ name: String(port), port, targetPort: port, appProtocol: "http" }],
      identities: [{ type: "ServiceTag", value: "backend" }],
    });
    const remote = await eventually("the other zone has it, with an address", patient, async () => {
      const backend = await called(zoneA.api, "zone-b");
      assert.ok(statusOf(backend).vips && statusOf(backend).addresses, JSON.stringify(backend));
      return backend;
    });
    assert.match(String(remote.name), /^backend-[a-z0-9]{16}$/);
    assert.deepEqual(remote.spec, local.spec);
    assert.deepEqual(statusOf(remote).vips, statusOf(local).vips);
    const hostnames = (one: JsonObject) => (statusOf(one).addresses as JsonObject[]).map(({ hostname }) => hostname);
    assert.deepEqual(hostnames(local), ["backend.svc.mesh.local"]);
    assert.deepEqual(hostnames(remote), ["backend.svc.zone-b.mesh.local"]);
    await eventually("global shows what the zone says", patient, async () => {
      const backend = await called(global.api, "zone-b");
      assert.deepEqual(statusOf(backend).dataplaneProxies, { connected: 1, healthy: 1, total: 1 });
    });
  });

  const client = async (name: string, address: string) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    return dataplane({ mesh: "default", name, service: name, address, appPort: app.port, port });
  };
  const caller = await startProxy(own, zoneA, await client("caller", "127.0.1.9"), token, {
    ...{ inboundPort: 0, outboundPort: ports.outbound, dnsPort: ports.dns, resolvers: [] },
  });
  // Who is redirected has no ports of its own.
  const byRef = 9000;
  const other = await client("other", "127.0.1.8");
  const outbound = [{ port: byRef, backendRef: { kind: "MeshService", labels: named("zone-b"), port } }];
  await startProxy(own, zoneA, { ...other, networking: { ...other.networking, outbound } }, token);
  const answer = async (url: string) => {
    const response = await fetch(url);
    return { status: response.status, text: await response.text() };
  };
  const instanceAt = async (url: string): Promise<string> => {
    const { status, text } = await answer(url);
    assert.equal(status, 200, `${url}: ${text}`);
    return (JSON.parse(text) as { instance: string }).instance;
  };
  /** At once it is what answers, and it stays so. */
  const answers = async (url: string, instance: string) => {
    await eventually(`${instance} at ${url}`, patient, async () => assert.equal(await instanceAt(url), instance));
    for (let i = 0; i < 5; i++) assert.equal(await instanceAt(url), instance);
  };
  const local = `http://backend.svc.mesh.local:${port}/`;
  const remote = `http://backend.svc.zone-b.mesh.local:${port}/`;

  await t.test("an application calls each by its name, and a proxy's own port leads to one, too", async () => {
    await answers(local, "backend-a");
    await answers(remote, "backend-b");
    await answers(`http://127.0.0.1:${byRef}/`, "backend-b");
    assert.match((await lookup("backend.svc.mesh.local", { family: 4 })).address, /^241\./);
    await put(zoneB.api, "/meshes/default/meshservices/mine", {
      ...{ type: "MeshService", mesh: "default", name: "mine" },
      labels: { "kuma.io/origin": "zone" },
      spec: {
        selector: { dataplaneRef: { name: "backend-b" } },
        ports: [{ port: 80, targetPort: port, appProtocol: "http" }],
        state: "Available",
      },
    });
    await answers("http://mine.svc.zone-b.mesh.local/", "backend-b");
    const led = await ingress.admin("/stats?filter=^cluster.default_backend__zone-b_msvc_8080.upstream_cx_total$");
    assert.match(led, /: [1-9]/);
  });

  await t.test("a route leads from one to the other, and a permission denies", async () => {
    const route = {
      type: "MeshHTTPRoute",
      spec: {
        to: [
          {
            targetRef: { kind: "MeshService", labels: named("zone-a") },
            rules: [
              {
                matches: [{ path: { type: "PathPrefix", value: "/there" } }],
                default: { backendRefs: [{ kind: "MeshService", labels: named("zone-b"), port }] },
              },
            ],
          },
        ],
      },
    };
    await put2("meshhttproutes", "there", route);
    await answers(`${local}there`, "backend-b");
    await answers(local, "backend-a");
    await remove(global.api, "/meshes/default/meshhttproutes/there");
    await answers(`${local}there`, "backend-a");
    await put2("meshtrafficpermissions", "no-caller", {
      type: "MeshTrafficPermission",
      spec: {
        targetRef: { kind: "MeshService", name: "backend" },
        from: [{ targetRef: { kind: "MeshService", name: "caller" }, default: { action: "Deny" } }],
      },
    });
    for (const url of [local, remote])
      await eventually(`a denial at ${url}`, patient, async () => assert.equal((await answer(url)).status, 403));
    await remove(global.api, "/meshes/default/meshtrafficpermissions/no-caller");
    await answers(remote, "backend-b");
  });

  await t.test("another zone's ingress and instance are replaced under load, without a failed request", async () => {
    const calling = load(
      `http://${(await lookup("backend.svc.zone-b.mesh.local", { family: 4 })).address}:${port}/`,
      2,
      false,
      50,
    );
    own.atEnd(calling.stop);
    const endpoints = async (): Promise<string> =>
      (await caller.admin("/clusters")).replaceAll(/^(?!default_backend__zone-b_msvc_8080::127\.0\.2).*$/gm, "");
    const second = "127.0.2.9";
    await startProxy(own, zoneB, zoneIngress("ingress-b2", second, port), zoneToken);
    await eventually("both ingresses", patient, async () =>
      assert.match(await endpoints(), new RegExp(`::${second}:`)),
    );
    void ingress.leave();
    await eventually("the second one alone", patient, async () =>
      assert.ok(!(await endpoints()).includes(`::${ingressAt.host}:`)),
    );
    await start(zoneB, "backend-b2", "127.0.2.3");
    // Who calls anew comes to each in turn.
    await eventually("the new instance", patient, async () =>
      assert.equal(await instanceAt(`${remote}`), "backend-b2"),
    );
    await inB.leave();
    await answers(remote, "backend-b2");
    noneFailed(t, "another zone's ingress and instance are replaced, called as a MeshService", await calling.stop());
  });

  await t.test("one of all zones is called here first, and there when nobody is left", async () => {
    await put2("meshmultizoneservices", "backends", {
      type: "MeshMultiZoneService",
      spec: {
        selector: { meshService: { matchLabels: { "kuma.io/display-name": "backend" } } },
        ports: [{ port, appProtocol: "http" }],
      },
    });
    const everywhere = `http://backends.mzsvc.mesh.local:${port}/`;
    await answers(everywhere, "backend-a");
    assert.match((await lookup("backends.mzsvc.mesh.local", { family: 4 })).address, /^243\./);
    void inA.leave();
    await answers(everywhere, "backend-b2");
  });

  await t.test("in a mesh that has nothing else, names by tag are gone", async () => {
    await answers("http://backend.mesh/", "backend-b2");
    await put(global.api, "/meshes/default", meshWith("Exclusive"));
    await eventually("no backend.mesh", patient, () =>
      assert.rejects(lookup("backend.mesh"), { code: /ENOTFOUND|EAI_AGAIN/ }),
    );
    await answers(remote, "backend-b2");
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isObject, type JsonObject } from "#lib/json.ts";
import { get } from "../lab/http.ts";
import { eventually, lab } from "../lab/lab.ts";
import { mesh } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";

test("proxies of a zone are MeshServices there, on global and in the other zone, with one address everywhere", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, { ...mesh("default"), meshServices: { mode: "Everywhere" } });
  const { port } = await stage.addBackend(stage.zoneB, "backend-1", "127.0.2.2");
  const called = async (api: string, zone: string): Promise<JsonObject> => {
    const { items } = JSON.parse((await get(`${api}/meshes/default/meshservices`)).text) as { items: JsonObject[] };
    const found = items.filter(({ labels }) => isObject(labels) && labels["kuma.io/zone"] === zone);
    const backend = found.find(({ labels }) => isObject(labels) && labels["kuma.io/display-name"] === "backend");
    assert.ok(backend, JSON.stringify(items));
    return backend;
  };
  const statusOf = ({ status }: JsonObject): JsonObject => (isObject(status) ? status : {});

  const local = await eventually("its own zone knows that it is ready", 20_000, async () => {
    const backend = await called(stage.zoneB.api, "zone-b");
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

  const remote = await eventually("the other zone has it, with an address", 20_000, async () => {
    const backend = await called(stage.zoneA.api, "zone-b");
    assert.ok(statusOf(backend).vips && statusOf(backend).addresses, JSON.stringify(backend));
    return backend;
  });
  assert.match(String(remote.name), /^backend-[a-z0-9]{16}$/);
  assert.deepEqual(remote.spec, local.spec);
  assert.deepEqual(statusOf(remote).vips, statusOf(local).vips);
  const hostnames = (resource: JsonObject) => (statusOf(resource).addresses as JsonObject[]).map((one) => one.hostname);
  assert.deepEqual(hostnames(local), ["backend.svc.mesh.local"]);
  assert.deepEqual(hostnames(remote), ["backend.svc.zone-b.mesh.local"]);
  await eventually("global shows what the zone says", 20_000, async () => {
    const backend = await called(stage.global.api, "zone-b");
    assert.deepEqual(statusOf(backend).dataplaneProxies, { connected: 1, healthy: 1, total: 1 });
  });
});

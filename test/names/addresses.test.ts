import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Store } from "#resources/store.ts";
import { tableConfig, tableIn } from "#topology/vips.ts";
import { eventually, lab, put, startGlobal, startZone } from "../lab/lab.ts";
import { dataplane, mesh } from "../lab/manifests.ts";
import { twoAtOneHome } from "./two-at-one-home.ts";

const addressesIn = ({ get }: Pick<Store, "get">): ReadonlyMap<string, string> => {
  const config = get({ kind: "Config", mesh: "", name: tableConfig("default") })?.spec.config;
  const table = tableIn(typeof config === "string" ? config : undefined);
  return new Map([...table].flatMap(([name, { address, freedAt }]) => (freedAt ? [] : [[name.slice(2), address]])));
};

test("global and both zones have one address for each service, also where two would have the same", async (t) => {
  const of = await lab(t);
  const [first, second] = twoAtOneHome();
  const global = await startGlobal(of);
  await put(global.api, "/meshes/default", mesh("default"));
  const zones = { a: await startZone(of, "zone-a", global), b: await startZone(of, "zone-b", global) };
  const write = async (store: Store, resource: object): Promise<void> => {
    const times = { creationTime: zeroTime, modificationTime: zeroTime };
    await store.write([{ kind: "put", resource: { labels: {}, ...times, ...resource } as Resource }]);
  };
  const instance = (service: string, address: string) => {
    const { type, mesh, name, ...spec } = dataplane({
      ...{ mesh: "default", name: service, service, address, port: 80, appPort: 81 },
    }) as { type: string; mesh: string; name: string };
    return { kind: type, mesh, name, spec };
  };
  const offers = (zone: string, services: readonly string[]) => ({
    ...{ kind: "ZoneIngress", mesh: "", name: `ingress-${zone}` },
    spec: {
      networking: { address: "10.0.0.9", port: 10001, advertisedAddress: "10.0.0.9", advertisedPort: 10001 },
      availableServices: services.map((one) => ({
        ...{ mesh: "default", instances: 1 },
        tags: { "kuma.io/service": one, "kuma.io/zone": zone, "kuma.io/protocol": "http" },
      })),
    },
  });
  await eventually("the mesh in both zones", 10_000, async () => {
    for (const { store } of [zones.a, zones.b]) assert.ok(store.get({ kind: "Mesh", mesh: "", name: "default" }));
  });

  // Global hears of each, and hands down what it decides, while the zones decide for themselves.
  await Promise.all([
    write(zones.a.store, instance(second, "10.0.0.1")),
    write(zones.b.store, instance(first, "10.0.0.2")),
    write(zones.a.store, offers("zone-a", [second])),
    write(zones.b.store, offers("zone-b", [first])),
  ]);
  await eventually("the same addresses everywhere", 10_000, async () => {
    const own = addressesIn(global.store);
    assert.equal(new Set(own.values()).size, 2);
    assert.deepEqual([...own.keys()].sort(), [first, second].sort());
    for (const { store } of [zones.a, zones.b]) assert.deepEqual(addressesIn(store), own);
  });
  const exceptions = zones.a.store.get({ kind: "Config", mesh: "", name: "kodiak-default-vips" });
  assert.equal(Object.keys(JSON.parse(String(exceptions?.spec.config))).length, 1, "only who is not at home is named");
});

// A7: the own zone, then the zones that are listed, then any but one, then nobody: each only when those before have no instance left.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { get } from "../lab/http.ts";
import { eventually, lab, put } from "../lab/lab.ts";
import { egressMesh, mesh } from "../lab/manifests.ts";
import { answersOf, manyZones, zoneOf } from "./many-zones.ts";

for (const hasEgress of [false, true])
  test(`A7: fail-over in the order that is listed${hasEgress ? ", behind egresses" : ""}`, (t) =>
    inOrder(t, hasEgress));

async function inOrder(t: TestContext, hasEgress: boolean): Promise<void> {
  const own = await lab(t);
  const one = { instances: 1, ingresses: 1 };
  const { global, zones, url } = await manyZones(
    own,
    {
      "zone-a": { instances: 1, ingresses: 0, egresses: hasEgress ? 2 : 0 },
      ...{ "zone-b": one, "zone-c": one, "zone-d": one },
    },
    hasEgress ? egressMesh("default") : mesh("default"),
  );
  const inForce = (failover: readonly object[]) =>
    put(global.api, "/meshes/default/meshloadbalancingstrategies/order", {
      ...{ type: "MeshLoadBalancingStrategy", mesh: "default", name: "order" },
      spec: {
        to: [
          {
            targetRef: { kind: "MeshService", name: "backend" },
            default: { localityAwareness: { crossZone: { failover } } },
          },
        ],
      },
    });
  const zonesThatAnswer = async (requests: number) =>
    [...new Set([...(await answersOf(url, requests)).keys()].map(zoneOf))].sort();
  const only = (...names: readonly string[]) =>
    eventually(`answers of ${names.join()}`, 60_000, async () => assert.deepEqual(await zonesThatAnswer(60), names));
  const leave = async (name: string) => {
    const backend = zones.get(name)?.backends[0] ?? assert.fail(name);
    assert.equal(await backend.leave(), 0);
  };

  await only("zone-a", "zone-b", "zone-c", "zone-d");
  await inForce([
    { from: { zones: ["zone-b"] }, to: { type: "Only", zones: ["zone-d"] } },
    { from: { zones: ["zone-a"] }, to: { type: "Only", zones: ["zone-c"] } },
    { to: { type: "AnyExcept", zones: ["zone-d"] } },
    { to: { type: "None" } },
    { to: { type: "Any" } },
  ]);

  await t.test("the own zone alone", async () => {
    await only("zone-a");
    assert.deepEqual(await zonesThatAnswer(400), ["zone-a"]);
  });
  await t.test("then the one that is listed for this zone", async () => {
    await leave("zone-a");
    await only("zone-c");
    assert.deepEqual(await zonesThatAnswer(400), ["zone-c"]);
  });
  await t.test("then any but the one that is not to", async () => {
    await leave("zone-c");
    await only("zone-b");
    assert.deepEqual(await zonesThatAnswer(400), ["zone-b"]);
  });
  await t.test("then nobody, though there is one", async () => {
    await leave("zone-b");
    const isNobody = () =>
      eventually("503", 60_000, async () => {
        for (let i = 0; i < 20; i++) assert.equal((await get(url)).status, 503);
      });
    await isNobody();
    await inForce([{ to: { type: "Any" } }]);
    await only("zone-d");
    await inForce([{ to: { type: "None" } }]);
    await isNobody();
  });
}

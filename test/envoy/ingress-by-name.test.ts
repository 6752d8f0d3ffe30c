// Ingresses of another zone that are advertised by the name of a host, as behind a load balancer: each of its addresses is an endpoint.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { eventually, type LabProxy, lab, startProxy } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh, zoneIngress } from "../lab/manifests.ts";
import { noneFailed } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";

const host = "ingress.zone-b.example";

const connections = async ({ admin }: LabProxy): Promise<number> =>
  Number(/: (\d+)/.exec(await admin("/stats?filter=^cluster\\.default_backend\\.upstream_cx_total$"))?.[1] ?? 0);

test("ingresses that are advertised by the name of a host", async (t) => {
  const plain = await lab(t);
  const known = new Map<string, readonly string[]>();
  const asked: string[] = [];
  const lookup = async (name: string): Promise<readonly string[]> => {
    asked.push(name);
    return known.get(name) ?? assert.fail(`no host ${name}`);
  };
  const own = { ...plain, world: { ...plain.world, network: { ...plain.world.network, lookup } } };
  // With retries, as who leaves may lose a request without.
  const stage = await twoZones(own, usualMesh("default"));
  await stage.addBackend(stage.zoneB, "backend-b", "127.0.2.2");
  await eventually("an answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));

  const addresses = ["127.0.2.3", "127.0.2.4"];
  const port = await freePort("127.0.2.3");
  const ingresses = await Promise.all(
    addresses.map((address, i) => {
      const { networking, ...one } = zoneIngress(`named-${i}`, address, port);
      const named = { ...one, networking: { ...networking, advertisedAddress: host } };
      return startProxy(own, stage.zoneB, named, stage.zoneToken);
    }),
  );
  await eventually("a lookup in zone-a", 20_000, async () => assert.ok(asked.includes(host)));
  const calling = load(stage.url);
  own.atEnd(calling.stop);

  // Whatever of this zone changes: those that are not known take nothing away from the other.
  await stage.addBackend(stage.zoneB, "backend-b2", "127.0.2.5");
  for (let i = 0; i < 20; i++) assert.equal((await get(stage.url)).status, 200);
  known.set(host, addresses);
  await eventually("all of its addresses", 20_000, async () => {
    const clusters = await stage.frontend.admin("/clusters");
    for (const address of addresses) assert.ok(clusters.includes(`backend::${address}:${port}::`), clusters);
  });
  await stage.ingress.leave();
  await eventually("connections over both", 20_000, async () => {
    await get(stage.url);
    for (const ingress of ingresses) assert.ok((await connections(ingress)) > 0);
  });
  noneFailed(t, "ingresses are known by the name of a host, and the one beside them leaves", await calling.stop());
});

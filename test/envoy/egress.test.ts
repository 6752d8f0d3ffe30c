// A mesh with `routing.zoneEgress`: local proxy → local zone egress → remote zone ingress.

import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { eventually, lab, post, startProxy } from "../lab/lab.ts";
import { egressMesh, zoneEgress } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";

const counter = async (admin: (path: string) => Promise<string>, name: string): Promise<number> => {
  const text = await admin(`/stats?filter=^${name.replaceAll(".", "\\.")}$`);
  return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
};

test("requests to another zone go through the egress of their own and the ingress of that one", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, egressMesh("default"));
  const backend = await stage.addBackend(stage.zoneB, "backend-1", "127.0.2.2");
  const token = await eventually("a token", 10_000, () =>
    post(stage.global.api, "/tokens/zone", { scope: ["egress"], validFor: "1h" }),
  );
  const at = { address: "127.0.1.9", port: await freePort("127.0.1.9") };
  const egress = await startProxy(own, stage.zoneA, zoneEgress("egress-a", at.address, at.port), token);
  await eventually("an answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));

  const hops = async () => ({
    egress: await counter(egress.admin, "cluster.kodiak_zone_zone-b.upstream_cx_total"),
    ingress: await counter(stage.ingress.admin, "cluster.default_backend.upstream_cx_total"),
    requests: await counter(backend.admin, `http.localhost_${backend.app.port}.downstream_rq_total`),
  });
  const before = await hops();
  for (let i = 0; i < 500; i++) assert.equal((await get(stage.url)).status, 200);
  const after = await hops();
  t.diagnostic(JSON.stringify({ before, after }));
  assert.equal(after.requests - before.requests, 500);
  // A connection to another zone carries 50 requests.
  assert.equal(after.egress - before.egress, 10);
  assert.equal(after.ingress - before.ingress, 10);

  const client = await stage.frontend.admin("/config_dump?include_eds");
  assert.match(client, new RegExp(`"${at.address}"`));
  assert.doesNotMatch(
    client,
    new RegExp(`"${stage.ingressAt.host}"`),
    "the other zone's ingress is not known to clients",
  );
});

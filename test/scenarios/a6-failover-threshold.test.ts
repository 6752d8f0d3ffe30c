// A6: with failoverThreshold 70 all stays in the zone while 7 of 10 instances are healthy, as the client's own checks find them; of 6 it
// keeps what the threshold says, and the rest goes to the other zone. Local first needs no setting of the mesh.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { eventually, lab, put, startProxy } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answersOf } from "./many-zones.ts";

const instances = 10;
const url = "/meshes/default";

test("A6: exact fail-over threshold", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const { global, zoneA, zoneB } = stage;
  await stage.addBackend(zoneB, "remote", "127.0.2.2");

  // One proxy with ten inbounds: what counts is endpoints.
  let healthy = instances;
  const address = "127.0.1.9";
  const inbound: object[] = [];
  for (let i = 0; i < instances; i++) {
    const app = createServer((request, response) => {
      const isCheck = request.url === "/healthz";
      response.statusCode = isCheck && i >= healthy ? 503 : 200;
      response.end(JSON.stringify({ instance: `local-${i}` }));
    });
    await new Promise<void>((done) => app.listen(0, "127.0.0.1", done));
    own.atEnd(async () => {
      app.close();
      app.closeAllConnections();
    });
    const appPort = (app.address() as AddressInfo).port;
    const one = dataplane({
      ...{ mesh: "default", name: "many", service: "backend", address, appPort },
      port: await freePort(address),
    });
    inbound.push(...one.networking.inbound);
  }
  await startProxy(
    own,
    zoneA,
    { type: "Dataplane", mesh: "default", name: "many", networking: { address, inbound } },
    stage.token,
  );

  const backend = { kind: "MeshService", name: "backend" };
  const policy = (kind: string, path: string, conf: object) =>
    put(global.api, `${url}/${path}/p`, {
      ...{ type: kind, mesh: "default", name: "p" },
      spec: { to: [{ targetRef: backend, default: conf }] },
    });
  const strategy = (localityAwareness: object) =>
    policy("MeshLoadBalancingStrategy", "meshloadbalancingstrategies", { localityAwareness });
  const often = { interval: "100ms", noTrafficInterval: "100ms", timeout: "2s" };
  await policy("MeshHealthCheck", "meshhealthchecks", { ...often, http: { path: "/healthz" } });

  const remoteShare = async (requests: number) => {
    const answers = await answersOf(stage.url, requests);
    return { local: answers.size - (answers.has("remote") ? 1 : 0), remote: (answers.get("remote") ?? 0) / requests };
  };
  const hasShare = (count: number, least: number, most: number) =>
    eventually(`${count} healthy`, 60_000, async () => {
      healthy = count;
      const { local, remote } = await remoteShare(500);
      assert.ok(local === count && remote >= least && remote <= most, `${local} local, remote ${remote}`);
    });

  await t.test("with 10, 8 and 7 of 10 healthy all local", async () => {
    await strategy({ crossZone: { failover: [{ to: { type: "Any" } }], failoverThreshold: { percentage: 70 } } });
    for (const count of [10, 8, 7]) {
      await hasShare(count, 0, 0);
      assert.equal((await remoteShare(1_000)).remote, 0);
    }
  });

  await t.test("with 6 of 10 about 14 % spill, with 3 of 10 57 %", async () => {
    await hasShare(6, 0.115, 0.17);
    await hasShare(3, 0.53, 0.61);
  });

  await t.test("a threshold of 100 spills at once", async () => {
    await strategy({ crossZone: { failover: [{ to: { type: "Any" } }], failoverThreshold: { percentage: 100 } } });
    await hasShare(8, 0.17, 0.23);
    await strategy({});
    await hasShare(8, 0, 0);
  });

  await t.test("disabled: each instance its share", async () => {
    await strategy({ disabled: true });
    await hasShare(10, 0.06, 0.13);
  });
});

// Services outside the mesh that are pinned to another zone: proxy → own egress → that zone's ingress → its egress → the server. The client's
// TLS ends at the last of these, which asks who calls (decision 26).

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabProxy, lab, put } from "../lab/lab.ts";
import { egressMesh } from "../lab/manifests.ts";
import { answered, echoServer, egressStarter, tlsServer } from "../lab/outside.ts";
import { twoZones } from "../lab/two-zones.ts";

const counter = async ({ admin }: LabProxy, name: string): Promise<number> =>
  Number(/: (\d+)/.exec(await admin(`/stats?filter=^${name.replaceAll(".", "\\.")}$`))?.[1] ?? 0);

test("services outside that are pinned to another zone", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, egressMesh("default"));
  const { api } = stage.global;
  const app = await startApp("outside");
  own.atEnd(() => app.close());
  const [tls, echo] = await Promise.all([tlsServer(own, "api.example.com"), echoServer(own)]);
  /** What `frontend` calls `backend` is there. */
  const external = (port: number, more: object = {}, protocol = "http") =>
    put(api, "/meshes/default/external-services/outside", {
      ...{ type: "ExternalService", mesh: "default", name: "outside" },
      tags: { "kuma.io/service": "backend", "kuma.io/protocol": protocol, "kuma.io/zone": "zone-b" },
      networking: { address: `127.0.0.1:${port}`, ...more },
    });
  const answer = (status: number, says?: RegExp) => answered(stage.url, status, says);
  const startEgress = await egressStarter(own, stage.global);
  const notOffered =
    /^external service outside is called from zone-b only, and no zone ingress of zone-b offers it: an ingress and an egress must be alive there$/;

  await external(app.port);
  await t.test("without an egress there it fails closed, and says why", async () => {
    await answer(503, notOffered);
  });
  const egressB = await startEgress(stage.zoneB, "egress-b", "127.0.2.9");
  await t.test("without an egress here it fails closed, and says why", async () => {
    await answer(
      503,
      /^no way out of zone-a: mesh default reaches services outside through a zone egress, and none is/,
    );
  });
  const egressA = await startEgress(stage.zoneA, "egress-a", "127.0.1.9");
  const hops = async () => ({
    egress: await counter(egressA, "cluster.default_backend.upstream_cx_total"),
    ingress: await counter(stage.ingress, "cluster.default_backend.upstream_cx_total"),
    server: await counter(egressB, "cluster.default_backend.upstream_rq_total"),
  });

  await t.test("HTTP goes through both egresses and the ingress", async () => {
    assert.equal(JSON.parse(await answer(200)).instance, "outside");
    const before = await hops();
    assert.ok(before.egress > 0 && before.ingress > 0, JSON.stringify(before));
    for (let i = 0; i < 20; i++) assert.equal((await get(stage.url)).status, 200);
    assert.equal((await hops()).server - before.server, 20);
    for (const { admin } of [stage.frontend, egressA, stage.ingress])
      assert.doesNotMatch(
        await admin("/clusters"),
        new RegExp(`:${app.port}::`),
        "only one of zone-b knows the server",
      );
  });

  await t.test("the egress there asks who calls", async () => {
    const deny = (name: string) =>
      put(api, "/meshes/default/meshtrafficpermissions/no-backend", {
        ...{ type: "MeshTrafficPermission", mesh: "default", name: "no-backend" },
        spec: {
          targetRef: { kind: "MeshService", name: "backend" },
          from: [{ targetRef: { kind: "MeshService", name }, default: { action: "Deny" } }],
        },
      });
    await deny("frontend");
    await answer(403);
    const { server } = await hops();
    for (let i = 0; i < 20; i++) assert.equal((await get(stage.url)).status, 403);
    assert.equal((await hops()).server, server);
    await deny("somebody-else");
    await answer(200);
  });

  await t.test("TLS that the egress there begins", async () => {
    await external(tls.port, {
      tls: {
        ...{ enabled: true, caCert: { inlineString: tls.ca }, serverName: "api.example.com" },
        clientCert: { inlineString: tls.client.certificate },
        clientKey: { inlineString: tls.client.privateKey },
      },
    });
    const said = JSON.parse(await answer(200, /sni/));
    assert.deepEqual([said.sni, said.client], ["api.example.com", "DNS:the-mesh"]);
  });

  await t.test("TCP", async () => {
    await external(echo, {}, "tcp");
    const said = await eventually("an echo", 20_000, async () => {
      const socket = connect(Number(new URL(stage.url).port), "127.0.0.1");
      try {
        socket.write("hello");
        return String((await once(socket, "data", { signal: AbortSignal.timeout(1_000) }))[0]);
      } finally {
        socket.destroy();
      }
    });
    assert.equal(said, "hello");
    await external(app.port);
    await answer(200, /"instance":"outside"/);
  });

  await t.test("the egress there is killed: what is called fails, or goes through it when it is back", async () => {
    process.kill(await egressB.envoyPid(), "SIGKILL");
    let answered = 0;
    await eventually("answers again", 20_000, async () => {
      const { status } = await get(stage.url);
      if (status === 200) answered++;
      else assert.equal(status, 503);
      assert.ok(answered >= 5);
    });
    assert.equal(await counter(egressB, "cluster.default_backend.upstream_rq_total"), answered, "no other way");
  });

  await t.test("the egress there ends: nothing leads outside, and the reason is said", async () => {
    await egressB.leave();
    await answer(503, notOffered);
  });
});

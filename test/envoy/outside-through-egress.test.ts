// Services outside the mesh that are called through the egress of the zone: it ends the mesh's TLS, asks who calls, and begins the server's own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, lab, post, put, startProxy, startZone } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { allowAll, dataplane, egressMesh, mesh, zoneEgress } from "../lab/manifests.ts";
import { echoServer, tlsServer } from "../lab/outside.ts";
import { noneFailed, times } from "../lab/soak.ts";

const switches = times(8, 200);

test("services outside, through the egress", async (t) => {
  const own = await lab(t);
  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", egressMesh("default"));
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const app = await startApp("outside");
  own.atEnd(() => app.close());
  const server = await tlsServer(own, "api.example.com");
  const { port: tls, client: ofClient } = server;
  const echo = await echoServer(own);

  // A MeshExternalService is called by its address; here an outbound stands for the redirect, by the name that stands for the service.
  const mes = (name: string) => `default_${name}__zone-a_extsvc_9000`;
  const services = ["web", "echo", "api", mes("mes"), mes("secure"), mes("elsewhere")];
  const ports = new Map<string, number>();
  for (const service of services) ports.set(service, await freePort());
  const outbounds = Object.fromEntries([...ports].map(([service, port]) => [port, service]));
  const at = { address: "127.0.0.6", port: await freePort("127.0.0.6"), appPort: app.port };
  const frontend = dataplane({ mesh: "default", name: "frontend", service: "frontend", ...at, outbounds });
  const proxy = await startProxy(own, zone, frontend, await zone.tokenFor("default"));

  const answer = (service: string, status: number, says = /./) =>
    eventually(`${status} of ${service}`, 20_000, async () => {
      const got = await get(`http://127.0.0.1:${ports.get(service)}/`);
      assert.equal(got.status, status, got.text);
      assert.match(got.text, says);
      return got.text;
    });
  const external = (name: string, address: string, more: object = {}, protocol = "http") =>
    put(zone.api, `/meshes/default/external-services/${name}`, {
      ...{ type: "ExternalService", mesh: "default", name },
      tags: { "kuma.io/service": name, "kuma.io/protocol": protocol },
      networking: { address, ...more },
    });
  const meshExternal = (name: string, spec: object) =>
    put(zone.api, `/meshes/default/meshexternalservices/${name}`, {
      ...{ type: "MeshExternalService", mesh: "default", name },
      spec: { match: { port: 9000, protocol: "http" }, ...spec },
    });
  const hello = async (port: number): Promise<string> => {
    const socket = connect(port, "127.0.0.1");
    try {
      socket.write("hello");
      return String((await once(socket, "data", { signal: AbortSignal.timeout(1_000) }))[0]);
    } finally {
      socket.destroy();
    }
  };
  const withoutEgress =
    /^no way out of zone-a: mesh default reaches services outside through a zone egress, and none is alive$/;
  const caCert = { inlineString: server.ca };
  const client = {
    clientCert: { inlineString: ofClient.certificate },
    clientKey: { inlineString: ofClient.privateKey },
  };
  await external("web", `localhost:${app.port}`);
  await external("echo", `127.0.0.1:${echo}`, {}, "tcp");
  await external("api", `127.0.0.1:${tls}`, {
    tls: { enabled: true, caCert, ...client, serverName: "api.example.com" },
  });
  await meshExternal("mes", { endpoints: [{ address: "localhost", port: app.port }] });

  await t.test("without an egress all of them fail closed, and say why", async () => {
    await answer("web", 503, withoutEgress);
    await answer(mes("mes"), 503, withoutEgress);
    await assert.rejects(hello(ports.get("echo")!));
  });

  const token = await post(zone.api, "/tokens/zone", { zone: "zone-a", scope: ["egress"], validFor: "1h" });
  const egressAt = "127.0.0.7";
  const egress = await startProxy(own, zone, zoneEgress("egress-1", egressAt, await freePort(egressAt)), token);
  const requests = async (cluster: string): Promise<number> => {
    const text = await egress.admin(`/stats?filter=^cluster.${cluster}.upstream_rq_total$`);
    return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
  };

  await t.test("HTTP, TCP, and TLS that the egress begins", async () => {
    const { instance, headers } = JSON.parse(await answer("web", 200));
    assert.deepEqual([instance, headers.host], ["outside", "localhost"]);
    assert.equal(headers["x-forwarded-client-cert"], undefined, "who calls is nobody's business outside");
    assert.ok((await requests("default_web")) > 0);
    assert.equal(await eventually("an echo", 20_000, () => hello(ports.get("echo")!)), "hello");
    const said = JSON.parse(await answer("api", 200));
    assert.deepEqual([said.sni, said.client], ["api.example.com", "DNS:the-mesh"]);
    assert.doesNotMatch(await proxy.admin("/clusters"), new RegExp(`:${tls}::`), "the client does not know the server");
  });

  await t.test("a MeshExternalService, whether or not the mesh leaves its zone through egresses", async () => {
    assert.equal(JSON.parse(await answer(mes("mes"), 200)).instance, "outside");
    await put(zone.api, "/meshes/default", mesh("default"));
    const before = await requests(mes("mes"));
    for (let i = 0; i < 20; i++) assert.equal(JSON.parse(await answer(mes("mes"), 200)).instance, "outside");
    assert.equal((await requests(mes("mes"))) - before, 20);
    await put(zone.api, "/meshes/default", egressMesh("default"));
  });

  await t.test(
    "zoneEgress is switched off and on under load, also before the client is through with it: no request fails",
    async () => {
      const url = `http://127.0.0.1:${ports.get("web")}/`;
      const calling = load(url);
      own.atEnd(calling.stop);
      const leadsTo = (what: string, at: string) =>
        eventually(what, 20_000, async () =>
          assert.match(await proxy.admin("/clusters"), new RegExp(`^web::${at}::rq_success::[1-9]`, "m")),
        );
      const some = async (requests: number) => {
        for (let i = 0; i < requests; i++) await get(url);
      };
      for (let round = 0; round < switches; round++) {
        const isWaitedFor = round % 4 === 0;
        await put(zone.api, "/meshes/default", mesh("default"));
        await (isWaitedFor ? leadsTo("requests to the server itself", `127\\.0\\.0\\.1:${app.port}`) : some(round % 8));
        await put(zone.api, "/meshes/default", egressMesh("default"));
        await (isWaitedFor ? leadsTo("requests through the egress", "127\\.0\\.0\\.7:\\d+") : some(round % 5));
      }
      const what = `zoneEgress is switched off and on while a service outside is called, ${switches} times`;
      noneFailed(t, what, await calling.stop());
    },
  );

  await t.test("TLS of a MeshExternalService is as it says", async () => {
    const endpoints = [{ address: "127.0.0.1", port: tls }];
    const verification = { caCert, ...client, serverName: "api.example.com" };
    await meshExternal("secure", { endpoints, tls: { enabled: true, verification } });
    assert.equal(JSON.parse(await answer(mes("secure"), 200)).sni, "api.example.com");
    const wrong = { ...verification, subjectAltNames: [{ value: "other.example.com" }] };
    await meshExternal("secure", { endpoints, tls: { enabled: true, verification: wrong } });
    await answer(mes("secure"), 503);
    const prefix = { ...verification, subjectAltNames: [{ type: "Prefix", value: "api." }] };
    await meshExternal("secure", { endpoints, tls: { enabled: true, verification: prefix } });
    await answer(mes("secure"), 200);
    const { ca: stranger } = await certificateFor(["api.example.com"]);
    const untrusted = { ...verification, caCert: { inlineString: stranger } };
    await meshExternal("secure", { endpoints, tls: { enabled: true, verification: untrusted } });
    await answer(mes("secure"), 503);
    await meshExternal("secure", {
      endpoints,
      tls: { enabled: true, verification: { ...untrusted, mode: "SkipAll" } },
    });
    await answer(mes("secure"), 200);
  });

  await t.test("what an extension provides is not there, and says so", async () => {
    await meshExternal("elsewhere", { extension: { type: "Lambda" } });
    await answer(
      mes("elsewhere"),
      503,
      /^MeshExternalService elsewhere is provided by the extension Lambda, which is not/,
    );
  });

  await t.test("who is not allowed is refused by the egress", async () => {
    const deny = {
      targetRef: { kind: "MeshService", name: "web" },
      from: [{ targetRef: { kind: "Mesh" }, default: { action: "Deny" } }],
    };
    await put(zone.api, "/meshes/default/meshtrafficpermissions/no-web", {
      ...{ type: "MeshTrafficPermission", mesh: "default", name: "no-web", spec: deny },
    });
    await answer("web", 403);
    const before = await requests("default_web");
    await answer("web", 403);
    assert.equal(await requests("default_web"), before);
    await answer("api", 200);
    const routing = { zoneEgress: true, defaultForbidMeshExternalServiceAccess: true };
    await put(zone.api, "/meshes/default", { ...mesh("default"), routing });
    await answer(mes("mes"), 403);
    await put(zone.api, "/meshes/default", egressMesh("default"));
    await answer(mes("mes"), 200);
  });

  await t.test(
    "the egress is killed, with locality on: what is called fails, or goes through it when it is back",
    async () => {
      const routing = { zoneEgress: true, localityAwareLoadBalancing: true };
      await put(zone.api, "/meshes/default", { ...mesh("default"), routing });
      await answer("api", 200);
      process.kill(await egress.envoyPid(), "SIGKILL");
      let answered = 0;
      await eventually("an answer again", 20_000, async () => {
        const { status } = await get(`http://127.0.0.1:${ports.get("api")}/`);
        if (status === 200) answered++;
        else assert.equal(status, 503);
        assert.ok(answered >= 5);
      });
      assert.equal(await requests("default_api"), answered, "all of it through the egress that has been started again");
      const known = await proxy.admin("/clusters");
      for (const port of [tls, echo]) assert.doesNotMatch(known, new RegExp(`:${port}::`), "no other way");
    },
  );

  await t.test("the egress ends: nothing leaves the zone, and the reason is said", async () => {
    await egress.leave();
    await answer("api", 503, withoutEgress);
    await answer(mes("mes"), 503, withoutEgress);
    await assert.rejects(hello(ports.get("echo")!));
  });
});

// Services outside the mesh, called by a proxy: HTTP, TCP, and TLS that it begins, with a certificate of its own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttp2Server } from "node:http2";
import { connect } from "node:net";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { get, startApp } from "../lab/http.ts";
import { eventually, lab, put, remove, startProxy, startZone } from "../lab/lab.ts";
import { allowAll, dataplane, egressMesh, mesh } from "../lab/manifests.ts";
import { echoServer, listening, tlsServer } from "../lab/outside.ts";

test("external services", async (t) => {
  const own = await lab(t);
  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", mesh("default"));
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  const app = await startApp("outside");
  own.atEnd(() => app.close());
  const echo = await echoServer(own);
  const tls = await tlsServer(own, "api.example.com");

  const http2 = await listening(
    own,
    createHttp2Server((request, response) => response.end(`HTTP/${request.httpVersion}`)),
  );

  const services = ["web", "echo", "api", "stranger", "other-name", "newer", "pinned", "keyless"];
  const ports = new Map<string, number>();
  for (const service of services) ports.set(service, await freePort());
  const url = (service: string) => `http://127.0.0.1:${ports.get(service)}/`;
  const outbounds = Object.fromEntries([...ports].map(([service, port]) => [port, service]));
  const at = { address: "127.0.0.5", port: await freePort("127.0.0.5"), appPort: app.port };
  const frontend = dataplane({ mesh: "default", name: "frontend", service: "frontend", ...at, outbounds });
  const proxy = await startProxy(own, zone, frontend, await zone.tokenFor("default"));
  const external = (name: string, address: string, more: object = {}, tags: object = {}) =>
    put(zone.api, `/meshes/default/external-services/${name}`, {
      ...{ type: "ExternalService", mesh: "default", name },
      tags: { "kuma.io/service": name, "kuma.io/protocol": "http", ...tags },
      networking: { address, ...more },
    });
  const secret = (name: string, text: string) =>
    put(zone.api, `/meshes/default/secrets/${name}`, {
      ...{ type: "Secret", mesh: "default", name },
      data: Buffer.from(text).toString("base64"),
    });
  const answer = (service: string, status: number, says = /./) =>
    eventually(`${status} of ${service}`, 20_000, async () => {
      const got = await get(url(service));
      assert.equal(got.status, status, got.text);
      assert.match(got.text, says);
      return got.text;
    });
  const serverName = "api.example.com";

  await t.test("HTTP, by name: the server is called what it is called", async () => {
    await external("web", `localhost:${app.port}`);
    const { instance, headers } = JSON.parse(await answer("web", 200));
    assert.deepEqual([instance, headers.host], ["outside", "localhost"]);
  });

  await t.test("TCP", async () => {
    await external("echo", `127.0.0.1:${echo}`, {}, { "kuma.io/protocol": "tcp" });
    const said = await eventually("an echo", 20_000, async () => {
      const socket = connect(ports.get("echo")!, "127.0.0.1");
      try {
        socket.write("hello");
        // One that opened while the service was not known waits for HTTP.
        return String((await once(socket, "data", { signal: AbortSignal.timeout(500) }))[0]);
      } finally {
        socket.destroy();
      }
    });
    assert.equal(said, "hello");
  });

  await t.test(
    "TLS, with a certificate of the client from secrets, and a name that the server must prove",
    async () => {
      await secret("api-ca", tls.ca);
      await secret("client-certificate", tls.client.certificate);
      await secret("client-key", tls.client.privateKey);
      const client = { clientCert: { secret: "client-certificate" }, clientKey: { secret: "client-key" } };
      const caCert = { secret: "api-ca" };
      await external("api", `127.0.0.1:${tls.port}`, { tls: { enabled: true, caCert, ...client, serverName } });
      const { sni, client: shown } = JSON.parse(await answer("api", 200));
      assert.deepEqual([sni, shown], [serverName, "DNS:the-mesh"]);
    },
  );

  await t.test("a server that another authority vouches for is not spoken to", async () => {
    const { ca } = await certificateFor([serverName]);
    const inline = { caCert: { inlineString: ca }, clientCert: undefined };
    await external("stranger", `127.0.0.1:${tls.port}`, { tls: { enabled: true, ...inline, serverName } });
    await answer("stranger", 503, /remote connection failure/);
    assert.match(await proxy.admin("/stats?filter=^cluster.stranger.ssl.fail_verify_error$"), /: [1-9]/);
  });

  await t.test(
    "skipHostnameVerification: another name than that of the server is asked for, and not proved",
    async () => {
      const named = (more: object) =>
        external("other-name", `127.0.0.1:${tls.port}`, {
          tls: { enabled: true, caCert: { secret: "api-ca" }, serverName: "other.example.com", ...more },
        });
      await named({});
      await answer("other-name", 503, /remote connection failure/);
      assert.match(await proxy.admin("/stats?filter=^cluster.other-name.ssl.fail_verify_san$"), /: [1-9]/);
      const client = { clientCert: { secret: "client-certificate" }, clientKey: { secret: "client-key" } };
      await named({ skipHostnameVerification: true, ...client });
      assert.equal(JSON.parse(await answer("other-name", 200)).sni, "other.example.com");
    },
  );

  await t.test("HTTP/2", async () => {
    await external("newer", `127.0.0.1:${http2}`, {}, { "kuma.io/protocol": "http2" });
    assert.equal(await answer("newer", 200), "HTTP/2.0");
  });

  await t.test("pinned to another zone, or without a Secret that it needs: 503, with the reason", async () => {
    await external("pinned", `127.0.0.1:${app.port}`, {}, { "kuma.io/zone": "zone-b" });
    await answer("pinned", 503, /^external service pinned is called from zone-b only, and this is zone-a$/);
    await external("pinned", `127.0.0.1:${app.port}`, {}, { "kuma.io/zone": "zone-a" });
    await answer("pinned", 200);
    await external("keyless", `127.0.0.1:${app.port}`, { tls: { enabled: true, caCert: { secret: "nowhere" } } });
    await answer("keyless", 503, /^external service keyless needs Secret nowhere, which is not in zone-a$/);
  });

  await t.test(
    "a mesh that leaves its zone through egresses only does not call them itself, where none is alive",
    async () => {
      await put(zone.api, "/meshes/default", egressMesh("default"));
      await answer(
        "web",
        503,
        /^no way out of zone-a: mesh default reaches services outside through a zone egress, and none is alive$/,
      );
      await put(zone.api, "/meshes/default", mesh("default"));
      await answer("web", 200);
    },
  );

  await t.test("hashed over localities that have weights: its own has none, and answers", async () => {
    const affinityTags = [{ key: "node", weight: 1 }];
    await put(zone.api, "/meshes/default/meshloadbalancingstrategies/near", {
      ...{ type: "MeshLoadBalancingStrategy", mesh: "default", name: "near" },
      spec: {
        targetRef: { kind: "Mesh" },
        to: [
          {
            targetRef: { kind: "Mesh" },
            default: { loadBalancer: { type: "RingHash" }, localityAwareness: { localZone: { affinityTags } } },
          },
        ],
      },
    });
    await eventually("a ring", 20_000, async () =>
      assert.match(await proxy.admin("/stats?filter=^cluster.web.ring_hash_lb.size$"), /: [1-9]/),
    );
    await answer("web", 200);
  });

  await t.test("deleted, it is no more", async () => {
    await remove(zone.api, "/meshes/default/external-services/web");
    await answer("web", 503);
  });
});

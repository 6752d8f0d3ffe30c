// Gateways on Universal, with real Envoys: ways in for clients that are outside the mesh, beside a zone ingress, which is none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "node:tls";
import { freePort } from "#host/free-port.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { get } from "../lab/http.ts";
import { lab, startProxy } from "../lab/lab.ts";
import { zoneIngress } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answeredBy } from "../promises/stage.ts";

test("a delegated gateway calls services of both zones beside an ingress, which does not serve who is outside", async (t) => {
  const of = await lab(t);
  const { zoneA, zoneB, token, zoneToken, ingressAt, addBackend } = await twoZones(of);
  await startProxy(of, zoneA, zoneIngress("ingress-a", "127.0.1.9", await freePort("127.0.1.9")), zoneToken);
  await addBackend(zoneA, "backend-1", "127.0.1.2");
  await addBackend(zoneB, "backend-2", "127.0.2.2");
  const out = await freePort();
  const tags = { "kuma.io/service": "edge" };
  const outbound = [{ port: out, tags: { "kuma.io/service": "backend" } }];
  const networking = { address: "127.0.2.3", gateway: { type: "DELEGATED", tags }, outbound };
  const manifest = { type: "Dataplane", mesh: "default", name: "edge-1", networking };
  const edge = await startProxy(of, zoneB, manifest, token);

  // What the gateway's own program calls, its Envoy sends on with its identity.
  const url = `http://127.0.0.1:${out}`;
  await answeredBy(url, ["backend-1", "backend-2"]);
  const { headers } = JSON.parse((await get(url)).text);
  assert.match(headers["x-forwarded-client-cert"], /URI=spiffe:\/\/default\/edge/);
  const stored = zoneB.store.get({ kind: "Dataplane", mesh: "default", name: "edge-1" });
  assert.equal(stored && asDataplane(stored).spec.networking?.gateway?.tags?.["kuma.io/zone"], "zone-b");

  const { host, port } = ingressAt;
  await assert.rejects(get(`http://${host}:${port}`));
  await assert.rejects(overTls(host, port, "backend{mesh=default}"), /certificate required|ECONNRESET|hang up/i);
  assert.equal(await edge.leave(), 0);
});

/** As a stranger that knows the name of a service: resolves with the first bytes of an answer. */
function overTls(host: string, port: number, servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, servername, ALPNProtocols: ["kuma"], rejectUnauthorized: false }, () =>
      socket.write("GET / HTTP/1.1\r\nhost: backend\r\n\r\n"),
    );
    socket.on("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString());
    });
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("hang up")));
  });
}

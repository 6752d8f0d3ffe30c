// Gateways on Universal, with real Envoys: ways in for clients that are outside the mesh, beside a zone ingress, which is none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { get } from "../lab/http.ts";
import { eventually, lab, put, startProxy } from "../lab/lab.ts";
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
  await assert.rejects(
    overTls({ host, port, servername: "backend{mesh=default}", ALPNProtocols: ["kuma"], rejectUnauthorized: false }),
    /certificate required|ECONNRESET|hang up/i,
  );
  assert.equal(await edge.leave(), 0);
});

test("a builtin gateway leads names and paths to services of both zones", async (t) => {
  const of = await lab(t);
  const { global, zoneA, zoneB, token, zoneToken, addBackend } = await twoZones(of);
  await startProxy(of, zoneA, zoneIngress("ingress-a", "127.0.1.9", await freePort("127.0.1.9")), zoneToken);
  await addBackend(zoneA, "backend-1", "127.0.1.2");
  await addBackend(zoneB, "backend-2", "127.0.2.2");
  const address = "127.0.2.3";
  const port = await freePort(address);
  const tlsPort = await freePort(address);
  const shop = await certificateFor(["shop.example"]);
  const data = Buffer.from(shop.certificate + shop.privateKey).toString("base64");
  await put(global.api, "/meshes/default/secrets/shop", { type: "Secret", mesh: "default", name: "shop", data });
  const tls = { mode: "TERMINATE", certificates: [{ secret: "shop" }] };
  const match = { "kuma.io/service": "edge" };
  await put(global.api, "/meshes/default/meshgateways/edge", {
    ...{ type: "MeshGateway", mesh: "default", name: "edge", selectors: [{ match }] },
    conf: {
      listeners: [
        { port, protocol: "HTTP", hostname: "*.example" },
        { port, protocol: "HTTP", hostname: "other.test", tags: { part: "other" } },
        { port: tlsPort, protocol: "HTTPS", hostname: "shop.example", tls },
      ],
    },
  });
  const networking = { address, gateway: { type: "BUILTIN", tags: match } };
  await startProxy(of, zoneB, { type: "Dataplane", mesh: "default", name: "edge-1", networking }, token);
  const to = (value: string, name: string) => ({
    matches: [{ path: { type: "PathPrefix", value } }],
    default: { backendRefs: [{ kind: "MeshService", name }] },
  });
  const route = (name: string, tags: object, to: object) =>
    put(global.api, `/meshes/default/meshhttproutes/${name}`, {
      ...{ type: "MeshHTTPRoute", mesh: "default", name },
      spec: { targetRef: { kind: "MeshGateway", name: "edge", ...tags }, to: [{ targetRef: { kind: "Mesh" }, ...to }] },
    });
  await route("shop", {}, { hostnames: ["shop.example"], rules: [to("/api", "backend")] });
  await route("rest", {}, { rules: [to("/frontend", "frontend")] });
  await route("other", { tags: { part: "other" } }, { rules: [to("/", "backend")] });

  const ask = (host: string, path: string) => get(`http://${address}:${port}${path}`, { host });
  await eventually("answers of both zones", 20_000, async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask("shop.example", "/api/x")));
    assert.deepEqual(
      answers.filter(({ status }) => status !== 200).map(({ text }) => text),
      [],
    );
    assert.deepEqual(
      new Set(answers.map(({ text }) => JSON.parse(text).instance)),
      new Set(["backend-1", "backend-2"]),
    );
  });
  const answered = async (host: string, path: string) => {
    const { status, text } = await ask(host, path);
    return status === 200 ? JSON.parse(text).instance.replace(/-.*/, "") : status;
  };
  for (const [host, path, who] of [
    ["shop.example", "/", 404],
    ["shop.example:80", "/frontend/1", "frontend"],
    ["a.example", "/frontend", "frontend"],
    ["a.example", "/api", 404],
    ["other.test", "/api", "backend"],
    ["other.test", "/frontend", "frontend"],
    ["unknown.test", "/api", 404],
  ] as const)
    assert.equal(await answered(host, path), who, `${host}${path}`);
  const { headers } = JSON.parse((await ask("other.test", "/")).text);
  assert.match(headers["x-forwarded-client-cert"], /URI=spiffe:\/\/default\/edge/);

  await put(global.api, "/meshes/default/meshloadbalancingstrategies/near", {
    ...{ type: "MeshLoadBalancingStrategy", mesh: "default", name: "near" },
    spec: {
      targetRef: { kind: "MeshGateway", name: "edge" },
      to: [{ targetRef: { kind: "Mesh" }, default: { localityAwareness: {} } }],
    },
  });
  await eventually("answers of its own zone alone", 20_000, async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask("shop.example", "/api/x")));
    assert.deepEqual(new Set(answers.map(({ text }) => JSON.parse(text).instance)), new Set(["backend-2"]));
  });

  const secure = (servername: string, path: string) =>
    overTls(
      { host: address, port: tlsPort, servername, ca: shop.ca },
      `GET ${path} HTTP/1.1\r\nhost: ${servername}\r\n\r\n`,
    );
  assert.match(await eventually("TLS", 20_000, () => secure("shop.example", "/api")), /^HTTP\/1.1 200 /);
  assert.match(await secure("shop.example", "/"), /^HTTP\/1.1 404 /);
  await assert.rejects(secure("a.example", "/frontend"), /ECONNRESET|hang up|disconnected/);
});

/** Resolves with the first bytes of the answer. */
function overTls(to: ConnectionOptions, request = "GET / HTTP/1.1\r\nhost: backend\r\n\r\n"): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(to, () => socket.write(request));
    socket.on("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString());
    });
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("hang up")));
  });
}

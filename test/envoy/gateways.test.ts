// Gateways on Universal, with real Envoys: ways in for clients that are outside the mesh, beside a zone ingress, which is none.

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, type Socket, type TcpNetConnectOpts } from "node:net";
import { test } from "node:test";
import { type ConnectionOptions, connect, createServer, TLSSocket } from "node:tls";
import { certificateFor, type TestCertificate } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { get } from "../lab/http.ts";
import { eventually, type Lab, lab, put, startProxy } from "../lab/lab.ts";
import { dataplane, zoneIngress } from "../lab/manifests.ts";
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
  assert.equal((await get(`http://${host}:${port}`, { host: "backend" })).status, 404);
  await assert.rejects(
    overTls({ host, port, servername: "backend{mesh=default}", ALPNProtocols: ["kuma"], rejectUnauthorized: false }),
    /certificate required|ECONNRESET|hang up/i,
  );
  assert.equal(await edge.leave(), 0);
});

test("a builtin gateway leads names, paths and connections to services of both zones", async (t) => {
  const of = await lab(t);
  const { global, zoneA, zoneB, token, zoneToken, addBackend } = await twoZones(of);
  await startProxy(of, zoneA, zoneIngress("ingress-a", "127.0.1.9", await freePort("127.0.1.9")), zoneToken);
  await addBackend(zoneA, "backend-1", "127.0.1.2");
  await addBackend(zoneB, "backend-2", "127.0.2.2");
  const address = "127.0.2.3";
  const port = await freePort(address);
  const tlsPort = await freePort(address);
  const tcpPort = await freePort(address);
  const namesPort = await freePort(address);
  const shop = await certificateFor(["shop.example", "ends.example"]);
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
        { port: tcpPort, protocol: "TCP", tags: { part: "tcp" }, resources: { connectionLimit: 2 } },
        { port: namesPort, protocol: "TLS", hostname: "ends.example", tags: { part: "tcp" }, tls },
        {
          ...{ port: namesPort, protocol: "TLS", hostname: "*.vault.example", tags: { part: "vault" } },
          tls: { mode: "PASSTHROUGH" },
        },
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

  const tcpRoute = (part: string, name: string) =>
    put(global.api, `/meshes/default/meshtcproutes/${part}`, {
      ...{ type: "MeshTCPRoute", mesh: "default", name: part },
      spec: {
        targetRef: { kind: "MeshGateway", name: "edge", tags: { part } },
        to: [{ targetRef: { kind: "Mesh" }, rules: [{ default: { backendRefs: [{ kind: "MeshService", name }] } }] }],
      },
    });
  await tcpRoute("tcp", "backend");
  await tcpRoute("vault", "vault");

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

  // What is said of the way on for some listeners holds for what comes in there.
  await put(global.api, "/meshes/default/meshtimeouts/other", {
    ...{ type: "MeshTimeout", mesh: "default", name: "other" },
    spec: {
      targetRef: { kind: "MeshGateway", name: "edge", tags: { part: "other" } },
      to: [{ targetRef: { kind: "Mesh" }, default: { http: { requestTimeout: "1s" } } }],
    },
  });
  await eventually("a timeout", 20_000, async () =>
    assert.equal((await ask("other.test", "/api?ms=3000")).status, 504),
  );
  assert.equal((await ask("shop.example", "/api?ms=3000")).status, 200);
  await eventually("an answer in time", 20_000, async () =>
    assert.equal(await answered("other.test", "/api"), "backend"),
  );

  const instances = new Set<string>();
  await eventually("connections to both zones", 20_000, async () => {
    instances.add(instanceIn(await exchange(connectTcp({ host: address, port: tcpPort }))));
    assert.deepEqual([...instances].sort(), ["backend-1", "backend-2"]);
  });
  // As many as the listener takes; the next are closed before they are answered.
  const place = () => eventually("a place", 5_000, () => open({ host: address, port: tcpPort }));
  const held = [await place(), await place()];
  await assert.rejects(exchange(connectTcp({ host: address, port: tcpPort })), /ECONNRESET|hang up/);
  for (const socket of held) socket.destroy();
  (await place()).destroy();

  // Of two names of one port the gateway ends TLS for one, and for the other the service itself does.
  const named = (servername: string, ca: string) =>
    exchange(connect({ host: address, port: namesPort, servername, ca }));
  await eventually("the certificate", 20_000, async () =>
    assert.match(instanceIn(await named("ends.example", shop.ca)), /^backend-/),
  );
  const vault = await certificateFor(["a.vault.example"]);
  await startProxy(
    of,
    zoneA,
    dataplane({
      ...{ mesh: "default", name: "vault", service: "vault", address: "127.0.1.3", protocol: "tcp" },
      ...{ port: await freePort("127.0.1.3"), appPort: await tlsApp(of, vault) },
    }),
    token,
  );
  await eventually("the service of the other zone", 20_000, async () =>
    assert.equal(instanceIn(await named("a.vault.example", vault.ca)), "vault"),
  );
  await assert.rejects(named("vault.example", vault.ca), /ECONNRESET|hang up|disconnected/);
  await assert.rejects(
    exchange(connectTcp({ host: address, port: namesPort })),
    /ECONNRESET|hang up/,
    "who does not speak TLS says no name",
  );

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

const overTls = (to: ConnectionOptions, request?: string): Promise<string> => exchange(connect(to), request);

const usualRequest = "GET / HTTP/1.1\r\nhost: backend\r\n\r\n";

/** Resolves with the first bytes of the answer. */
function exchange(socket: Socket, request = usualRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once(socket instanceof TLSSocket ? "secureConnect" : "connect", () => socket.write(request));
    socket.on("data", (bytes) => {
      socket.destroy();
      resolve(bytes.toString());
    });
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("hang up")));
  });
}

/** Resolves once it has been answered, which it stays open after. */
function open(to: TcpNetConnectOpts): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(to, () => socket.write(usualRequest));
    socket.once("data", () => resolve(socket));
    socket.on("error", reject);
    socket.on("end", () => reject(new Error("hang up")));
  });
}

const instanceIn = (answer: string): string => /"instance":"([^"]*)"/.exec(answer)?.[1] ?? "none";

/** Resolves with the port of an application that ends TLS itself. */
async function tlsApp(of: Lab, { certificate, privateKey }: TestCertificate): Promise<number> {
  const server = createServer({ cert: certificate, key: privateKey }, (socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end('{"instance":"vault"}'));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  of.atEnd(async () => void server.close());
  return (server.address() as AddressInfo).port;
}

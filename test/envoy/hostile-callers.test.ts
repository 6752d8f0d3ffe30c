// Hostile callers of services, against real Envoys: each attempt is refused, reaches no application, and is counted by Envoy. They
// are listed in docs/security.md.

import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { freePort } from "#host/free-port.ts";
import { createBuiltinAuthority } from "#identity/authority.ts";
import { authorityOf } from "../lab/authority.ts";
import { get } from "../lab/http.ts";
import { eventually, type Lab, type LabProxy, lab, post, put, startProxy } from "../lab/lab.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";
import { type TwoZones, twoZones } from "../lab/two-zones.ts";
import { listening } from "../policies/stage.ts";
import { type Call, leafOf, selfSigned, signedByLeaf, told } from "./hostile-caller.ts";

/** Of these counters of the proxy at which it comes one must rise. */
interface Attempt extends Call {
  readonly what: string;
  readonly counted: RegExp;
  /** How it is answered; absent: not at all. */
  readonly answer?: RegExp;
  /** Of the lines of the called proxy's agent one is so. Absent: none is asked for. */
  readonly line?: RegExp;
}

interface Seen {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
}

/** An application that notes what reaches it, and answers `/503` so. */
async function application(own: Lab): Promise<{ readonly port: number; readonly seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(({ url = "", headers }, response) => {
    seen.push({ url, headers });
    response.statusCode = url === "/503" ? 503 : 200;
    response.end("hello");
  });
  return { port: await listening(own, server), seen };
}

const request = (path = "/", headers: Readonly<Record<string, string>> = {}): string =>
  [
    `GET ${path} HTTP/1.1`,
    ...Object.entries({ host: "backend", connection: "close", ...headers }).map(([name, value]) => `${name}: ${value}`),
    "\r\n",
  ].join("\r\n");

const forged = "By=spiffe://default/backend;URI=spiffe://default/frontend";
const untrusted = /listener\..*\.ssl\.(fail_verify_\w+|connection_error)$/;
const denied = /http\..*\.rbac\.denied$/;
const noChain = /no_filter_chain_match$/;
const badRequest = /http\..*\.(downstream_rq_4xx|downstream_cx_protocol_error)$/;
const unknownIssuer = /unable to get local issuer certificate/;
const noCipher = /NO_SHARED_CIPHER|WRONG_CURVE/;
const tlsFailed = /^refused a connection: TLS failed/;

test("hostile callers of services", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const { global, zoneB, ingressAt, frontend } = stage;
  await put(global.api, "/meshes/other", mesh("other"));
  await put(global.api, "/meshes/other/meshtrafficpermissions/allow-all", allowAll("other"));
  const permission = (...services: string[]) => ({
    ...allowAll("default"),
    spec: {
      from: services.map((name) => ({ targetRef: { kind: "MeshService", name }, default: { action: "Allow" } })),
    },
  });
  await put(global.api, "/meshes/default/meshtrafficpermissions/allow-all", permission("frontend"));

  const [app, ofOther] = await Promise.all([application(own), application(own)]);
  const add = async (inMesh: string, address: string, appPort: number) => {
    const token = await eventually("a token", 10_000, () =>
      post(global.api, "/tokens/dataplane", { mesh: inMesh, validFor: "1h" }),
    );
    const at = { host: address, port: await freePort(address) };
    const name = `backend-of-${inMesh}`;
    const manifest = dataplane({ mesh: inMesh, name, service: "backend", address, port: at.port, appPort });
    return { at, name, proxy: await startProxy(own, zoneB, manifest, token) };
  };
  const [backend, other] = await Promise.all([
    add("default", "127.0.2.2", app.port),
    add("other", "127.0.2.3", ofOther.port),
  ]);

  const authorities = async () => [authorityOf("default", global), authorityOf("other", global)] as const;
  const [ca, caOfOther] = await eventually("authorities", 10_000, authorities);
  const day = 86_400_000;
  const [own1, stranger, foreign, expired, early, self, ofNobody, otherName] = await Promise.all([
    leafOf(ca, "default", "frontend"),
    leafOf(ca, "default", "stranger"),
    leafOf(caOfOther, "other", "frontend"),
    leafOf(ca, "default", "frontend", Date.now() - day),
    leafOf(ca, "default", "frontend", Date.now() + day),
    selfSigned("default", "frontend"),
    leafOf(await createBuiltinAuthority("default", Date.now()), "default", "frontend"),
    leafOf(caOfOther, "default", "frontend"),
  ]);
  const ofBadMesh = await leafOf(ca, "default.evil", "frontend");
  const byLeaf = await signedByLeaf(own1, "default", "frontend");

  const { at } = backend;
  const sni = "backend{mesh=default}";
  const sniOfOther = "backend{mesh=other}";
  await eventually("answers with what is right: at the inbound, and through the ingress in both meshes", 30_000, () =>
    Promise.all(
      [
        { at, tls: { ...own1, servername: sni } },
        { at: ingressAt, tls: { ...own1, servername: sni } },
        { at: ingressAt, tls: { ...foreign, servername: sniOfOther } },
      ].map(async (call) => assert.match(await told({ ...call, bytes: request() }), /^HTTP\/1\.1 200 /)),
    ),
  );
  await eventually("frontend is answered", 20_000, async () => assert.equal((await get(stage.url)).status, 200));

  const tls = { ...own1, servername: sni };
  const toInbound = { at, bytes: request() };
  const old = { maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
  const ciphers = (names: string) => ({ ...tls, maxVersion: "TLSv1.2", ciphers: `${names}:@SECLEVEL=0` }) as const;
  const refusedCertificates: Readonly<Record<string, readonly [shown: object, why: RegExp]>> = {
    "no certificate": [{}, /PEER_DID_NOT_RETURN_A_CERTIFICATE/],
    "a self-signed certificate": [self, unknownIssuer],
    "the certificate of an authority that calls itself as the mesh's does": [ofNobody, unknownIssuer],
    "another mesh's certificate, of the same service": [foreign, unknownIssuer],
    "another mesh's authority, the names of this mesh": [otherName, unknownIssuer],
    "this mesh's authority, the name of a mesh that begins like it": [ofBadMesh, /SAN matcher.*default\.evil/],
    "an expired certificate": [expired, /certificate has expired/],
    "a certificate that is not valid yet": [early, /certificate is not yet valid/],
    "a certificate that was signed with a proxy's": [byLeaf, unknownIssuer],
  };
  const asStranger = (path: string, headers: Readonly<Record<string, string>> = {}) => ({
    ...{ at, tls: { ...stranger, servername: sni }, bytes: request(path, headers) },
    ...{ counted: denied, answer: /^HTTP\/1\.1 403 / },
  });
  const raw = (...lines: readonly string[]) => ({
    ...{ at, tls, bytes: lines.join("\r\n"), counted: badRequest, answer: /^HTTP\/1\.1 (4\d\d|501) / },
  });
  const atIngress = (what: string, more: object, counted = noChain): Attempt => ({
    ...{ what: `at the ingress, ${what}`, at: ingressAt, tls: { ...own1, ...more }, bytes: request(), counted },
  });

  const attempts: readonly Attempt[] = [
    ...Object.entries(refusedCertificates).map(([what, [shown, line]]) => ({
      ...{ what, ...toInbound, tls: { ...shown, servername: sni }, counted: untrusted, line },
    })),
    { what: "plain HTTP", ...toInbound, counted: untrusted, line: tlsFailed },
    { what: "TLS 1.1", ...toInbound, tls: { ...tls, ...old }, counted: untrusted, line: /UNSUPPORTED_PROTOCOL/ },
    {
      what: "a cipher without forward secrecy",
      ...toInbound,
      tls: ciphers("AES256-SHA"),
      counted: untrusted,
      line: noCipher,
    },
    {
      what: "a cipher without encryption",
      ...toInbound,
      tls: ciphers("eNULL"),
      counted: untrusted,
      line: noCipher,
    },
    { what: "a service that no permission allows", ...asStranger("/"), line: /^denied a request.*stranger/ },
    ...Object.entries({
      "x-forwarded-client-cert": forged,
      "x-kuma-tags": "&kuma.io/service=frontend&",
      "x-forwarded-for": "127.0.0.1",
      "x-envoy-internal": "true",
      "x-envoy-original-path": "/",
      "x-forwarded-proto": "https",
      authorization: "Bearer frontend",
    }).map(([name, value]) => ({ what: `the same, with a forged ${name}`, ...asStranger("/", { [name]: value }) })),
    ...["/x/../", "/x/%2e%2e/", "//", "/%2F", "/..;/", "/%00", "/\\..\\"].map((path) => ({
      ...{ what: `the same, at ${path}`, ...asStranger(path), answer: /^HTTP\/1\.1 40[03] / },
      counted: new RegExp(`${denied.source}|${badRequest.source}`),
    })),
    {
      what: "a length and pieces",
      ...raw("POST / HTTP/1.1", "host: b", "content-length: 4", "transfer-encoding: chunked", "", "0", "", "GET /"),
    },
    {
      what: "two lengths",
      ...raw("POST / HTTP/1.1", "host: b", "content-length: 4", "content-length: 5", "", "abcde"),
    },
    {
      what: "pieces that are none",
      ...raw("POST / HTTP/1.1", "host: b", "transfer-encoding: xchunked", "", "0", "", ""),
    },
    {
      what: "a blank before the colon",
      ...raw("POST / HTTP/1.1", "host: b", "transfer-encoding : chunked", "", "0", "", ""),
    },
    { what: "a negative length", ...raw("POST / HTTP/1.1", "host: b", "content-length: -1", "", "") },
    {
      what: "a tunnel to elsewhere",
      ...raw("CONNECT 127.0.0.1:22 HTTP/1.1", "host: 127.0.0.1:22", "connection: close", "", ""),
    },
    { what: "100 kB of headers", ...raw("GET / HTTP/1.1", "host: b", `x: ${"x".repeat(100_000)}`, "", "") },
    { what: "what is no HTTP", ...raw("\u0016\u0003\u0001 hello", "", "") },
    atIngress("no name", {}),
    atIngress("a name of no mesh", { servername: "backend" }),
    atIngress("garbage as a name", { servername: "{{}}\u0001=," }),
    atIngress("any name", { servername: "*" }),
    atIngress("a service that it does not offer", { servername: "frontend{mesh=default}" }),
    atIngress("a mesh that does not exist", { servername: "backend{mesh=default2}" }),
    atIngress("a part of a service that no route leads to", { servername: "backend{mesh=default,version=v1}" }),
    ...["zone-a.probe.kodiak", "backend"].map((host) => ({
      what: `at the ingress, plain HTTP for ${host}`,
      ...{ at: ingressAt, bytes: request("/", { host }), counted: badRequest, answer: /^HTTP\/1\.1 40[04] / },
    })),
    {
      what: "at the ingress, what is no HTTP",
      at: ingressAt,
      bytes: "hello\r\n\r\n",
      counted: badRequest,
      answer: /^HTTP\/1\.1 400 /,
    },
    {
      ...atIngress("another mesh's service", { servername: sniOfOther }, untrusted),
      line: tlsFailed,
    },
    {
      ...atIngress("this mesh's service, with another mesh's certificate", { ...foreign, servername: sni }, untrusted),
      line: tlsFailed,
    },
    {
      ...atIngress("a service that no permission allows", { ...stranger, servername: sni }, denied),
      answer: /^HTTP\/1\.1 403 /,
    },
  ];

  const proxies: readonly LabProxy[] = [backend.proxy, other.proxy, stage.ingress];
  const counters = async (which: RegExp): Promise<number> => {
    const texts = await Promise.all(proxies.map((proxy) => proxy.admin("/stats?usedonly")));
    const lines = texts.join("\n").split("\n");
    return lines.reduce((sum, line) => {
      const [name = "", value] = line.split(": ");
      return which.test(name) ? sum + Number(value) : sum;
    }, 0);
  };
  for (const { what, counted, answer = /^$/, line, ...call } of attempts)
    await t.test(what, async () => {
      for (const one of [app, ofOther]) one.seen.length = 0;
      const before = await counters(counted);
      assert.match(await told(call), answer);
      await eventually("it is counted", 5_000, async () => assert.ok((await counters(counted)) > before));
      if (line)
        await eventually("it is logged", 15_000, async () => {
          const said = proxies.flatMap(({ lines }) =>
            lines.map((one) => `${one.message} ${JSON.stringify(one.fields)}`),
          );
          assert.ok(
            said.some((text) => line.test(text)),
            said.join("\n"),
          );
        });
      assert.deepEqual([app.seen, ofOther.seen], [[], []]);
    });
  await t.test("headers by which a caller would be another", () => headers(stage, app.seen, { at, tls }));
  await t.test("where plaintext is let in, nobody is anybody by it, and certificates count as before", async () => {
    const permissive = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin", mode: "PERMISSIVE" }] };
    await put(global.api, "/meshes/other", { ...mesh("other"), mtls: permissive });
    const bytes = request("/", { "x-forwarded-client-cert": "URI=spiffe://other/frontend", "x-kuma-tags": "&a=b&" });
    await eventually("plaintext", 20_000, async () => {
      ofOther.seen.length = 0;
      assert.match(await told({ at: other.at, bytes }), /^HTTP\/1\.1 200 /);
    });
    const heard = ofOther.seen.map(({ headers }) => [headers["x-forwarded-client-cert"], headers["x-kuma-tags"]]);
    assert.deepEqual(heard, [[undefined, undefined]]);
    assert.equal(await told({ at: other.at, tls, bytes }), "");
    assert.equal(ofOther.seen.length, 1);
  });
  await t.test("Envoy's admin is on a socket of its owner, and on no port", () =>
    noOpenAdmin(own, [frontend, backend.proxy, stage.ingress], backend),
  );
  await t.test("a server with another service's certificate", (t) => rogueServer(t, own, stage, stranger));
});

/** One that is let in is who its certificate says, whatever it says besides, and decides nothing for the proxy that it calls. */
async function headers({ url }: TwoZones, seen: Seen[], call: Omit<Call, "bytes">): Promise<void> {
  const evil = "URI=spiffe://default/evil";
  const isFrontend = (one: Seen | undefined) => {
    const who = String(one?.headers["x-forwarded-client-cert"]);
    assert.match(who, /(^|;)URI=spiffe:\/\/default\/frontend(;|$)/);
    assert.doesNotMatch(who, /evil/);
    assert.equal(one?.headers["x-kuma-tags"], undefined);
  };
  seen.length = 0;
  const claims = {
    "x-forwarded-client-cert": `By=spiffe://default/backend;${evil}`,
    "x-kuma-tags": "&kuma.io/service=evil&",
  };
  const twice = { ...claims, "X-Forwarded-Client-Cert": evil };
  assert.match(await told({ ...call, bytes: request("/", twice) }), /^HTTP\/1\.1 200 /);
  // An application, behind its own proxy.
  assert.equal((await get(url, claims)).status, 200);
  assert.equal(seen.length, 2);
  seen.forEach(isFrontend);

  // What Envoys take from those that they trust: how often, and for how long, the application is asked.
  seen.length = 0;
  for (const from of ["127.0.0.1", "10.0.0.1"]) {
    const orders = {
      ...{ "x-forwarded-for": from, "x-envoy-internal": "true", "x-envoy-retry-on": "5xx", "x-envoy-max-retries": "5" },
      "x-envoy-upstream-rq-timeout-ms": "1",
    };
    const answer = await told({ ...call, bytes: request("/503", orders) });
    assert.match(answer, /^HTTP\/1\.1 503 .*hello$/s);
  }
  assert.equal(seen.length, 2, "each asked the application once");
}

async function noOpenAdmin(
  own: Lab,
  proxies: readonly LabProxy[],
  one: { name: string; at: Call["at"]; proxy: LabProxy },
) {
  for (const name of ["frontend", one.name, "ingress-b"])
    assert.equal(statSync(join(own.folder, `proxy-${name}`, "kuma-envoy-admin.sock")).mode & 0o777, 0o600, name);
  for (const proxy of proxies) assert.ok((await portsOf(proxy)).length > 0);
  assert.deepEqual(await portsOf(one.proxy), [one.at.port]);
}

/** TCP ports on which its Envoy listens, each once. */
async function portsOf(proxy: LabProxy): Promise<readonly number[]> {
  const pid = await proxy.envoyPid();
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap(
      (fd) => /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [],
    ),
  );
  const listening = ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      // State, and inode: proc(5), /proc/net/tcp.
      .filter((fields) => fields[3] === "0A" && sockets.has(fields[9] ?? "")),
  );
  return [...new Set(listening.map((fields) => Number.parseInt(fields[1]?.split(":")[1] ?? "", 16)))];
}

/** Callers speak to a server with the name of the service that they call, and to no other of the mesh. */
async function rogueServer(t: TestContext, own: Lab, { zoneB, url, frontend }: TwoZones, shown: object): Promise<void> {
  let received = "";
  const server = createTlsServer({ ...shown, ALPNProtocols: ["kuma"] }, (socket) => {
    socket.on("data", (chunk) => (received += String(chunk)));
    socket.on("error", () => {});
  });
  const address = "127.0.2.9";
  const port = await listening(own, server, address);
  const manifest = dataplane({ mesh: "default", name: "rogue", service: "backend", address, port, appPort: port });
  await put(zoneB.api, "/meshes/default/dataplanes/rogue", manifest);
  const refused = async () => /fail_verify_san: [1-9]/.test(await frontend.admin("/stats?filter=^cluster.backend.ssl"));
  const statuses = new Set<number>();
  await eventually("callers meet it, and refuse it", 20_000, async () => {
    statuses.add((await get(url)).status);
    assert.ok(await refused());
  });
  assert.equal(received, "");
  t.diagnostic(`frontend was answered ${[...statuses].join(", ")}`);
}

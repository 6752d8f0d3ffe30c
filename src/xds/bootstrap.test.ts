// The recorded exchanges of stock kuma-dp and Kuma (test/recorded/dp-server), and what this control plane refuses beyond them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import type { HttpRequest } from "#host/world.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";
import { answerBootstrap, type BootstrapContext } from "#xds/bootstrap-answer.ts";

const recorded = (file: string): string =>
  readFileSync(new URL(`../../test/recorded/dp-server/${file}`, import.meta.url), "utf8");

const sidecar = JSON.parse(recorded("bootstrap-sidecar.json"));
const stored = (kind: string, body: JsonObject): Resource => fromRest(kindNamed(kind), body).resource;
const dataplane = JSON.parse(sidecar.request.dataplaneResource);

const contextWith = (...resources: readonly Resource[]): BootstrapContext => ({
  zone: "zone-1",
  port: 33128,
  // The recorded control plane's own, for 127.0.0.1 and localhost.
  certificate: sidecar.request.caCert,
  find: (id) => resources.find(({ kind, mesh, name }) => kind === id.kind && mesh === id.mesh && name === id.name),
});
const mesh = stored("Mesh", { type: "Mesh", name: "default" });
const context = contextWith(mesh);

interface Sent {
  readonly body?: unknown;
  readonly accept?: string | undefined;
  readonly host?: string;
  readonly method?: string;
}
function ask({ body, accept = "application/json", host = "127.0.0.1:33128", method = "POST" }: Sent, where = context) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const request: HttpRequest = {
    method,
    url: "/bootstrap",
    headers: accept === "" ? {} : { accept: [accept] },
    authority: host,
    peer: "127.0.0.1:1",
    body: new TextEncoder().encode(text),
  };
  const { status, headers = {}, body: answer = "" } = answerBootstrap(request, where);
  return { status, contentType: headers["content-type"], text: String(answer) };
}
const bootstrapIn = (text: string): string => Buffer.from(JSON.parse(text).bootstrap, "base64").toString();

/** In an order of its own: the recorded one is random for features, and by name for clusters. */
function sorted(bootstrap: ReturnType<typeof parse>) {
  bootstrap.node.metadata.features.sort();
  bootstrap.staticResources.clusters.sort((a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1));
  return bootstrap;
}
/** The recorded bootstrap with everything that is meant to be different. */
function expected(file: string) {
  const bootstrap = parse(recorded(file));
  bootstrap.dynamicResources.adsConfig.apiType = "DELTA_GRPC";
  return sorted(bootstrap);
}

for (const name of [
  "sidecar",
  "sidecar-delta",
  "sidecar-two-inbounds",
  "sidecar-transparent-embedded-dns",
  "sidecar-transparent-from-dataplane",
  "zone-egress",
  "zone-ingress",
])
  test(`bootstrap of a recorded ${name}`, () => {
    const exchange = JSON.parse(recorded(`bootstrap-${name}.json`));
    const { status, contentType, text } = ask({ body: exchange.request });
    assert.deepEqual([status, contentType], [200, "application/json"]);
    assert.deepEqual(sorted(parse(bootstrapIn(text))), expected(`bootstrap-${name}.response.yaml`));
    assert.deepEqual({ ...JSON.parse(text), bootstrap: "" }, { ...exchange.response, bootstrap: "" });
  });

test("bootstrap of a recorded proxy with unified names in an Exclusive mesh", () => {
  const exclusive = stored("Mesh", { type: "Mesh", name: "default", meshServices: { mode: "Exclusive" } });
  const features = [...sidecar.request.features, "feature-unified-resource-naming"];
  const { text } = ask({ body: { ...sidecar.request, name: "client-u", features } }, contextWith(exclusive));
  assert.deepEqual(
    sorted(parse(bootstrapIn(text))),
    expected("bootstrap-sidecar-unified-names-exclusive-mesh.response.yaml"),
  );
  const legacy = ask({ body: { ...sidecar.request, features } });
  assert.match(bootstrapIn(legacy.text), /"name":"ads_cluster"/);
});

const leafCertificate = `-----BEGIN CERTIFICATE-----
MIIBiDCCAS6gAwIBAgIUAhWw2etlz5Z/9Krw4/VSpyNDs3gwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEbGVhZjAgFw0yNjExMjQwODE4MjRaGA8yMTI2MTAzMTA4MTgy
NFowDzENMAsGA1UEAwwEbGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABApc
u3RlElHY2rtKBuyHxp1PSOr7q1NEpCM+XWj+NpVeP43L1d83ej9lO4AhLime5G/x
KK7vC8ob1yr4NyatW5GjZjBkMB0GA1UdDgQWBBRyKMnGoONB7KFLirZaLBk984HW
azAfBgNVHSMEGDAWgBRyKMnGoONB7KFLirZaLBk984HWazAMBgNVHRMBAf8EAjAA
MBQGA1UdEQQNMAuCCWxvY2FsaG9zdDAKBggqhkjOPQQDAgNIADBFAiEA0e93adfs
R4M6jxe6pQOpOjn6UnL3bj7vCpYdirXfQyQCIBlPKYeDToQD52Ct2IV/Htx3Zr9U
rrODv4hkTAwdHTQM
-----END CERTIFICATE-----`;

const changed = (change: JsonObject): Sent => ({ body: { ...sidecar.request, ...change } });
const withResource = (resource: unknown): Sent => changed({ dataplaneResource: JSON.stringify(resource) });
const withInbound = (change: object): Sent =>
  withResource({
    ...dataplane,
    networking: { ...dataplane.networking, inbound: [{ ...dataplane.networking.inbound[0], ...change }] },
  });
const transparent = (ipFamilyMode: string, outbound: unknown = undefined): Sent =>
  changed({
    dataplaneConfig: { ipFamilyMode, redirect: { inbound: { enabled: true, port: 1 }, vnet: {} } },
    dataplaneResource: JSON.stringify({ ...dataplane, networking: { ...dataplane.networking, outbound } }),
  });

/** The request of each recorded variant, and our words: empty where the recorded body is the same or not compared. */
const variants: Readonly<Record<string, readonly [sent: Sent, ours: string, where?: BootstrapContext]>> = {
  ok: [changed({}), ""],
  "without accept header": [{ ...changed({}), accept: "" }, ""],
  "accept */*": [{ ...changed({}), accept: "*/*" }, ""],
  "GET with body": [{ ...changed({}), method: "GET" }, ""],
  "no token": [
    changed({ dataplaneToken: "", dataplaneTokenPath: "" }),
    "Dataplane Token is required: make one with `kodiak token dataplane` and give it to the proxy as its token file.",
  ],
  "token path only": [changed({ dataplaneToken: null }), ""],
  "garbage token (bootstrap does not look at it)": [changed({ dataplaneToken: "garbage" }), ""],
  "unknown mesh": [changed({ mesh: "nomesh" }), ""],
  "invalid dataplane: no inbound port": [withInbound({ port: 0 }), "networking.inbound[0].port: is required"],
  "invalid dataplane: no kuma.io/service": [
    withInbound({ tags: { "kuma.io/protocol": "http" } }),
    'networking.inbound[0].tags["kuma.io/service"]: is required',
  ],
  "invalid dataplane: no address": [
    withResource({ ...dataplane, networking: { ...dataplane.networking, address: "" } }),
    "networking.address: is required",
  ],
  "dataplane resource of another name than the request (bootstrap does not compare)": [
    withResource({ ...dataplane, name: "other" }),
    "",
  ],
  "dataplane resource not parseable": [
    changed({ dataplaneResource: "{" }),
    "dataplaneResource: must be a Dataplane in JSON or YAML",
  ],
  "dataplane resource of another kind": [
    withResource({ type: "ZoneIngress", name: "client" }),
    "dataplaneResource: must be a Dataplane in JSON or YAML",
  ],
  "no resource given and none stored": [changed({ dataplaneResource: null }), ""],
  "no resource given, stored one": [
    changed({ dataplaneResource: null }),
    "",
    contextWith(mesh, stored("Dataplane", dataplane)),
  ],
  "wrong host name": [
    { ...changed({}), host: "cp.example:5678" },
    'A data plane proxy is trying to connect to the control plane using "cp.example" address, but the certificate in the control plane has the following SANs ["127.0.0.1" "localhost"]. Give one of those as the control plane\'s address to the proxy, or restart the control plane with a certificate that names "cp.example".',
  ],
  "wrong host IP": [
    { ...changed({}), host: "127.0.0.2:33128" },
    'A data plane proxy is trying to connect to the control plane using "127.0.0.2" address, but the certificate in the control plane has the following SANs ["127.0.0.1" "localhost"]. Give one of those as the control plane\'s address to the proxy, or restart the control plane with a certificate that names "127.0.0.2".',
  ],
  "caCert is a certificate that is not a CA": [
    changed({ caCert: leafCertificate }),
    "caCert: must be the certificate of an authority (its basic constraint CA is false): give the proxy the CA that signed the control plane's certificate, or none",
  ],
  "caCert not PEM": [changed({ caCert: "x" }), "caCert: must be a certificate in PEM"],
  "body not JSON": [{ body: "{" }, "the body must be JSON"],
  "empty body": [{ body: "" }, "the body must be JSON"],
  "unknown proxy type": [changed({ proxyType: "x" }), 'proxyType: must be dataplane, ingress or egress, not "x"'],
  "ipFamilyMode 'dualstack'": [transparent("dualstack"), ""],
  "ipFamilyMode 'DualStack'": [transparent("DualStack"), ""],
  "ipFamilyMode 'ipv4'": [transparent("ipv4", dataplane.networking.outbound), ""],
  "ipFamilyMode 'IPv4'": [transparent("IPv4"), ""],
  "ipFamilyMode 'IPV4'": [transparent("IPV4"), ""],
  "ipFamilyMode 'x'": [
    transparent("x"),
    'dataplaneConfig.ipFamilyMode: Invalid option: expected one of "dualstack"|"ipv4"',
  ],
  "ipFamilyMode ''": [transparent(""), ""],
};

/** Kuma asks to try again: 500. */
const finalHere: Readonly<Record<string, number>> = {
  "dataplane resource not parseable": 422,
  "dataplane resource of another kind": 422,
  "caCert not PEM": 400,
  "unknown proxy type": 400,
};

/** The port's business, not the bootstrap's; and what Kuma refuses and is served here (below). */
const elsewhere: ReadonlySet<string> = new Set([
  "other path",
  "global control plane",
  "transparent proxy with outbounds",
]);

for (const recording of JSON.parse(recorded("bootstrap-errors.json"))) {
  if (elsewhere.has(recording.case)) continue;
  test(`recorded variant: ${recording.case}`, () => {
    const variant = variants[recording.case];
    assert.ok(variant);
    const [sent, ours, where] = variant;
    const { status, contentType, text } = ask(sent, where);
    assert.equal(status, finalHere[recording.case] ?? recording.status, text);
    if (status === 200) {
      assert.equal(contentType, recording.headers["content-type"]);
      return;
    }
    // Refusals without a word get one.
    if (text !== "") assert.equal(contentType, "text/plain; charset=utf-8");
    assert.equal(text, ours || recording.body);
  });
}

test("a redirected proxy may have outbounds, whichever families its machine has", () => {
  for (const families of ["dualstack", "ipv4"]) {
    const { status, text } = ask(transparent(families, dataplane.networking.outbound));
    assert.equal(status, 200, text);
  }
});

test("without accept: application/json the bootstrap comes as plain YAML", () => {
  const { text } = ask({ ...changed({}), accept: "*/*" });
  assert.equal(text, bootstrapIn(ask(changed({})).text));
});

test("while the control plane waits for its first sync, a mesh that is not known may still come: the proxy is to ask again", () => {
  const waiting = { notReady: "waiting for the first sync with global" };
  const { status, text } = ask(changed({ mesh: "nomesh" }), { ...context, ...waiting });
  assert.equal(status, 503);
  assert.equal(text, 'mesh "nomesh" is not here yet: the control plane is waiting for the first sync with global');
  assert.equal(ask(changed({}), { ...context, ...waiting }).status, 200);
});

test("a Dataplane of another zone is refused by name", () => {
  const tags = { ...dataplane.networking.inbound[0].tags, "kuma.io/zone": "zone-2" };
  const { status, text } = ask(withInbound({ tags }));
  assert.equal(status, 422);
  assert.equal(
    text,
    'networking.inbound[0].tags["kuma.io/zone"]: Dataplane "client" belongs to zone "zone-2", and this is the control plane of zone "zone-1": give the proxy the address of its own zone\'s control plane',
  );
  const own = { ...dataplane.networking.inbound[0].tags, "kuma.io/zone": "zone-1" };
  assert.equal(ask(withInbound({ tags: own })).status, 200);
  assert.equal(ask(withResource({ ...dataplane, labels: { "kuma.io/zone": "zone-2" } })).status, 422);
});

test("a ZoneIngress of another zone is refused by name", () => {
  const { request } = JSON.parse(recorded("bootstrap-zone-ingress.json"));
  const resource = { ...JSON.parse(request.dataplaneResource), zone: "zone-2" };
  const { status, text } = ask({ body: { ...request, dataplaneResource: JSON.stringify(resource) } });
  assert.equal(status, 422);
  assert.match(text, /^zone: ZoneIngress "ingress-1" belongs to zone "zone-2"/);
});

test("a resource in YAML goes on as JSON", () => {
  const yaml =
    "type: Dataplane\nmesh: default\nname: client\nnetworking: { address: 127.0.0.1, gateway: { tags: { kuma.io/service: edge } } }\n";
  const { node } = parse(bootstrapIn(ask(changed({ dataplaneResource: yaml })).text));
  assert.equal(node.cluster, "edge");
  assert.deepEqual(JSON.parse(node.metadata["dataplane.resource"]), parse(yaml));
});

const nested = `${'{"a":['.repeat(5_000)}1${"]}".repeat(5_000)}`;

test("a manifest of which YAML's parser would warn, that multiplies, or that nests without end, is refused and printed nowhere", async () => {
  const warnings: Error[] = [];
  const note = (warning: Error): number => warnings.push(warning);
  process.on("warning", note);
  const laughs = ["a: &a0 [x]", ...Array.from({ length: 9 }, (_, i) => `b${i}: &a${i + 1} [${`*a${i},`.repeat(9)}]`)];
  for (const dataplaneResource of ["%00\n---\ntype: Dataplane", laughs.join("\n"), nested])
    assert.equal(ask(changed({ dataplaneResource })).status, 422);
  await new Promise(setImmediate);
  process.off("warning", note);
  assert.deepEqual(warnings, []);
});

test("what nests in one line of YAML is refused unread: the parser takes 200 MB and most of a second for six kilobytes of it", () => {
  const deep = (count: number) => `type: Dataplane\nother: ${"[".repeat(count)}${"]".repeat(count)}\n`;
  const said = (dataplaneResource: string) => ask(changed({ dataplaneResource })).text;
  assert.match(said(deep(64)), /must be a Dataplane in JSON or YAML/);
  assert.match(said(`${"- ".repeat(64)}1`), /must be a Dataplane in JSON or YAML/);
  assert.doesNotMatch(said(deep(63)), /must be a Dataplane in JSON or YAML/);
});

test("however much of a request is wrong, it is refused in a sentence", () => {
  const wrong = [{ features: Array(100_000).fill(0) }, { dynamicMetadata: { a: 1, b: [] } }, { version: "2" }];
  for (const change of wrong) {
    const { status, text } = ask(changed(change));
    assert.equal(status, 400);
    assert.ok(text.length < 100, text);
  }
});

test("the address that the proxy used is the one that Envoy uses", () => {
  const { staticResources } = parse(bootstrapIn(ask({ ...changed({}), host: "localhost:1" }).text));
  const [cluster] = staticResources.clusters;
  assert.equal(cluster.type, "STRICT_DNS");
  assert.equal(cluster.transportSocket.typedConfig.sni, "localhost");
  assert.deepEqual(cluster.loadAssignment.endpoints[0].lbEndpoints[0].endpoint.address, {
    socketAddress: { address: "localhost", portValue: 33128 },
  });
});

test("names that YAML 1.1 reads as something else stay texts", () => {
  const { text } = ask(changed({ name: "on", workdir: "1:20", dynamicMetadata: { a: "0o7", b: "1_0", c: "~" } }));
  const { node } = parse(bootstrapIn(text), { version: "1.1" });
  assert.equal(node.id, "default.on");
  assert.equal(node.metadata.workdir, "1:20");
  assert.deepEqual(node.metadata.dynamicMetadata, { a: "0o7", b: "1_0", c: "~" });
});

test("paths of sockets are cut to what a socket can have", () => {
  const { admin } = parse(bootstrapIn(ask(changed({ workdir: `/${"x".repeat(120)}` })).text));
  assert.equal(admin.address.pipe.path, `/${"x".repeat(97)}.sock`);
});

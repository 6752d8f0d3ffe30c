// What is checked of every kind, and of the legacy kinds that are acted on.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { isActedOn, validateResource } from "#policies/kinds.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";

const service = { "kuma.io/service": "backend" };
const inbound = { port: 8080, tags: service };
const dataplane = (networking: JsonObject): JsonObject => ({
  networking: { address: "10.0.0.1", inbound: [inbound], ...networking },
});
const outbound = (one: JsonObject): JsonObject => dataplane({ outbound: [one] });
const ingress = (networking: JsonObject): JsonObject => ({ networking: { port: 10001, ...networking } });
const mtls = (backend: JsonObject): JsonObject => ({
  mtls: { backends: [{ name: "ca", type: "builtin", ...backend }] },
});
const provided = (conf: JsonObject): JsonObject => mtls({ type: "provided", conf });

interface Row {
  readonly kind: string;
  readonly spec: JsonObject;
  /** Nothing: it is taken. */
  readonly says?: string;
}
const listeners = (...all: JsonObject[]): JsonObject => ({ selectors: [{ match: service }], conf: { listeners: all } });
const http: JsonObject = { port: 80, protocol: "HTTP" };
const rows: readonly Row[] = [
  { kind: "Dataplane", spec: dataplane({}) },
  { kind: "Dataplane", spec: dataplane({ address: "backend.internal", inbound: [{ port: 80 }] }) },
  { kind: "Dataplane", spec: dataplane({ address: "fd00::1" }) },
  { kind: "Dataplane", spec: outbound({ port: 1, tags: service }) },
  { kind: "Dataplane", spec: outbound({ port: 1, backendRef: { kind: "MeshService", name: "a", port: 80 } }) },
  { kind: "Dataplane", spec: dataplane({ inbound: [], gateway: { tags: service } }) },
  { kind: "MeshGateway", spec: listeners(http, { ...http, hostname: "*.example" }, { port: 81, protocol: "TCP" }) },
  {
    kind: "MeshGateway",
    spec: { conf: { listeners: [http] } },
    says: "selectors: must have an item: the tags of the gateways it is for",
  },
  { kind: "MeshGateway", spec: listeners(), says: "conf.listeners: must have an item" },
  { kind: "MeshGateway", spec: listeners({ ...http, port: 0 }), says: "conf.listeners[0].port: is required" },
  {
    kind: "MeshGateway",
    spec: listeners({ port: 80 }),
    says: "conf.listeners[0].protocol: must be one of TCP, TLS, HTTP, HTTPS",
  },
  {
    kind: "MeshGateway",
    spec: listeners(http, { port: 80, protocol: "TCP", hostname: "a.example" }),
    says: "conf.listeners[1].protocol: must be HTTP, as of the other listener of port 80",
  },
  {
    kind: "MeshGateway",
    spec: listeners(http, { ...http, hostname: "*" }),
    says: "conf.listeners[1].hostname: must not be used twice on port 80",
  },
  {
    kind: "MeshGateway",
    spec: listeners({ ...http, hostname: "a_b" }),
    says: "conf.listeners[0].hostname: must be a DNS name, *. and a DNS name, or *",
  },
  {
    kind: "MeshGateway",
    spec: listeners({ port: 443, protocol: "HTTPS", tls: { mode: "TERMINATE" } }),
    says: "conf.listeners[0].tls.certificates: must have an item: the Secret with certificate and key",
  },
  {
    kind: "MeshGateway",
    spec: listeners({
      ...{ port: 443, protocol: "HTTPS" },
      tls: { mode: "TERMINATE", certificates: [{ secret: "a" }, { inlineString: "key" }] },
    }),
    says: "conf.listeners[0].tls.certificates[1]: must be {secret: name}: a Secret of the mesh with certificate and key",
  },
  {
    kind: "MeshGateway",
    spec: listeners({ ...http, tls: { certificates: [{ file: "/etc/key.pem" }] } }),
    says: "conf.listeners[0].tls.certificates[0]: must be {secret: name}: a Secret of the mesh with certificate and key",
  },
  {
    kind: "MeshGateway",
    spec: listeners({ port: 443, protocol: "HTTPS", tls: { mode: "PASSTHROUGH", certificates: [{ secret: "a" }] } }),
    says: "conf.listeners[0].tls.mode: must be TERMINATE with HTTPS",
  },
  {
    kind: "MeshGateway",
    spec: listeners(
      { port: 443, protocol: "TLS", hostname: "a.example", tls: { mode: "PASSTHROUGH" } },
      { port: 443, protocol: "TLS", tls: { mode: "TERMINATE", certificates: [{ secret: "a" }] } },
    ),
  },
  {
    kind: "MeshGateway",
    spec: listeners({ port: 443, protocol: "TLS", tls: { mode: "PASSTHROUGH", certificates: [{ secret: "a" }] } }),
    says: "conf.listeners[0].tls.certificates: must be left out with PASSTHROUGH: the service shows its own",
  },
  {
    kind: "MeshGateway",
    spec: listeners({ port: 443, protocol: "TLS" }),
    says: "conf.listeners[0].tls.mode: must be TERMINATE or PASSTHROUGH with TLS",
  },
  {
    kind: "MeshGateway",
    spec: listeners({ port: 80, protocol: "TCP" }, { port: 80, protocol: "TCP", hostname: "a.example" }),
    says: "conf.listeners[1].port: must be another than 80: a connection says no name that would tell two TCP listeners apart",
  },
  {
    kind: "MeshGateway",
    spec: listeners(
      { ...http, resources: { connectionLimit: 5 } },
      { ...http, hostname: "a.example", resources: { connectionLimit: 6 } },
    ),
    says: "conf.listeners[1].resources.connectionLimit: must be 5, as of the other listener of port 80, or be left out",
  },
  { kind: "Dataplane", spec: {}, says: "networking: is required" },
  { kind: "Dataplane", spec: dataplane({ address: "" }), says: "networking.address: is required" },
  {
    kind: "Dataplane",
    spec: dataplane({ address: "10.0.0.256" }),
    says: "networking.address: must be an IP address or a DNS name",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ address: "1::2::3" }),
    says: "networking.address: must be an IP address or a DNS name",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ address: "0.0.0.0" }),
    says: "networking.address: must be an address that others can reach, not 0.0.0.0",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ ...inbound, address: "backend.internal" }] }),
    says: "networking.inbound[0].address: must be an IP address",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ ...inbound, address: "0.0.0.0" }] }),
    says: "networking.inbound[0].address: must be an address that others can reach, not 0.0.0.0",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ ...inbound, serviceAddress: "localhost" }] }),
    says: "networking.inbound[0].serviceAddress: must be an IP address",
  },
  {
    kind: "Dataplane",
    spec: outbound({ port: 1, address: "localhost", tags: service }),
    says: "networking.outbound[0].address: must be an IP address",
  },
  { kind: "Dataplane", spec: outbound({ port: 1, address: "0.0.0.0", tags: service }) },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [] }),
    says: "networking.inbound: must have an item: the port at which the application is reached",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ tags: service }] }),
    says: "networking.inbound[0].port: is required",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ ...inbound, servicePort: 70000 }] }),
    says: "networking.inbound[0].servicePort: must be a port, 1 to 65535",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [inbound, inbound] }),
    says: "networking.inbound[1].port: must not be used twice: another inbound has 8080",
  },
  {
    kind: "Dataplane",
    spec: dataplane({
      inbound: [
        { ...inbound, name: "a" },
        { ...inbound, port: 2, name: "a" },
      ],
    }),
    says: "networking.inbound[1].name: must not be used twice: another inbound is called a",
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ port: 1, tags: { a: "b" } }] }),
    says: 'networking.inbound[0].tags["kuma.io/service"]: is required',
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ port: 1, tags: { ...service, a: "" } }] }),
    says: 'networking.inbound[0].tags["a"]: must be letters, digits and . - _ :, and not empty',
  },
  {
    kind: "Dataplane",
    spec: dataplane({ inbound: [{ port: 1, tags: { ...service, "kuma.io/protocol": "htpp" } }] }),
    says: 'networking.inbound[0].tags["kuma.io/protocol"]: must be one of tcp, http, http2, grpc, kafka, not htpp',
  },
  {
    kind: "Dataplane",
    spec: dataplane({ gateway: { type: "BUILTIN", tags: service } }),
    says: "networking.inbound: must be left out of a builtin gateway",
  },
  {
    kind: "Dataplane",
    spec: outbound({ port: 1, tags: {} }),
    says: 'networking.outbound[0].tags["kuma.io/service"]: is required',
  },
  {
    kind: "Dataplane",
    spec: outbound({ port: 1, tags: service, backendRef: {} }),
    says: "networking.outbound[0]: must have tags or backendRef, not both",
  },
  {
    kind: "Dataplane",
    spec: outbound({ port: 1, backendRef: { kind: "MeshService", port: 80 } }),
    says: "networking.outbound[0].backendRef: must have name or labels, not both",
  },

  { kind: "ZoneIngress", spec: ingress({}) },
  { kind: "ZoneIngress", spec: ingress({ address: "10.0.0.1", advertisedAddress: "1.2.3.4", advertisedPort: 443 }) },
  { kind: "ZoneIngress", spec: {}, says: "networking.port: is required" },
  {
    kind: "ZoneIngress",
    spec: ingress({ advertisedAddress: "1.2.3.4" }),
    says: "networking.advertisedPort: is required: an ingress is reached at advertisedAddress and advertisedPort",
  },
  {
    kind: "ZoneIngress",
    spec: ingress({ advertisedAddress: "::", advertisedPort: 1 }),
    says: "networking.advertisedAddress: must be an address that others can reach, not ::",
  },

  {
    kind: "MeshService",
    spec: {
      selector: { dataplaneTags: service },
      ports: [{ port: 80, targetPort: "main", appProtocol: "http" }, { port: 81 }],
    },
  },
  { kind: "MeshService", spec: { ports: [{ port: 0 }] }, says: "spec.ports[0].port: must be 1 or more" },
  { kind: "MeshService", spec: { ports: [{}] }, says: "spec.ports[0].port: is required" },
  {
    kind: "MeshService",
    spec: { ports: [{ port: 80 }, { port: 80, name: "web" }] },
    says: "spec.ports[1].port: must not be used twice: 80",
  },
  {
    kind: "MeshService",
    spec: { ports: [{ port: 80 }, { port: 81, name: "80" }] },
    says: "spec.ports[1].name: must not be used twice: 80",
  },
  { kind: "MeshService", spec: { state: "Up" }, says: "spec.state: must be one of Available, Unavailable" },
  {
    kind: "MeshMultiZoneService",
    spec: { selector: { meshService: { matchLabels: { a: "b" } } }, ports: [{ port: 80 }] },
  },
  {
    kind: "MeshMultiZoneService",
    spec: { selector: { meshService: {} }, ports: [] },
    says: "spec.ports: must have 1 item or more",
  },
  { kind: "MeshMultiZoneService", spec: { ports: [{ port: 80 }] }, says: "spec.selector: is required" },

  { kind: "Mesh", spec: {} },
  { kind: "Mesh", spec: { mtls: { enabledBackend: "ca", ...{ backends: [{ name: "ca", type: "builtin" }] } } } },
  { kind: "Mesh", spec: mtls({ type: "vault" }), says: "mtls.backends[0].type: must be builtin or provided" },
  { kind: "Mesh", spec: mtls({ name: "" }), says: "mtls.backends[0].name: is required" },
  {
    kind: "Mesh",
    spec: mtls({ type: "provided", conf: { cert: { secret: "c" } } }),
    says: "mtls.backends[0].conf.key: is required with type provided",
  },
  {
    kind: "Mesh",
    spec: mtls({ conf: { caCert: { expiration: "1y2d" } } }),
    says: "mtls.backends[0].conf.caCert.expiration: must be one number and one of ms s m h d w y, like 7d",
  },
  {
    kind: "Mesh",
    spec: mtls({ dpCert: { rotation: { expiration: "1 day" } } }),
    says: "mtls.backends[0].dpCert.rotation.expiration: must be one number and one of ms s m h d w y, like 7d",
  },
  {
    kind: "Mesh",
    spec: { mtls: { enabledBackend: "x", backends: [{ name: "ca", type: "builtin" }] } },
    says: "mtls.enabledBackend: must be the name of one of mtls.backends, not x",
  },
  {
    kind: "Mesh",
    spec: { mtls: { enabledBackend: "b", backends: ["a", "b"].map((name) => ({ name, type: "builtin" })) } },
  },
  {
    kind: "Mesh",
    spec: { mtls: { backends: ["a", "a"].map((name) => ({ name, type: "builtin" })) } },
    says: "mtls.backends[1].name: must not be used twice: a",
  },
  { kind: "Mesh", spec: provided({ cert: { inlineString: "PEM" }, key: { secret: "k" } }) },
  {
    kind: "Mesh",
    spec: provided({ cert: { file: "/ca.pem" }, key: { secret: "k" } }),
    says: "mtls.backends[0].conf.cert: must not be a file, which other control planes do not have: put it into a Secret",
  },
  {
    kind: "Mesh",
    spec: provided({ cert: { secret: "c" }, key: { secret: "k", inline: "YQ==" } }),
    says: "mtls.backends[0].conf.key: must have one of secret (the name of a Secret of this mesh), inline (base64), inlineString",
  },
];
for (const { kind, spec, says } of rows)
  test(says ?? `taken: ${kind} ${JSON.stringify(spec)}`, () => {
    const issues = validateResource(kindNamed(kind), written(kind, { spec }));
    assert.deepEqual(
      issues.map(({ path, message }) => `${path}: ${message}`),
      says === undefined ? [] : [says],
    );
  });

const metas = [
  { what: "a name with dots", name: "a.b-c.1" },
  { what: "a long name", name: "a".repeat(253) },
  { what: "a longer name", name: "a".repeat(254), path: "name" },
  { what: "capital letters and underscores in a name", name: "Bad_Name", path: "name" },
  { what: "no mesh", mesh: "", path: "mesh" },
  { what: "a label with a prefix", labels: { "team.example/a_b": "C.1" } },
  { what: "an empty label", labels: { a: "" } },
  { what: "a label's name with spaces", labels: { "bad key!": "a" }, path: 'labels["bad key!"]' },
  { what: "a label's value with spaces", labels: { ok: "b c" }, path: 'labels["ok"]' },
  { what: "a label's long value", labels: { ok: "a".repeat(64) }, path: 'labels["ok"]' },
];
for (const { what, path, ...meta } of metas)
  test(`${what} is ${path === undefined ? "taken" : "refused"}, of any kind`, () => {
    const issues = validateResource(kindNamed("MeshRetry"), written("MeshRetry", { spec: {}, ...meta }));
    assert.deepEqual(
      issues.map((issue) => issue.path),
      path === undefined ? [] : [path],
    );
  });

test("what is acted on: the policies built, and what proxies are made of", () => {
  const acted = (...names: string[]) => names.filter((name) => isActedOn(kindNamed(name)));
  assert.deepEqual(acted("MeshTimeout", "Dataplane", "DataplaneInsight", "MeshAccessLog", "MeshService"), [
    "MeshTimeout",
    "Dataplane",
    "DataplaneInsight",
    "MeshService",
  ]);
});

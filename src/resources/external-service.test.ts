import assert from "node:assert/strict";
import { test } from "node:test";
import { externalAddress, externalServiceIssues } from "#resources/external-service.ts";

const tags = { "kuma.io/service": "api" };
const issuesOf = (...args: Parameters<typeof externalServiceIssues>) =>
  externalServiceIssues(...args).map(({ path, message }) => `${path}: ${message}`);

test("an address is a host and a port", () => {
  assert.deepEqual(externalAddress("example.com:443"), { address: "example.com", port: 443 });
  assert.deepEqual(externalAddress("[2001:db8::1]:443"), { address: "2001:db8::1", port: 443 });
  for (const text of ["example.com", "2001:db8::1", ":443", "http://example.com:443"])
    assert.equal(externalAddress(text), undefined, text);
});

test("what is missing or wrong is named", () => {
  assert.deepEqual(issuesOf({ tags, networking: { address: "example.com:443" } }), []);
  assert.deepEqual(issuesOf({ tags: { "kuma.io/protocol": "smtp" }, networking: {} }), [
    'tags["kuma.io/service"]: is required',
    'tags["kuma.io/protocol"]: must be one of http, http2, grpc, tcp, kafka',
    "networking.address: is required, as host:port, like example.com:443",
  ]);
  assert.deepEqual(issuesOf({ tags, networking: { address: "10.0.0.1:70000" } }), [
    "networking.address: must be a port, 1 to 65535",
  ]);
  const tls = { enabled: true, caCert: { file: "/ca.pem" }, clientCert: { secret: "certificate" } };
  assert.deepEqual(issuesOf({ tags, networking: { address: "10.0.0.1:443", tls } }), [
    "networking.tls.caCert: must have one of secret (the name of a Secret of this mesh), inline (base64), inlineString",
    "networking.tls.clientKey: is required with the other half",
  ]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { validateResource } from "#policies/kinds.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";

const issues = (...appendMatch: readonly object[]) =>
  validateResource(
    kindNamed("MeshPassthrough"),
    written("MeshPassthrough", {
      spec: { default: { passthroughMode: "Matched", appendMatch: appendMatch as never } },
    }),
  ).map(({ path, message }) => `${path.replace("spec.default.appendMatch", "")}: ${message}`);

test("matches that can be told from each other", () => {
  assert.deepEqual(
    issues(
      { type: "Domain", value: "a.example", protocol: "tls" },
      { type: "Domain", value: "*.a.example", protocol: "http", port: 80 },
      { type: "Domain", value: "*", protocol: "tls" },
      { type: "IP", value: "10.0.0.1" },
      { type: "IP", value: "fd00::1", protocol: "mysql", port: 3306 },
      { type: "CIDR", value: "10.0.0.0/8", port: 9000 },
    ),
    [],
  );
});

test("others are refused, each with what to do", () => {
  for (const [match, issue] of [
    [{ type: "Domain", value: "a.example" }, /^\[0\]\.protocol: must be tls, http, http2 or grpc for a domain/],
    [{ type: "Domain", value: "*a.example", protocol: "tls" }, /^\[0\]\.value: must be a domain/],
    [
      { type: "Domain", value: "*.a.example", protocol: "http" },
      /^\[0\]\.port: is required for a domain with a wildcard/,
    ],
    [{ type: "IP", value: "10.0.0.0/8" }, /^\[0\]\.value: must be an IP address/],
    [{ type: "IP", value: "a.example" }, /^\[0\]\.value: must be an IP address/],
    [{ type: "CIDR", value: "10.0.0.1" }, /^\[0\]\.value: must be a network/],
    [{ type: "IP", value: "10.0.0.1", protocol: "mysql" }, /^\[0\]\.port: is required with protocol mysql/],
    [{ type: "IP", value: "10.0.0.1", port: 0 }, /^\[0\]\.port: must be 1 or more/],
    [{ type: "Host", value: "a" }, /^\[0\]\.type: must be one of Domain, IP, CIDR/],
  ] as const)
    assert.match(issues(match).join("\n"), issue);
  const http = { type: "Domain", value: "a.example", protocol: "http", port: 80 };
  assert.deepEqual(issues(http, http), ["[1].value: is there already, for this port and protocol: a.example"]);
  assert.deepEqual(issues(http, { ...http, protocol: "grpc" }), [
    "[1].protocol: must be http, as in another entry for this port",
  ]);
});

// What Envoy makes of the chains is shown by test/redirect.

import assert from "node:assert/strict";
import { test } from "node:test";
import { schema } from "#policies/mesh-passthrough/schema.ts";
import { matchedChains } from "#proxy/passthrough.ts";

const matched = (...appendMatch: readonly object[]) =>
  matchedChains(schema.parse({ default: { appendMatch } }).default?.appendMatch ?? [], "ipv4");
/** `port network names|kind → cluster`. */
const summary = (...appendMatch: readonly object[]): readonly string[] =>
  matched(...appendMatch).chains.map(({ match = {}, filters }) => {
    const [range] = match.prefixRanges ?? [];
    const network = range ? `${range.addressPrefix}/${range.prefixLen}` : "*";
    const kind = match.serverNames?.join() ?? match.applicationProtocols?.join() ?? match.transportProtocol ?? "any";
    const config: unknown = filters[0]?.typedConfig;
    const clusters = [...JSON.stringify(config).matchAll(/"cluster":"meshpassthrough_([^"]+)"/g)].map(
      ([, name]) => name,
    );
    return `${match.destinationPort ?? "*"} ${network} ${kind} → ${clusters.join()}`;
  });

test("each port and each network has chains with all that applies there", () => {
  assert.deepEqual(
    summary(
      { type: "Domain", value: "a.example", protocol: "tls", port: 443 },
      { type: "CIDR", value: "10.2.0.0/16" },
      { type: "IP", value: "10.2.3.4", protocol: "tls", port: 443 },
      { type: "IP", value: "fd00::1" },
    ),
    [
      "443 * a.example → tls_a.example_443",
      "443 10.2.0.0/16 a.example → tls_a.example_443",
      "443 10.2.0.0/16 any → tcp_10.2.0.0/16_*",
      "443 10.2.3.4/32 a.example → tls_a.example_443",
      "443 10.2.3.4/32 tls → tls_10.2.3.4_443",
      "443 10.2.3.4/32 any → tcp_10.2.0.0/16_*",
      "* 10.2.0.0/16 any → tcp_10.2.0.0/16_*",
    ],
  );
});

test("requests by host: others get 503, or go where all of TCP may", () => {
  const http = { type: "Domain", protocol: "http", port: 80 };
  const [first, second] = [
    { ...http, value: "a.example" },
    { ...http, value: "*.b.example" },
  ];
  assert.deepEqual(summary(first, second), ["80 * http/1.1,h2c → http_a.example_80,http_*.b.example_80"]);
  assert.deepEqual(summary(first, { type: "IP", value: "10.0.0.1", port: 80 }), [
    "80 * http/1.1,h2c → http_a.example_80",
    "80 10.0.0.1/32 http/1.1,h2c → http_a.example_80,tcp_10.0.0.1_80",
    "80 10.0.0.1/32 any → tcp_10.0.0.1_80",
  ]);
  assert.deepEqual(summary({ type: "Domain", value: "*", protocol: "tls" }), ["* * tls → tls_*_*"]);
});

test("first bytes are not waited for where nothing depends on them", () => {
  const disabled = (...matches: readonly object[]) =>
    matched(...matches).listenerFilters.map(({ filterDisabled }) => filterDisabled ?? "never");
  const at = (port: number) => ({ destinationPortRange: { start: port, end: port + 1 } });
  const tls = (port?: number) => ({ type: "Domain", value: "a.example", protocol: "tls", ...(port && { port }) });
  const mysql = { type: "IP", value: "10.0.0.1", protocol: "mysql", port: 3306 };
  const network = { type: "CIDR", value: "10.2.0.0/16" };
  // By nobody: only where the connection was to go is found out.
  assert.deepEqual(disabled(mysql), ["never"]);
  assert.deepEqual(disabled(network, mysql), ["never"]);
  const but443 = { notMatch: at(443) };
  assert.deepEqual(disabled(network, mysql, tls(443)), ["never", but443, but443]);
  const butTwo = { notMatch: { orMatch: { rules: [at(443), at(3306)] } } };
  assert.deepEqual(disabled(network, tls(443), mysql, tls(3306)), ["never", butTwo, butTwo]);
  assert.deepEqual(disabled(mysql, tls()), ["never", "never", "never"]);
});

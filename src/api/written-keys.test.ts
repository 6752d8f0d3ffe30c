// A private key that is written into a resource: shown to nobody, kept when what was shown is written back.

import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "#api/api.fixture.ts";
import type { JsonObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";

const key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n";
const clientCert = { inlineString: "-----BEGIN CERTIFICATE-----\n" };
const tags = { "kuma.io/service": "api", "kuma.io/protocol": "http" };
const external = (clientKey: object, address = "api.example.com:443") => ({
  ...{ type: "ExternalService", mesh: "default", name: "api", tags },
  networking: { address, tls: { enabled: true, clientCert, clientKey } },
});
const meshExternal = (clientKey: object, address = "api.example.com") => ({
  ...{ type: "MeshExternalService", mesh: "default", name: "api" },
  spec: {
    match: { port: 9000, protocol: "http" },
    endpoints: [{ address, port: 443 }],
    tls: { enabled: true, verification: { clientCert, clientKey } },
  },
});
const gateway = (certificate: object) => ({
  ...{ type: "MeshGateway", mesh: "default", name: "api" },
  selectors: [{ match: { "kuma.io/service": "edge" } }],
  conf: { listeners: [{ port: 443, protocol: "HTTPS", tls: { mode: "TERMINATE", certificates: [certificate] } }] },
});
const inBase64 = { inline: Buffer.from(key).toString("base64") };

for (const [plural, at, written, changed] of [
  ["external-services", "networking.tls.clientKey", external, external({ inlineString: "*****" }, "b.example.com:443")],
  [
    "meshexternalservices",
    "spec.tls.verification.clientKey",
    meshExternal,
    meshExternal({ inlineString: "*****" }, "b.example.com"),
  ],
] as const)
  test(`a key in ${plural}`, async (t) => {
    const { call, store } = await serve(t, {});
    const path = `/meshes/default/${plural}/api`;
    const put = (body: object) => call("PUT", path, { body });
    const stored = () => JSON.stringify(store.list(written({}).type).map(({ spec }) => spec));

    const early = await put(changed);
    assert.equal(early.status, 400, early.text);
    assert.match(early.text, /must be the key itself: \*{5} stands for one that is stored here/);
    assert.ok(early.text.includes(`${at}.inlineString`), early.text);

    assert.equal((await put(written({ inlineString: key }))).status, 201);
    for (const from of [path, `/meshes/default/${plural}`, `/${plural}`]) {
      const { text } = await call("GET", from);
      assert.match(text, /\*{5}/);
      assert.doesNotMatch(text, /hunter2/);
    }
    const { json: shown } = await call("GET", path);
    assert.equal((await put(shown)).status, 200);
    assert.match(stored(), /hunter2/);
    const applied = await call("POST", "/_apply", { body: [changed] });
    assert.deepEqual(
      (applied.json.resources as JsonObject[]).map(({ result }) => result),
      ["updated"],
    );
    assert.match(stored(), /hunter2/);

    assert.equal((await put(written(inBase64))).status, 200);
    const { json, text } = await call("GET", path);
    assert.ok(!text.includes(inBase64.inline));
    assert.equal((await put(json)).status, 200);
    assert.ok(stored().includes(inBase64.inline));
    // Another place than where it is stored.
    assert.equal((await put(changed)).status, 400);
  });

test("a key where its source should be is not shown either", async (t) => {
  const { call } = await serve(t, {});
  for (const [path, body] of [
    ["/meshes/default/external-services/api", external(key as never)],
    ["/meshes/default/meshexternalservices/api", meshExternal(key as never)],
    ["/meshes/default/meshgateways/api", gateway(key as never)],
    ["/meshes/default/external-services/api", external({ inlineString: [key] })],
    ["/meshes/default/external-services/api", external({ inline: key })],
    ["/meshes/default/meshexternalservices/api", meshExternal({ inlineString: [key] })],
  ] as const) {
    const { text } = await call("PUT", path, { body });
    assert.doesNotMatch(text, /hunter2/);
    assert.doesNotMatch((await call("GET", path)).text, /hunter2/);
  }
});

test("a gateway takes its key from a Secret: one that is written into it is refused and said nowhere", async (t) => {
  const { call, store } = await serve(t, { rules: { validate: validateResource } });
  const put = (certificate: object) => call("PUT", "/meshes/default/meshgateways/api", { body: gateway(certificate) });
  for (const written of [{ inlineString: key }, inBase64]) {
    const { status, text } = await put(written);
    assert.equal(status, 400, text);
    assert.match(text, /conf\.listeners\[0\]\.tls\.certificates\[0\]/);
    assert.match(text, /must be \{secret: name\}/);
    assert.ok(!text.includes("hunter2") && !text.includes(inBase64.inline), text);
  }
  assert.deepEqual(store.list("MeshGateway"), []);
  assert.equal((await put({ secret: "api" })).status, 201);
});

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { serve } from "#api/api.fixture.ts";
import { createBuiltinAuthority, providedAuthorityIssues } from "#identity/authority.ts";
import type { JsonObject } from "#lib/json.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const secret = (name: string, text: string) => ({ type: "Secret", mesh: "m", name, data: base64(text) });
const backend = (name: string, conf?: JsonObject) => ({
  name,
  type: conf ? "provided" : "builtin",
  ...(conf && { conf }),
});
const mesh = (enabledBackend: string | undefined, backends: readonly object[], labels?: Record<string, string>) => ({
  ...{ type: "Mesh", name: "m" },
  ...(labels && { labels }),
  mtls: { ...(enabledBackend && { enabledBackend }), backends },
});
const fromSecrets = backend("ca", { cert: { secret: "c" }, key: { secret: "k" } });

async function stage(t: TestContext) {
  const { call } = await serve(t, { rules: { authorityIssues: (kept) => providedAuthorityIssues(kept, Date.now()) } });
  return {
    /** What is refused, as `path: reason`; nothing: it is taken. */
    async refusals(method: string, path: string, body?: object): Promise<readonly string[]> {
      const { status, json, text } = await call(method, path, body ? { body } : {});
      if (status < 300) return [];
      const of = (json.documents as JsonObject[] | undefined)?.[0] ?? json;
      assert.ok(Array.isArray(of.invalid_parameters), text);
      return of.invalid_parameters.map((one) => `${(one as JsonObject).field}: ${(one as JsonObject).reason}`);
    },
  };
}

describe("provided authorities", () => {
  it("are taken from Secrets, and refused with the reason", async (t) => {
    const { refusals } = await stage(t);
    const [first, other] = await Promise.all([
      createBuiltinAuthority("m", Date.now()),
      createBuiltinAuthority("m", Date.now()),
    ]);
    const all = (certificate: string, privateKey: string) => [
      mesh("ca", [fromSecrets]),
      secret("c", certificate),
      secret("k", privateKey),
    ];
    const mixed = "mtls.backends[0].conf.key: must be the key of the certificate; it belongs to another one";
    assert.deepEqual(await refusals("POST", "/_apply", all(first.certificate, other.privateKey)), [mixed]);
    assert.deepEqual(await refusals("POST", "/_apply", all(first.certificate, first.privateKey)), []);
    const inline = { cert: { inlineString: first.certificate }, key: { inlineString: first.privateKey } };
    assert.deepEqual(await refusals("PUT", "/meshes/m", mesh("ca", [backend("ca", inline)])), [
      "mtls.backends[0].conf.key: must be in a Secret: a Mesh goes to every zone and is shown to all who may read meshes: put the key into a Secret",
    ]);
    const certificateInMesh = { cert: { inlineString: first.certificate }, key: { secret: "k" } };
    assert.deepEqual(
      await refusals("PUT", "/meshes/m", mesh("ca", [fromSecrets, backend("b", certificateInMesh)])),
      [],
    );
  });

  it("keep certificates and keys that belong together: both are replaced at once, and neither is deleted", async (t) => {
    const { refusals } = await stage(t);
    const [first, next] = await Promise.all([
      createBuiltinAuthority("m", Date.now()),
      createBuiltinAuthority("m", Date.now()),
    ]);
    const pair = ({ certificate, privateKey }: typeof first) => [secret("c", certificate), secret("k", privateKey)];
    assert.deepEqual(await refusals("POST", "/_apply", [mesh("ca", [fromSecrets]), ...pair(first)]), []);
    const [half] = pair(next);
    assert.deepEqual(await refusals("PUT", "/meshes/m/secrets/c", half), [
      'data: the mTLS backend "ca" of mesh "m" could not go on: key: must be the key of the certificate; it belongs to another one; replace certificate and key together, in one file, or add a backend',
    ]);
    assert.deepEqual(await refusals("POST", "/_apply", pair(next)), []);
    assert.match(
      (await refusals("DELETE", "/meshes/m/secrets/k")).join(),
      /^name: .* in use in Mesh "m" in mTLS backend "ca"/,
    );
  });
});

describe("a mesh that has mTLS", () => {
  const builtin = backend("ca");
  const refused =
    'mtls.enabledBackend: mesh "m" has mTLS, and would be plaintext without an enabled backend; to let it speak plaintext, give the Mesh the label kodiak.io/allow-plaintext: "yes"';
  const without = [
    { type: "Mesh", name: "m" },
    mesh(undefined, [builtin]),
    mesh(undefined, [], { "kodiak.io/allow-plaintext": "no" }),
  ];

  for (const way of ["PUT", "apply"])
    it(`loses it by ${way} only with the label`, async (t) => {
      const { refusals } = await stage(t);
      const send = (body: object) =>
        way === "PUT" ? refusals("PUT", "/meshes/m", body) : refusals("POST", "/_apply", [body]);
      assert.deepEqual(await send(mesh(undefined, [])), [], "one that never had it");
      assert.deepEqual(await send(mesh("ca", [builtin])), []);
      for (const body of without) assert.deepEqual(await send(body), [refused]);
      assert.deepEqual(await send(mesh("next", [builtin, backend("next")])), []);
      assert.deepEqual(await send(mesh("next", [backend("next")])), [
        'mtls.backends: "ca" must stay: it issues certificates; keep it on the list until `kodiak describe mesh m` says that it may go',
      ]);
      assert.deepEqual(await send(mesh(undefined, [], { "kodiak.io/allow-plaintext": "yes" })), []);
    });
});

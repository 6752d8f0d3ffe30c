// Token requests: what the issuer is asked for, and what is refused before it is.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { echoes, serve } from "#api/api.fixture.ts";
import { KodiakError } from "#lib/failure.ts";

const tenYearsMs = 315_360_000_000;

describe("a token request", () => {
  const taken: readonly [string, object, object][] = [
    [
      "dataplane",
      { mesh: "default" },
      { name: "", mesh: "default", tags: {}, type: "", workload: "", validForMs: tenYearsMs },
    ],
    [
      "dataplane",
      { name: "x", mesh: "m", tags: { a: ["b"] }, type: "dataplane", workload: "w", validFor: "1h", foo: 1 },
      { name: "x", mesh: "m", tags: { a: ["b"] }, type: "dataplane", workload: "w", validForMs: 3_600_000 },
    ],
    ["zone", { zone: "z", scope: ["ingress"] }, { zone: "z", scope: ["ingress"], validForMs: tenYearsMs }],
    ["join", { zone: "z" }, { zone: "z", validForMs: 3_600_000 }],
    ["zone", { scope: null, validFor: "0s" }, { zone: "", scope: [], validForMs: 0 }],
    ["user", { name: "jane", groups: ["g"], validFor: "24h" }, { name: "jane", groups: ["g"], validForMs: 86_400_000 }],
  ];
  for (const [what, body, request] of taken)
    it(`${what} ${JSON.stringify(body)}`, async (t) => {
      const { call } = await serve(t);
      const { status, type, text } = await call("POST", `/tokens/${what}`, { body });
      assert.deepEqual([status, type], [200, "text/plain"]);
      assert.deepEqual(JSON.parse(text), request);
    });

  const refused: readonly [string, object, string][] = [
    ["dataplane", { mesh: "m", validFor: "abc" }, 'validFor: is invalid: must be a duration, like 24h, not "abc"'],
    ["user", { name: "jane" }, "validFor: cannot be empty"],
  ];
  for (const [what, body, reason] of refused)
    it(`${what} ${JSON.stringify(body)} is refused`, async (t) => {
      const { call } = await serve(t);
      const { status, json } = await call("POST", `/tokens/${what}`, { body });
      const [field, message] = reason.split(/: (.*)/);
      assert.deepEqual(
        [status, json.title, json.invalid_parameters],
        [400, "Invalid request", [{ field, reason: message }]],
      );
    });

  it("that is no JSON of this form is answered without a body", async (t) => {
    const { call } = await serve(t);
    for (const body of ["{", { tags: { a: "b" } }, "[]"]) {
      const { status, text } = await call("POST", "/tokens/dataplane", { body });
      assert.deepEqual([status, text], [400, ""]);
    }
  });

  it("that the issuer refuses is answered in its words", async (t) => {
    const failing = (failure: KodiakError["failure"]) => async () => {
      throw new KodiakError(failure);
    };
    const { call } = await serve(t, {
      tokens: {
        dataplane: failing({ kind: "invalid", what: "token", issues: [{ path: "type", message: "must be one of" }] }),
        zone: failing({ kind: "not-found", what: "the signing key" }),
        join: echoes.join,
        user: echoes.user,
        stated: echoes.stated,
      },
    });
    const invalid = (await call("POST", "/tokens/dataplane", { body: {} })).json;
    assert.deepEqual(
      [invalid.title, invalid.invalid_parameters],
      ["Invalid request", [{ field: "type", reason: "must be one of" }]],
    );
    const missing = (await call("POST", "/tokens/zone", { body: {} })).json;
    assert.deepEqual(
      [missing.status, missing.title, missing.detail],
      [404, "Signing Key not found", "the signing key does not exist"],
    );
  });
});

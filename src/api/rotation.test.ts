// What becomes of a Mesh that changes its authority as it is written, over real HTTP.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { Rules } from "#api/admission.ts";
import { seed, serve } from "#api/api.fixture.ts";
import type { JsonObject } from "#lib/json.ts";

const builtin = (name: string) => ({ name, type: "builtin" });
const spec = (enabledBackend: string, ...names: string[]) => ({
  mtls: { enabledBackend, backends: names.map(builtin) },
});
const subscriptions = [{ connectTime: "2026-01-01T00:00:00Z" }];
const ended = [{ connectTime: "2026-01-01T00:00:00Z", disconnectTime: "2026-01-01T01:00:00Z" }];
const web = (issuedBackend: string) => [
  seed("Dataplane", "web", { mesh: "m", labels: { "kuma.io/zone": "zone-a" } }),
  seed("DataplaneInsight", "web", {
    mesh: "m",
    spec: { subscriptions, mTLS: { issuedBackend, supportedBackends: ["a", "b"] } },
  }),
];
const zone = (name: string, of: readonly JsonObject[]) => [
  seed("Zone", name, { mesh: "" }),
  seed("ZoneInsight", name, { mesh: "", spec: { subscriptions: [...of] } }),
];

async function stage(
  t: TestContext,
  before: JsonObject,
  seeds: readonly ReturnType<typeof seed>[],
  rules?: Partial<Rules>,
) {
  const { call } = await serve(t, {
    seeds: [seed("Mesh", "m", { mesh: "", spec: before }), ...seeds],
    ...(rules && { rules }),
  });
  return {
    /** The label that is there afterwards, or why it was refused. */
    async put(after: JsonObject, labels: Record<string, string> = {}): Promise<unknown> {
      const { status, json } = await call("PUT", "/meshes/m", { body: { type: "Mesh", name: "m", labels, ...after } });
      if (status >= 300) return (json.invalid_parameters as JsonObject[]).map(({ reason }) => reason);
      const stored = (await call("GET", "/meshes/m")).json.labels as JsonObject | undefined;
      return stored?.["kodiak.io/issuing-backend"];
    },
  };
}
const refusal = (needs: string) => [
  `"a" must stay: ${needs}; keep it on the list until \`kodiak describe mesh m\` says that it may go`,
];

describe("a Mesh that changes its authority", () => {
  it("says which one issues, whatever its file says, and however often it is applied", async (t) => {
    const { put } = await stage(t, spec("a", "a"), web("a"));
    assert.equal(await put(spec("b", "a", "b")), "a");
    assert.equal(await put(spec("b", "a", "b")), "a");
    assert.equal(await put(spec("b", "a", "b"), { "kodiak.io/issuing-backend": "b" }), "a");
    assert.equal(await put(spec("a", "a", "b"), { "kodiak.io/issuing-backend": "b" }), undefined);
  });

  it("keeps one on the list while a proxy, or a zone that is away or late, may need it", async (t) => {
    const [here, away] = [zone("zone-a", subscriptions), zone("zone-b", ended)];
    const rows: readonly [string, readonly ReturnType<typeof seed>[], Partial<Rules>, string | undefined][] = [
      ["a proxy", [...web("a"), ...here], {}, "proxies have certificates of it: web in zone-a"],
      [
        "a zone that is away",
        [...web("b"), ...here, ...away],
        {},
        "proxies of zones that are away may have some: zone-b",
      ],
      [
        "away as global knows it",
        [...web("b"), ...here],
        { isConnected: () => false },
        "proxies of zones that are away may have some: zone-a",
      ],
      [
        "a zone that is late",
        [...web("b"), ...here],
        { isAbreast: () => false },
        "zones have just come, or have not taken the Mesh as it is: zone-a",
      ],
      ["nobody", [...web("b"), ...here], { isAbreast: () => true }, undefined],
      [
        "in a zone that stands alone there is no other",
        [...web("b"), ...away],
        { place: { kind: "zone", zone: "zone-a", isFederated: false } },
        undefined,
      ],
    ];
    for (const [what, seeds, rules, needs] of rows) {
      const { put } = await stage(t, spec("b", "a", "b"), seeds, rules);
      assert.deepEqual(await put(spec("b", "b")), needs === undefined ? undefined : refusal(needs), what);
    }
  });

  it("needs none when it gives up mTLS", async (t) => {
    const { put } = await stage(t, spec("a", "a"), web("a"));
    assert.equal(await put({}, { "kodiak.io/allow-plaintext": "yes" }), undefined);
  });

  it("is not changed from one to the other at once", async (t) => {
    const { put } = await stage(t, spec("a", "a"), []);
    assert.deepEqual(await put(spec("b", "b")), refusal("it issues certificates"));
  });
});

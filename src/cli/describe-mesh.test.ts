// `kodiak describe mesh`, against a real API.

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { seed } from "#api/api.fixture.ts";
import { served } from "#cli/cli.fixture.ts";
import { createBuiltinAuthority } from "#identity/authority.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Labels } from "#resources/resource.ts";

const made = Date.UTC(2026, 0, 1);
const connectTime = new Date(made).toISOString();
const disconnectTime = new Date(made + 60_000).toISOString();
const builtin = (name: string) => ({ name, type: "builtin" });
const mesh = (mtls: JsonObject, labels: Labels = {}) => seed("Mesh", "shop", { mesh: "", spec: { mtls }, labels });
const both = { enabledBackend: "ca-2", backends: [builtin("ca-1"), builtin("ca-2")] };
const proxy = (name: string, zone: string, spec: JsonObject) => [
  seed("Dataplane", name, { mesh: "shop", labels: { "kuma.io/zone": zone } }),
  seed("DataplaneInsight", name, { mesh: "shop", spec }),
];
const holding = (issuedBackend: string, ...supportedBackends: string[]) => ({
  mTLS: { issuedBackend, supportedBackends },
});
const online = { subscriptions: [{ connectTime }] };
const offline = { subscriptions: [{ connectTime, disconnectTime }] };
const zones = [
  seed("Zone", "zone-a", { mesh: "" }),
  seed("ZoneInsight", "zone-a", { mesh: "", spec: online }),
  seed("Zone", "zone-b", { mesh: "" }),
  seed("ZoneInsight", "zone-b", { mesh: "", spec: offline }),
];

async function stage(t: TestContext, seeds: readonly ReturnType<typeof seed>[]) {
  const { certificate } = await createBuiltinAuthority("shop", made);
  const data = Buffer.from(certificate).toString("base64");
  const secret = seed("Secret", "shop.ca-builtin-cert-ca-1", { mesh: "shop", spec: { data } });
  const { run, store } = await served(t, { seeds: [...seeds, secret] });
  const changed = store.get({ kind: "Mesh", mesh: "", name: "shop" })?.modificationTime ?? "";
  return (...more: string[]) => run(["describe", "mesh", "shop", ...more], { now: Date.parse(changed) + 12 * 60_000 });
}

describe("describe mesh", () => {
  it("names who is missing and which zone is away", async (t) => {
    const run = await stage(t, [
      mesh(both, { "kodiak.io/issuing-backend": "ca-1" }),
      ...zones,
      ...proxy("web-1", "zone-a", { ...online, ...holding("ca-1", "ca-1", "ca-2") }),
      ...proxy("web-2", "zone-a", { ...online, ...holding("ca-1", "ca-1") }),
      ...proxy("idle", "zone-a", online),
    ]);
    const { code, out } = await run();
    assert.equal(code, 0);
    assert.equal(
      out.replace(/away for \d+d/, "away for …"),
      `mesh shop: mTLS strict

BACKEND   TYPE      IS        VALID UNTIL     TRUSTED BY   CERTIFICATES
ca-1      builtin   issues    2035-12-30      2 of 2       2
ca-2      builtin   enabled   not there yet   1 of 2       0

step 1 of 3, for 12m: all are given the root of ca-2; ca-1 issues until they trust it

MISSING   ZONE     STATUS   FOR
web-2     zone-a   online   12m

zone-b is away for …: it is waited for; \`kodiak zone forget zone-b\` ends that
`,
    );
  });

  it("says when an authority may go, and when nothing is to be done", async (t) => {
    const holds = proxy("web-1", "zone-a", { ...online, ...holding("ca-2", "ca-1", "ca-2") });
    const retire = await stage(t, [mesh(both), ...zones.slice(0, 2), ...holds]);
    assert.match((await retire()).out, /\n\nstep 3 of 3: nobody needs ca-1: take what is to go off mtls\.backends\n$/);
    const done = await stage(t, [mesh({ ...both, backends: [builtin("ca-2")] }), ...zones, ...holds]);
    assert.match((await done()).out, /ca-2 +builtin +enabled, issues .* 1 of 1 +1\n$/);
    const off = await stage(t, [mesh({})]);
    assert.equal((await off()).out, "mesh shop: no mTLS\n");
  });

  it("the same as JSON", async (t) => {
    const run = await stage(t, [
      mesh(both),
      ...zones,
      ...proxy("gone", "zone-b", { ...offline, ...holding("ca-1", "ca-1", "ca-2") }),
    ]);
    const { mode, step, missing, awayZones, backends } = JSON.parse((await run("-o", "json")).out);
    assert.deepEqual(
      [mode, step, missing, awayZones],
      [
        "STRICT",
        "issue",
        [{ proxy: "gone", isOnline: false, zone: "zone-b", since: disconnectTime }],
        [{ zone: "zone-b", since: disconnectTime }],
      ],
    );
    const [{ fingerprint, ...first }] = backends;
    assert.match(fingerprint, /^[0-9A-F:]{95}$/);
    assert.deepEqual(first, {
      ...builtin("ca-1"),
      ...{ notBefore: "2025-12-31T23:59:50.000Z", notAfter: "2035-12-30T00:00:00.000Z", trustedBy: 1, certificates: 1 },
      mayGo: false,
      needs: [
        "proxies have certificates of it: gone in zone-b (offline)",
        "proxies of zones that are away may have some: zone-b",
      ],
    });
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { eventually, lab, patience } from "../lab/lab.ts";
import { mesh } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";

/** Short enough to see several certificates in one test. */
const shortLived = {
  ...mesh("default"),
  mtls: {
    enabledBackend: "ca-1",
    backends: [{ name: "ca-1", type: "builtin", dpCert: { rotation: { expiration: "6s" } } }],
  },
};

test("certificates are renewed at half of their life, without a failed request", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, shortLived);
  await stage.addBackend(stage.zoneB, "backend-1", "127.0.2.2");
  await eventually("a first answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));

  const clients = new Set<string>();
  const held = new Set<string>();
  const end = Date.now() + 30_000 * patience;
  while (clients.size < 3 || held.size < 3) {
    const { status, text } = await get(stage.url);
    assert.equal(status, 200, text);
    clients.add(/Hash=([0-9a-f]+)/.exec(JSON.parse(text).headers["x-forwarded-client-cert"])?.[1] ?? "");
    const { certificates } = JSON.parse(await stage.frontend.admin("/certs"));
    for (const { cert_chain = [] } of certificates) for (const { serial_number } of cert_chain) held.add(serial_number);
    assert.ok(Date.now() < end, `${clients.size} certificates of the client were used, ${held.size} were held`);
  }
});

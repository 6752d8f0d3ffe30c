// Certificates that live for seconds are renewed many times while requests go on: nobody notices.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { eventually, type LabProxy, lab, patience } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { mesh } from "../lab/manifests.ts";
import { oneZone } from "../lab/one-zone.ts";
import { handshake, type TlsAddress } from "../lab/openssl.ts";
import { noneFailed, times } from "../lab/soak.ts";

/** Renewed at half of it. Twice the time where a machine does other things too: an expired leaf would fail requests. */
const validitySeconds = 4 * patience;
const renewals = times(3, 20);
const builtin = {
  name: "ca-1",
  type: "builtin",
  dpCert: { rotation: { expiration: `${validitySeconds}s` } },
};
const shortLived = { ...mesh("default"), mtls: { enabledBackend: "ca-1", backends: [builtin] } };

/** What its Envoy uses for new connections. */
async function serialOf(proxy: LabProxy): Promise<string> {
  const { certificates } = JSON.parse(await proxy.admin("/certs"));
  for (const { cert_chain: chain } of certificates) if (chain?.[0]) return chain[0].serial_number;
  throw new Error("Envoy has no certificate");
}

/** What a client that connects now is shown. */
async function shownAt(at: TlsAddress): Promise<X509Certificate> {
  const text = await handshake(at, ["-alpn", "kuma"]);
  const [pem] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? [];
  assert.ok(pem, text);
  return new X509Certificate(pem);
}

async function connections(proxy: LabProxy, what: string): Promise<number> {
  const text = await proxy.admin(`/stats?filter=^cluster\\.backend\\.upstream_cx_${what}$`);
  return Number(/: (\d+)/.exec(text)?.[1]);
}

test("certificates are renewed at half of their life under load; no request fails and no connection closes", async (t) => {
  const own = await lab(t);
  const stage = await oneZone(own, shortLived);
  const backend = await stage.addBackend("backend-1", "127.0.0.2");
  await eventually("a first answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const inbound = { host: backend.address, port: backend.port };
  const first = await shownAt(inbound);
  assert.equal(first.validToDate.getTime() - first.validFromDate.getTime(), validitySeconds * 1000 + 10_000);

  const calling = load(stage.url);
  own.atEnd(calling.stop);
  const opened = await connections(stage.frontend, "total");
  const closed = await connections(stage.frontend, "destroy");
  const ends = [
    { proxy: stage.frontend, serials: new Set<string>() },
    { proxy: backend, serials: new Set<string>() },
  ];
  // The renewals take longer than a life: the first certificate has expired, connections that it opened go on.
  await eventually(`${renewals} renewals at both ends`, validitySeconds * renewals * 1_600, async () => {
    for (const { proxy, serials } of ends) serials.add(await serialOf(proxy));
    for (const { serials } of ends) assert.ok(serials.size > renewals, `${serials.size} certificates`);
  });
  noneFailed(t, `certificates are renewed under load, ${renewals} times at both ends`, await calling.stop());
  assert.equal(await connections(stage.frontend, "destroy"), closed, "connections that were closed");
  assert.ok(opened > 0);

  assert.ok(first.validToDate.getTime() < Date.now());
  const now = await shownAt(inbound);
  assert.ok(now.validToDate.getTime() > Date.now(), "new connections get a certificate that holds");
});

// What an ingress and an inbound do not accept. Each refusal has beside it the nearest thing that is accepted.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createBuiltinAuthority } from "#identity/authority.ts";
import { authorityOf } from "../lab/authority.ts";
import { get } from "../lab/http.ts";
import { eventually, lab } from "../lab/lab.ts";
import { clientCertificate, handshake } from "../lab/openssl.ts";
import { twoZones } from "../lab/two-zones.ts";

test("an ingress has nothing for plain HTTP, closes TLS without SNI and an unknown SNI; an inbound refuses plaintext and foreign certificates", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const backend = await stage.addBackend(stage.zoneB, "backend-1", "127.0.2.2");
  await eventually("a first answer", 30_000, async () => assert.equal((await get(stage.url)).status, 200));

  const { ingressAt } = stage;
  const known = await handshake(ingressAt, ["-servername", "backend{mesh=default}"]);
  assert.match(known, /BEGIN CERTIFICATE/, "with a known SNI the instance's own certificate is seen");
  const plain = await get(`http://${ingressAt.host}:${ingressAt.port}/`, { host: "backend" });
  assert.deepEqual([plain.status, plain.text], [404, ""], "plain HTTP");
  for (const args of [
    ["-noservername"],
    ["-servername", "nobody{mesh=default}"],
    ["-servername", "backend{mesh=other}"],
  ]) {
    const text = await handshake(ingressAt, args);
    assert.match(text, /CONNECTED/);
    assert.match(text, /no peer certificate available/, args.join(" "));
  }

  const inbound = { host: backend.address, port: backend.port };
  const answerTo = (args: readonly string[]) =>
    handshake(inbound, [...args, "-quiet"], "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n");
  const mine = await clientCertificate(own, "default", authorityOf("default", stage.global));
  assert.match(await answerTo(mine), /HTTP\/1\.1 200/, "a certificate of this mesh");
  await assert.rejects(get(`http://${inbound.host}:${inbound.port}/`), "plaintext to an inbound");
  const foreign = (mesh: string) =>
    createBuiltinAuthority(mesh, Date.now()).then((other) => clientCertificate(own, mesh, other));
  for (const [what, args] of [
    ["no certificate", []],
    ["a certificate of another mesh", await foreign("other")],
    ["a certificate that only claims this mesh", await foreign("default")],
  ] as const) {
    assert.doesNotMatch(await answerTo(args), /HTTP\/1\.1/, what);
  }
});

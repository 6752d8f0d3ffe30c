import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { createBuiltinAuthority } from "#identity/authority.ts";
import { createIssuer } from "#identity/issuer.ts";
import { get } from "../lab/http.ts";
import { eventually, type Lab, lab } from "../lab/lab.ts";
import { twoZones } from "../lab/two-zones.ts";

/** All that `openssl s_client` printed. */
function handshake(
  at: { host: string; port: number },
  args: readonly string[],
  input = "",
): Promise<{ readonly text: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn("openssl", ["s_client", "-connect", `${at.host}:${at.port}`, "-tls1_2", ...args]);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    child.on("error", reject);
    child.on("close", () => resolve({ text }));
    child.stdin.end(input);
  });
}

/** A client certificate of `frontend` in the mesh of this name, signed by a root of its own. */
async function foreignCertificate(own: Lab, mesh: string): Promise<readonly string[]> {
  const now = Date.now();
  const issuer = createIssuer(await createBuiltinAuthority(mesh, now));
  const leaf = await issuer.issue({ mesh, services: ["frontend"], tags: { "kuma.io/service": ["frontend"] } }, now);
  const [cert, key] = [join(own.folder, `${mesh}.crt`), join(own.folder, `${mesh}.key`)];
  await writeFile(cert, leaf.chain);
  await writeFile(key, leaf.privateKey);
  return ["-cert", cert, "-key", key];
}

test("an ingress closes plain HTTP, TLS without SNI and an unknown SNI; an inbound refuses plaintext and foreign certificates", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own);
  const backend = await stage.addBackend(stage.zoneB, "backend-1", "127.0.2.2");
  await eventually("a first answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));

  const { ingressAt } = stage;
  const sni = ["-servername", "backend{mesh=default}"];
  const served = await handshake(ingressAt, sni);
  assert.match(served.text, /spiffe|BEGIN CERTIFICATE/, "with a known SNI the instance's own certificate is seen");
  await assert.rejects(get(`http://${ingressAt.host}:${ingressAt.port}/`), "plain HTTP");
  for (const args of [
    ["-noservername"],
    ["-servername", "nobody{mesh=default}"],
    ["-servername", "backend{mesh=other}"],
  ]) {
    const { text } = await handshake(ingressAt, args);
    assert.doesNotMatch(text, /BEGIN CERTIFICATE/, args.join(" "));
  }

  const inbound = { host: backend.address, port: backend.port };
  await assert.rejects(get(`http://${inbound.host}:${inbound.port}/`), "plaintext to an inbound");
  const request = "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n";
  for (const [what, args] of [
    ["no certificate", []],
    ["a certificate of another mesh", await foreignCertificate(own, "other")],
    ["a certificate that only claims this mesh", await foreignCertificate(own, "default")],
  ] as const) {
    const { text } = await handshake(inbound, [...args, "-quiet"], request);
    assert.doesNotMatch(text, /HTTP\/1\.1 200/, what);
  }
});

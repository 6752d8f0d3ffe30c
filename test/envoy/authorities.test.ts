// A mesh goes from its built-in authority to one that a user provides, an intermediate with the chain to a company's root: both are
// trusted while both are there, and no request fails on the way.

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { type Authority, createBuiltinAuthority, readAuthority } from "#identity/authority.ts";
import { authoritySigner, signedCertificate } from "#identity/certificate.ts";
import { authorityOf } from "../lab/authority.ts";
import { get } from "../lab/http.ts";
import { eventually, type LabProxy, lab, put } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { mesh } from "../lab/manifests.ts";
import { oneZone } from "../lab/one-zone.ts";
import { clientCertificate, handshake } from "../lab/openssl.ts";
import { noneFailed } from "../lab/soak.ts";

async function companyAuthority(): Promise<Authority> {
  const root = await createBuiltinAuthority("company", Date.now());
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const certificate = await signedCertificate(
    {
      subject: [["CN", "mesh default of a company"]],
      alternativeNames: [{ type: "url", value: "spiffe://default" }],
      publicKey,
      ...{ notBefore: Date.now() - 10_000, notAfter: Date.now() + 86_400_000 },
      isAuthority: true,
      pathLength: 1,
      keyUsages: ["keyCertSign"],
      extendedKeyUsages: [],
    },
    authoritySigner(root.certificate, root.privateKey),
  );
  const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return readAuthority({ what: "company", certificate: certificate + root.certificate, privateKey: key });
}

const builtin = { name: "ca-1", type: "builtin" };
const provided = { name: "company", type: "provided", conf: { cert: { secret: "cert" }, key: { secret: "key" } } };
const mtls = (enabledBackend: string, ...backends: object[]) => ({
  ...mesh("default"),
  mtls: { enabledBackend, backends },
});
const hello = "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n";

/** Of the leaf that its Envoy uses for new connections. */
async function serialOf(proxy: LabProxy): Promise<string> {
  const { certificates } = JSON.parse(await proxy.admin("/certs"));
  for (const { cert_chain: chain } of certificates) if (chain?.[0]) return chain[0].serial_number;
  throw new Error("Envoy has no certificate");
}

test("from a built-in authority to a provided one under load; who is trusted is who is listed", async (t) => {
  const own = await lab(t);
  const stage = await oneZone(own);
  const at = await stage.addBackend("backend-1", "127.0.0.2");
  const { zone } = stage;
  await eventually("a first answer", 20_000, async () => assert.equal((await get(stage.url)).status, 200));
  const company = await companyAuthority();
  const [ofBuiltin, ofCompany] = await Promise.all(
    [authorityOf("default", zone), company].map((authority) => clientCertificate(own, "default", authority)),
  );
  assert.ok(ofBuiltin && ofCompany);
  const inbound = { host: at.address, port: at.port };
  const isTaken = async (certificate: readonly string[]): Promise<boolean> =>
    /HTTP\/1\.1 200/.test(await handshake(inbound, [...certificate, "-quiet"], hello));
  const become = (what: string, builtinIs: boolean, companyIs: boolean) =>
    eventually(what, 20_000, async () => {
      assert.deepEqual([await isTaken(ofBuiltin), await isTaken(ofCompany)], [builtinIs, companyIs]);
    });
  const issuerShown = async (): Promise<string> =>
    /issuer=(.*)/.exec(await handshake(inbound, ["-alpn", "kuma"]))?.[1] ?? "";

  await become("only the first authority trusted", true, false);
  const calling = load(stage.url);
  own.atEnd(calling.stop);
  const secret = (name: string, text: string) =>
    put(zone.api, `/meshes/default/secrets/${name}`, {
      ...{ type: "Secret", mesh: "default", name },
      data: Buffer.from(text).toString("base64"),
    });
  await secret("cert", company.certificate);
  await secret("key", company.privateKey);
  await put(zone.api, "/meshes/default", mtls("ca-1", builtin, provided));
  await become("both authorities trusted", true, true);
  assert.match(await issuerShown(), /Kuma/);
  const serial = await serialOf(stage.frontend);
  await put(zone.api, "/meshes/default", mtls("company", builtin, provided));
  await eventually("a new leaf of the client's, too", 20_000, async () =>
    assert.notEqual(await serialOf(stage.frontend), serial),
  );
  await eventually("a new issuer", 20_000, async () => assert.match(await issuerShown(), /mesh default of a company/));
  const sent = calling.sent();
  await eventually("requests meanwhile", 20_000, async () => assert.ok(calling.sent() > sent + 200));
  // Refused until the zone has noted that nobody holds a certificate of the first one.
  await eventually("the first authority off the list", 20_000, () =>
    put(zone.api, "/meshes/default", mtls("company", provided)),
  );
  await become("only the company's authority trusted", false, true);
  noneFailed(t, "a mesh goes from a built-in authority to a provided one", await calling.stop());
});

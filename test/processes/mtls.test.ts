// mTLS of the mesh's built-in authority: whom an inbound lets in, and how long its certificate is valid.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { type Authority, createBuiltinAuthority, readAuthority } from "#identity/authority.ts";
import { builtinCertificateId, builtinKeyId } from "#identity/secret.ts";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, mesh } from "../lab/manifests.ts";
import { clientCertificate, handshake } from "../lab/openssl.ts";
import { apply, dataplaneToken, type Instance, processes, startInstance, startZone } from "./processes.ts";

const hourMs = 3_600_000;
/** Certificates begin to be valid a little before they are made, for clocks that are behind. */
const backdatedMs = 10_000;

const brief = {
  type: "Mesh",
  name: "brief",
  mtls: {
    enabledBackend: "ca-1",
    backends: [{ name: "ca-1", type: "builtin", dpCert: { rotation: { expiration: "2h" } } }],
  },
};

test("mTLS", async (t) => {
  const of = await processes(t);
  const zone = await startZone(of, "zone-a");
  await apply(zone, mesh("default"), allowAll("default"), mesh("other"), brief);
  const start = async (inMesh: string, address: string): Promise<Instance> => {
    const token = await dataplaneToken(zone, inMesh);
    return startInstance(of, zone, { mesh: inMesh, name: `backend-${inMesh}`, service: "backend", address }, token);
  };
  const [backend, briefBackend] = await Promise.all([start("default", "127.0.5.1"), start("brief", "127.0.5.2")]);

  await t.test("an inbound refuses plaintext and the certificates of others", async () => {
    const authorityOf = async (name: string): Promise<Authority> => {
      const [certificate = "", privateKey = ""] = await Promise.all(
        [builtinCertificateId(name, "ca-1"), builtinKeyId(name, "ca-1")].map(async (id) => {
          const answer = await fetch(`${zone.api}/meshes/${name}/secrets/${id.name}`);
          return Buffer.from(JSON.parse(await answer.text()).data, "base64").toString();
        }),
      );
      return readAuthority({ what: name, certificate, privateKey });
    };
    const hello = "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n";
    const answerTo = (args: readonly string[]) => handshake(backend.at, [...args, "-quiet"], hello);
    const mine = await clientCertificate(of, "default", await authorityOf("default"));
    await eventually("an answer to a certificate of this mesh", 10_000, async () =>
      assert.match(await answerTo(mine), /HTTP\/1\.1 200/),
    );

    await assert.rejects(
      get(`http://${backend.at.host}:${backend.at.port}/`),
      /socket hang up|ECONNRESET/,
      "plaintext",
    );
    const refused = {
      "no certificate": ["-alpn", "kuma"],
      "a certificate of mesh other": await clientCertificate(of, "other", await authorityOf("other")),
      "a name of this mesh, signed by mesh other": await clientCertificate(of, "default", await authorityOf("other")),
      "a name of this mesh, signed by a stranger": await clientCertificate(
        of,
        "default",
        await createBuiltinAuthority("default", Date.now()),
      ),
    };
    for (const [what, args] of Object.entries(refused)) {
      const text = await answerTo(args);
      assert.doesNotMatch(text, /HTTP\/1\.1/, what);
      assert.match(text, /alert/, what);
    }
  });

  await t.test("a leaf is valid for 7 days, or as long as the Mesh says", async () => {
    for (const [{ at }, validMs, uri] of [
      [backend, 7 * 24 * hourMs, "spiffe://default/backend"],
      [briefBackend, 2 * hourMs, "spiffe://brief/backend"],
    ] as const) {
      const text = await handshake(at, ["-alpn", "kuma"]);
      const [pem = ""] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/.exec(text) ?? [];
      const leaf = new X509Certificate(pem);
      assert.equal(leaf.validToDate.getTime() - leaf.validFromDate.getTime(), validMs + backdatedMs, uri);
      assert.ok(leaf.subjectAltName?.includes(`URI:${uri}`), leaf.subjectAltName);
    }
  });
});

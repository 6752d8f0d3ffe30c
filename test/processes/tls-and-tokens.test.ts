// TLS and tokens from the first start: by what clients know a control plane, and by what it knows them.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { fingerprintOf } from "#identity/pem.ts";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import {
  apply,
  type ControlPlane,
  dataplaneToken,
  joining,
  processes,
  proxyArgs,
  startGlobal,
  startIngress,
  startInstance,
  startZone,
  tokenOf,
} from "./processes.ts";

/** The three ways to say by what a control plane is known. */
const trustsIn = ({ data, ready }: ControlPlane): readonly (readonly string[])[] => [
  ["--ca-fingerprint", String(ready.fingerprint)],
  ["--ca-cert-file", join(data, "server-certificate.pem")],
  ["--tls-skip-verify"],
];
const expiryOf = (token: string): number =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).exp * 1_000;
/** Of proxies that are refused. */
const address = "127.0.6.8";

/** SHA-256 of the certificate that is shown there. */
async function shownAt(port: unknown): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", port: Number(port), rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

async function accepts(host: string, port: unknown): Promise<boolean> {
  const socket = connect({ host, port: Number(port) });
  const accepted = once(socket, "connect").then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      assert.equal(error.code, "ECONNREFUSED");
      return false;
    },
  );
  return accepted.finally(() => socket.destroy());
}

test("TLS and tokens", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  const [byFingerprint = [], byCa = [], unchecked = []] = trustsIn(global);
  const [zone, zoneB] = await Promise.all([
    startZone(of, "zone-a", await joining({ ...global, trust: byFingerprint }, "zone-a")),
    startZone(of, "zone-b", [...(await joining({ ...global, trust: byCa }, "zone-b")), "--address", "0.0.0.0"]),
    startZone(of, "zone-c", await joining({ ...global, trust: unchecked }, "zone-c")),
    apply(global, mesh("default"), mesh("other")),
  ]);

  await t.test("5678, 5682 and 5685 are TLS, with the certificate whose fingerprint is printed", async () => {
    for (const { ready, data } of [global, zone]) {
      const pem = await readFile(join(data, "server-certificate.pem"), "utf8");
      assert.equal(fingerprintOf(pem), ready.fingerprint);
      for (const port of [ready.dpPort, ready.apiHttpsPort, ready.kdsPort]) {
        if (port === undefined) continue;
        assert.equal(await shownAt(port), ready.fingerprint);
        await assert.rejects(get(`http://127.0.0.1:${port}/`), /socket hang up|ECONNRESET|Parse Error/);
      }
    }
    assert.notEqual(global.ready.fingerprint, zone.ready.fingerprint);
  });

  await t.test("5681 is plain HTTP and listens on loopback only, whatever --address says", async () => {
    const { apiPort, apiHttpsPort, dpPort } = zoneB.ready;
    assert.equal((await get(`${zoneB.api}/`)).status, 200);
    // Who listens on all addresses is also found at this one.
    const other = "127.0.0.2";
    assert.deepEqual(await Promise.all([apiPort, apiHttpsPort, dpPort].map((port) => accepts(other, port))), [
      false,
      true,
      true,
    ]);
  });

  await t.test("zones, proxies and users say by what they know a control plane", async () => {
    // Each zone has come in another way.
    await eventually("three zones online", 10_000, async () =>
      assert.match(String(await of.table("zones", "--api", global.api)), /^(zone-\w,online since \w+,?){3}$/),
    );

    const jane = ["token", "user", "--name", "jane", "--group", "mesh-system:admin", "--api", zone.api];
    const user = await of.file("user.token", await of.done(...jane));
    const url = `https://127.0.0.1:${zone.ready.apiHttpsPort}`;
    const list = (...trust: readonly string[]) =>
      of.kodiak("get", "meshes", "--api", url, "--token-file", user, ...trust);
    for (const { code, out, err } of await Promise.all(trustsIn(zone).map((trust) => list(...trust))))
      assert.match(`${code} ${err}${out}`, /^0 NAME +MTLS +AGE\ndefault +ca-1 /);

    const [ofMesh, ofName, ofService, ofIngress] = await Promise.all([
      dataplaneToken(global),
      of.done("token", "dataplane", "--name", "web-2", "--api", global.api),
      of.done("token", "dataplane", "--tag", "kuma.io/service=web", "--api", global.api),
      of.done("token", "zone", "--zone", "zone-a", "--scope", "ingress", "--api", global.api),
    ]);
    const web = (i: number, secret: string) => {
      const at = { ...zone, trust: trustsIn(zone)[i - 1] ?? [] };
      return startInstance(of, at, { name: `web-${i}`, service: "web", address: `127.0.6.${i}` }, secret);
    };
    await Promise.all([
      web(1, ofMesh),
      web(2, ofName),
      web(3, ofService),
      startIngress(of, zone, "ingress-a", "127.0.6.9", ofIngress),
    ]);

    const stranger = ["--ca-fingerprint", Array(32).fill("AB").join(":")];
    const lost = dataplane({ mesh: "default", name: "lost", service: "web", address, port: 80, appPort: 81 });
    const runLost = async (trust: readonly string[]) =>
      of.kodiak(...(await proxyArgs(of, { ...zone, trust }, lost, ofMesh)));
    const refusals = await Promise.all([list(...stranger), list(), runLost(stranger), runLost([])]);
    const [user1, user2, proxy1, proxy2] = refusals.map(({ code, err }) => `${code} ${err}`);
    const expected = `has fingerprint ${zone.ready.fingerprint}, expected AB:AB:`;
    assert.ok(user1?.startsWith("1 error: ") && user1.includes(expected), user1);
    assert.match(user2 ?? "", /^2 error: .* https needs --ca-cert-file or --ca-fingerprint/);
    assert.ok(proxy1?.startsWith("1 error: ") && proxy1.includes(expected), proxy1);
    assert.match(proxy2 ?? "", /^2 error: how is the certificate of https:.* to be checked\?/);
  });

  await t.test("a token is good for what it was made for, and nothing else", async () => {
    const [ofMesh, expired, ofOther, named, ofZoneB, forEgress, reader] = await Promise.all([
      dataplaneToken(global),
      tokenOf(global, "dataplane", { mesh: "default", validFor: "1s" }),
      dataplaneToken(global, "other"),
      tokenOf(global, "dataplane", { mesh: "default", name: "another" }),
      tokenOf(global, "zone", { zone: "zone-b", scope: ["ingress"] }),
      tokenOf(global, "zone", { scope: ["egress"] }),
      tokenOf(zone, "user", { name: "reader" }),
    ]);
    const forged = [...ofMesh.split(".").slice(0, 2), named.split(".")[2]].join(".");
    const web = (name: string) => dataplane({ mesh: "default", name, service: "web", address, port: 80, appPort: 81 });
    const ingress = (name: string) => zoneIngress(name, address, 80);
    const notSigned = (by: string) => `could not parse token: token signature is invalid: it was not signed by ${by}`;
    const ofDefault = 'Secret of name "dataplane-token-signing-key-default-1" in mesh "default"';
    const rows = [
      [web("of-other"), ofOther, notSigned(ofDefault)],
      [web("forged"), forged, notSigned(ofDefault)],
      [web("mine"), named, "proxy name from requestor: mine is different than in token: another"],
      [web("late"), expired, "could not parse token: token has invalid claims: token is expired, since "],
      [ingress("elsewhere"), ofZoneB, "zone from requestor: zone-a is different than in token: zone-b"],
      [
        ingress("at-the-exit"),
        forEgress,
        "token cannot be used to authenticate zone entity (ingress is out of token's scope",
      ],
    ] as const;
    await eventually("one of them expired", 5_000, async () => assert.ok(Date.now() > expiryOf(expired)));
    const refused = rows.map(async ([manifest, secret, why]) => {
      const { code, err } = await of.kodiak(...(await proxyArgs(of, zone, manifest, secret)));
      assert.equal(code, 1, err);
      assert.ok(err.startsWith(`error: ${zone.url} refuses this proxy: authentication failed: ${why}`), err);
    });
    const flags = ["--api", `https://127.0.0.1:${zone.ready.apiHttpsPort}`, ...zone.trust];
    const users = [
      [reader, /^error: user "reader\/.*" cannot access .*it lacks .*or the group mesh-system:admin\n$/],
      [ofMesh, /^error: .* does not accept the token: Unauthenticated: .*it was not signed by/],
    ] as const;
    const refusedUsers = users.map(async ([secret, why]) =>
      assert.match((await of.kodiak("get", "meshes", "--token", secret, ...flags)).err, why),
    );
    await Promise.all([...refused, ...refusedUsers]);
  });
});

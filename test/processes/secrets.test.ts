// Secrets are shown to nobody who does not ask for them: not in logs, settings, metrics, tables, refusals or files.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { freePort } from "#host/free-port.ts";
import { isObject } from "#lib/json.ts";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, usualMesh } from "../lab/manifests.ts";
import {
  apply,
  type ControlPlane,
  dataplaneToken,
  joining,
  processes,
  startGlobal,
  startInstance,
  startZone,
  tokenOf,
} from "./processes.ts";

/** A text in the forms in which it could be shown; of PEM one line in the middle says enough. */
function formsOf(text: string): readonly string[] {
  const lines = text.split("\n").filter((line) => line.length > 40);
  const plain = text.includes("PRIVATE KEY") ? (lines[Math.floor(lines.length / 2)] ?? "") : text;
  return [plain, Buffer.from(text).toString("base64").slice(0, -4)];
}

/** All that is in Secrets and GlobalSecrets there, asked for as an administrator. */
async function secretsAt({ api }: ControlPlane): Promise<readonly string[]> {
  const lists = await Promise.all(
    ["/secrets", "/global-secrets"].map(
      async (list): Promise<unknown> => JSON.parse((await get(`${api}${list}?size=1000`)).text).items,
    ),
  );
  return lists.flat().map((item) => {
    assert.ok(isObject(item) && typeof item.data === "string");
    return Buffer.from(item.data, "base64").toString();
  });
}

test("secrets", async (t) => {
  const storeKey = randomBytes(32).toString("base64");
  process.env.KODIAK_STORE_KEYS = `first ${storeKey}`;
  process.env.KODIAK_LOG_LEVEL = "debug";
  const of = await processes(t);
  const global = await startGlobal(of);
  const zone = await startZone(of, "zone-a", await joining(global, "zone-a"));
  const marker = "hunter2-of-the-mesh";
  const data = Buffer.from(marker).toString("base64");
  const secret = { type: "Secret", mesh: "default", name: "password", data };
  const client = await certificateFor(["the-mesh"]);
  const clientKey = { inlineString: client.privateKey };
  const external = {
    ...{ type: "ExternalService", mesh: "default", name: "api", tags: { "kuma.io/service": "api" } },
    networking: {
      address: "127.0.7.9:443",
      tls: { enabled: true, clientCert: { inlineString: client.certificate }, clientKey },
    },
  };
  await apply(global, usualMesh("default"), allowAll("default"), secret, external);
  const [token, user] = await Promise.all([dataplaneToken(global), tokenOf(global, "user", { name: "jane" })]);
  const outbounds = { [await freePort()]: "api" };
  const web = await startInstance(of, zone, { name: "web-1", service: "web", address: "127.0.7.1", outbounds }, token);
  await eventually("the secret in the zone", 10_000, async () => assert.ok((await secretsAt(zone)).includes(marker)));

  const wrongTls = { ...external.networking.tls, clientKey: client.privateKey };
  const wrongExternal = { ...external, name: "wrong", networking: { ...external.networking, tls: wrongTls } };
  const wrongs: readonly (readonly [string, string])[] = [
    ["/meshes/default/secrets/wrong", `{"type":"Secret","mesh":"default","name":"wrong","data":"${data}`],
    ["/meshes/default/secrets/wrong", JSON.stringify({ ...secret, name: "wrong", data: `${marker}!` })],
    ["/meshes/default/secrets/wrong", JSON.stringify({ ...secret, name: "wrong", data: { is: marker } })],
    ["/meshes/none/secrets/wrong", JSON.stringify({ ...secret, mesh: "none" })],
    ["/global-secrets/wrong", marker],
    ["/meshes/default/external-services/wrong", JSON.stringify(wrongExternal)],
    ["/meshes/default/secrets/password", JSON.stringify({ ...secret, type: "Mesh" })],
  ];
  const headers = { "content-type": "application/json" };
  const refusals = await Promise.all(
    wrongs.map(async ([path, body]) => {
      const answer = await fetch(global.api + path, { method: "PUT", headers, body });
      return { status: answer.status, text: await answer.text() };
    }),
  );
  assert.deepEqual([...new Set(refusals.map(({ status }) => Math.floor(status / 100)))], [4], JSON.stringify(refusals));
  const file = await of.file("broken.yaml", `type: Secret\nmesh: default\nname: broken\ndata: "${data}\n  : ]`);
  const wrongFile = await of.file("wrong.yaml", { ...secret, name: "wrong", data: `${marker}!` });
  const ended = await Promise.all([file, wrongFile].map((path) => of.kodiak("apply", "-f", path, "--api", global.api)));
  for (const { code, err } of ended) assert.equal(code === 0, false, err);

  const isPublic = (text: string) => text.startsWith("-----BEGIN CERTIFICATE");
  const hidden = [
    marker,
    client.privateKey,
    storeKey,
    token,
    user,
    ...(await secretsAt(global)),
    ...(await secretsAt(zone)),
  ]
    .filter((text) => !isPublic(text))
    .flatMap(formsOf);
  assert.ok(hidden.length > 20);
  const nothingIn = (what: string, shown: string | Buffer) => {
    assert.ok(shown.length > 0, what);
    const found = hidden.filter((text) => shown.includes(text));
    assert.deepEqual(found, [], what);
  };

  await t.test("are shown to an administrator who asks for them", async () => {
    const shown = await of.done("get", "secret", "password", "-o", "yaml", "--api", global.api);
    assert.throws(() => nothingIn("get secret", shown));
  });

  await t.test("are in no refusal of what should have become one", () => {
    for (const { text } of refusals) nothingIn("a refusal", text);
    for (const { err } of ended) nothingIn("kodiak apply", err);
  });

  await t.test("are in no table, and in none of the rest that can be read", async () => {
    for (const noun of ["secrets", "globalsecrets", "meshes", "zones", "dataplanes"])
      nothingIn(noun, await of.done("get", noun, "--api", global.api));
    for (const at of [global, zone])
      nothingIn("external services", await of.done("get", "externalservices", "-o", "yaml", "--api", at.api));
    for (const { api, ready } of [global, zone]) {
      for (const path of ["/config", "/meshes", "/_resources", "/zones", "/dataplanes/_overview", "/mesh-insights"])
        nothingIn(path, (await get(api + path)).text);
      nothingIn("metrics", (await get(`http://127.0.0.1:${ready.diagnosticsPort}/metrics`)).text);
      assert.match((await get(`${api}/config`)).text, /"store-keys": ?"\*{5}"/);
    }
    // Over a socket of its owner; the token with which it comes to its control plane is in its bootstrap.
    const dump = await eventually("the way outside in Envoy's dump", 10_000, async () => {
      const all = await web.admin("/config_dump");
      assert.match(all, /127\.0\.7\.9/);
      return all;
    });
    assert.match(dump, /BEGIN CERTIFICATE|inline_bytes/);
    nothingIn("Envoy's dump", dump.replaceAll(token, ""));
  });

  await t.test("are in no log, though it is one of level debug", async () => {
    assert.match((await get(`${zone.api}/config`)).text, /"log-level": ?"debug"/);
    for (const name of ["global", "zone-a", "web-1"]) {
      const log = await readFile(join(of.folder, `${name}.log`));
      nothingIn(name, log);
    }
  });

  await t.test("are in no file of a control plane, but for the token that is there for its administrator", async () => {
    for (const { data } of [global, zone])
      for (const name of await readdir(data)) {
        const content = await readFile(join(data, name));
        if (name === "admin-user-token") assert.equal((await stat(join(data, name))).mode & 0o777, 0o600);
        else if (content.length > 0) nothingIn(name, content);
      }
  });
});

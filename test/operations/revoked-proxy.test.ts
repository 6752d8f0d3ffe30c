// A proxy whose token is not taken any more loses its stream at once, with the sentence, and what it brought; the others go on.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { grpcCode } from "#host/world.ts";
import { createSigningKey, dataplaneTokenKeys, readSigningKey } from "#identity/signing-key.ts";
import { issueDataplaneToken, issueZoneToken } from "#identity/tokens.ts";
import { isOnline } from "#owned/online.ts";
import { recordingLog } from "../agent/recording-log.ts";
import { eventually, lab, put, remove, startZone } from "../lab/lab.ts";
import { allowAll, dataplane, mesh, zoneIngress } from "../lab/manifests.ts";
import { startFakeProxy } from "./fake-proxy.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const { prefix, revocations } = dataplaneTokenKeys("default");

async function stage(t: TestContext) {
  const log = recordingLog();
  const of = await lab(t, log);
  const zone = await startZone(of, "zone-a");
  await put(zone.api, "/meshes/default", mesh("default"));
  await zone.tokenFor("default");
  const keys = new Map<string, string>();
  const addKey = async (kid: string): Promise<void> => {
    keys.set(kid, await createSigningKey());
    const name = `${prefix}-${kid}`;
    const data = base64(keys.get(kid)!);
    await put(zone.api, `/meshes/default/secrets/${name}`, { type: "Secret", mesh: "default", name, data });
  };
  const keyOf = (kid: string) => {
    const read = readSigningKey(Buffer.from(keys.get(kid)!));
    assert.ok(read.ok);
    return { kid, privateKey: read.key };
  };
  await addKey("2");
  let port = 80;
  const manifest = (name: string, service: string) =>
    dataplane({ mesh: "default", name, service, address: "127.0.9.1", port: ++port, appPort: 80 });
  return {
    ...{ of, zone, log, keyOf, addKey, manifest },
    tokenOf: (tokenId: string, kid = "2", tags: Record<string, string[]> = {}) =>
      issueDataplaneToken({ name: "", mesh: "default", tags, type: "dataplane", workload: "" }, keyOf(kid), {
        ...{ tokenId, now: of.world.clock.now(), validForMs: 3_600_000 },
      }),
    start: (name: string, token: string) => startFakeProxy(of, zone, manifest(name, "web"), token),
    revoke: (list: string, ...ids: readonly string[]) =>
      put(zone.api, `/global-secrets/${list}`, { type: "GlobalSecret", name: list, data: base64(ids.join(",")) }),
    dataplanes: () =>
      zone.store
        .list("Dataplane")
        .map(({ name }) => name)
        .sort(),
    /** Who was refused while it was connected, and for what. */
    records() {
      const logged = log.lines
        .filter(({ message, fields }) => message === "refused a proxy" && fields.at === "connected")
        .map(({ fields }) => `${fields.proxy} ${fields.cause}`);
      const audited = zone.refused
        .filter(({ verb }) => verb === "connected")
        .map(({ who, what }) => `${"proxy" in who && who.proxy} ${what.cause}`);
      assert.deepEqual(audited, logged);
      return logged.sort();
    },
  };
}

const refusedAs = (why: string, whom: string) => ({
  code: grpcCode.unknown,
  message: `authentication failed: ${why}; give ${whom} makes for it`,
});
const forWeb = (name: string) => `Dataplane "${name}" in mesh "default" a token that \`kodiak token dataplane\``;

test("a token that is revoked", async (t) => {
  const { zone, tokenOf, start, revoke, dataplanes, records } = await stage(t);
  const own = await start("web-1", await tokenOf("first"));
  const other = await start("web-2", await tokenOf("second"));
  await revoke(revocations.name, "elsewhere", "first");
  assert.deepEqual(await own.ended, refusedAs("token is revoked", forWeb("web-1")));
  await eventually("without what it brought", 5_000, async () => assert.deepEqual(dataplanes(), ["web-2"]));
  await eventually("not online", 5_000, async () =>
    assert.ok(!isOnline(zone.store.get({ kind: "DataplaneInsight", mesh: "default", name: "web-1" }))),
  );

  // Who shows it under the name of another takes nothing from that one.
  for (const name of ["web-1", "web-2"]) await assert.rejects(start(name, await tokenOf("first")), /lost its stream/);

  // The other hears of what is changed later, on the stream that it has.
  const before = other.received.length;
  await start("web-3", await tokenOf("third"));
  await put(zone.api, "/meshes/default/meshtrafficpermissions/allow-all", allowAll("default"));
  await other.until("a change", () => other.received.length > before);
  assert.deepEqual(records(), ["default/web-1 revoked"]);
});

test("a signing key that is removed, when most proxies have tokens of it", async (t) => {
  const { zone, addKey, tokenOf, start, dataplanes, records } = await stage(t);
  const old = await Promise.all(["a", "b", "c", "d"].map(async (name) => start(name, await tokenOf(name))));
  await addKey("3");
  await start("e", await tokenOf("e", "3"));
  await remove(zone.api, `/meshes/default/secrets/${prefix}-2`);
  const why = `there is no signing key with KID 2. Secret of name "${prefix}-2" in mesh "default" is not found. If signing key was rotated, regenerate the token`;
  for (const [i, proxy] of old.entries()) assert.deepEqual(await proxy.ended, refusedAs(why, forWeb("abcd".charAt(i))));
  // It is no loss of many at once, from which nothing would be concluded.
  await eventually("without what they brought", 5_000, async () => assert.deepEqual(dataplanes(), ["e"]));
  await start("f", await tokenOf("f", "3"));
  assert.deepEqual(dataplanes(), ["e", "f"]);
  assert.deepEqual(
    records(),
    ["a", "b", "c", "d"].map((name) => `default/${name} key`),
  );
});

test("tags that a user gives to a Dataplane, and its token does not allow", async (t) => {
  const { of, zone, tokenOf, manifest, records } = await stage(t);
  const write = (service: string) => put(zone.api, "/meshes/default/dataplanes/web-1", manifest("web-1", service));
  await write("web");
  const token = await tokenOf("first", "2", { "kuma.io/service": ["web", "api"] });
  const start = () => startFakeProxy(of, zone, { mesh: "default", name: "web-1" }, token);
  const own = await start();
  await write("api");
  await write("db");
  const lists = 'Allowed values in token are ["web", "api"], the dataplane has ["db"]';
  const why = `dataplane contains tag "kuma.io/service" with value "db" which is not allowed with this token. ${lists}`;
  assert.deepEqual(await own.ended, refusedAs(why, forWeb("web-1")));
  const id = { kind: "Dataplane", mesh: "default", name: "web-1" };
  await eventually("noted, for the next start", 5_000, async () =>
    assert.equal(zone.store.note("refused Dataplane default/web-1"), "its token is not taken any more"),
  );
  // What the user wrote is the user's.
  assert.ok(zone.store.get(id));
  await assert.rejects(start(), /lost its stream/);
  await write("api");
  await start();
  assert.equal(zone.store.note("refused Dataplane default/web-1"), undefined);
  assert.deepEqual(records(), ["default/web-1 tags"]);
});

test("a zone token that is revoked", async (t) => {
  const { of, zone, revoke, records } = await stage(t);
  const secret = zone.store.get({ kind: "GlobalSecret", mesh: "", name: "zone-token-signing-key-1" });
  const read = readSigningKey(Buffer.from(String(Reflect.get(Object(secret?.spec), "data")), "base64"));
  assert.ok(read.ok);
  const issuance = { tokenId: "of-ingresses", now: of.world.clock.now(), validForMs: 3_600_000 };
  const claims = { zone: "zone-a", scope: ["ingress"] };
  const token = await issueZoneToken(claims, { kid: "1", privateKey: read.key }, issuance);
  const own = await startFakeProxy(of, zone, zoneIngress("in-1", "127.0.9.2", 80), token);
  await revoke("zone-token-revocations", "of-ingresses");
  const whom = 'ZoneIngress "in-1" a token that `kodiak token zone --scope ingress`';
  assert.deepEqual(await own.ended, refusedAs("token is revoked", whom));
  await eventually("without what it brought", 5_000, async () => assert.deepEqual(zone.store.list("ZoneIngress"), []));
  assert.deepEqual(records(), ["in-1 revoked"]);
});

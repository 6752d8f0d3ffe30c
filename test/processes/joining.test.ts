// How a zone comes to be let in, and how it is shut out: each control plane a process of its own, each command as users give it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "../lab/lab.ts";
import { type ControlPlane, processes, startGlobal, startZone } from "./processes.ts";

test("joining with a token, and being shut out", async (t) => {
  const of = await processes(t);
  const global = await startGlobal(of);
  const at = ["--global", `grpcs://127.0.0.1:${global.ready.kdsPort}`, ...global.trust];
  const tokenFor = async (zone: string, ...more: readonly string[]) =>
    of.file(`${zone}.token`, await of.done("token", "join", "--zone", zone, ...more, "--api", global.api));
  const zoneRow = async (name: string) =>
    (await of.table("zones", "--api", global.api)).find(([found]) => found === name)?.join(" ");
  const isOnline = (name: string) =>
    eventually(`${name} online`, 20_000, async () => assert.match((await zoneRow(name)) ?? "", /online/));
  const whyNot = async ({ child }: ControlPlane) => (await child.said(/^no connection to global/)).why;

  let zone: ControlPlane;
  const first = await tokenFor("zone-a");
  await t.test("a zone with a token is let in", async () => {
    zone = await startZone(of, "zone-a", [...at, "--join-token-file", first]);
    await isOnline("zone-a");
  });

  await t.test("started again it shows its certificate: the token is not needed", async () => {
    await zone.child.end();
    zone = await startZone(of, "zone-a", at);
    await zone.child.said(/^connected to global/);
  });

  await t.test("another that has the token, or asks for another name, or comes too late, is refused", async () => {
    const elsewhere = ["--store", "memory"];
    const late = await tokenFor("zone-c", "--valid-for", "1s");
    const cases = [
      ["zone-a", first, /^the join token was used before, at \S+; make another with /],
      ["zone-b", first, /^the join token is for zone "zone-a", not for zone "zone-b"; make another with /],
      ["zone-c", late, /^the join token is not taken: .*: token is expired, since \S+; make another with /],
    ] as const;
    for (const [name, token, why] of cases) {
      const thief = await startZone(of, name, [...at, "--join-token-file", token, ...elsewhere]);
      assert.match(String(await whyNot(thief)), why);
      await thief.child.end();
    }
    await zone.child.said(/^connected to global/);
  });

  await t.test("one whose certificates are revoked is cut off at once, and stays out until it joins anew", async () => {
    const said = zone.child.said(/^no connection to global/);
    await of.done("zone", "revoke", "zone-a", "--api", global.api);
    assert.equal((await said).why, 'the certificate of zone "zone-a" was revoked');
    await global.child.said(/^refused a zone/);
    await zone.child.end();
    const again = await tokenFor("zone-a");
    zone = await startZone(of, "zone-a", [...at, "--join-token-file", again]);
    await isOnline("zone-a");
  });

  await t.test("one that is forgotten is gone, with all that it sent", async () => {
    const told = await of.done("zone", "forget", "zone-a", "--api", global.api);
    assert.match(told, /the authorities in its store stay good .* give each of these meshes another authority/);
    assert.equal(await zoneRow("zone-a"), undefined);
    await zone.child.said(/^no connection to global/);
    assert.equal(await zoneRow("zone-a"), undefined);
  });

  await t.test("a zone that does not exist can't be shut out", async () => {
    const { code, err } = await of.kodiak("zone", "revoke", "zone-z", "--api", global.api);
    assert.equal(code, 1);
    assert.match(err, /zone "zone-z" does not exist; `kodiak get zones` lists what there is/);
  });
});

// P6: nothing stalls silently: what is behind is shown, with how far, since when and why. What a link holds: P2.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { type TestContext, test } from "node:test";
import { kodiak, served } from "#cli/cli.fixture.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { resource, startGlobal, startZone, type TestGlobal } from "../kds/control-planes.ts";
import { eventually, lab, put, startGlobal as startLabGlobal, startZone as startLabZone } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { startFakeProxy } from "../operations/fake-proxy.ts";
import { handMadeZone } from "./hand-made-zone.ts";

const timeout = (name: string) =>
  resource("MeshTimeout", name, { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "5s" } }] });

/** `kodiak get zones`, until it says so. */
async function shows(t: TestContext, { server: { links } }: TestGlobal, ...lines: readonly RegExp[]): Promise<void> {
  const { run } = await served(t, { links });
  await eventually("`kodiak get zones`", 10_000, async () => {
    const { out } = await run(["get", "zones"]);
    for (const line of lines) assert.match(out, line);
  });
}

const hasNothingBehind = ({ server }: TestGlobal): Promise<void> =>
  eventually("nothing is behind", 5_000, async () => {
    const all = server.links.list().map(({ behind }) => behind);
    assert.deepEqual(all, [undefined]);
  });

/** And has said so. */
const hasAll = ({ changed, statuses, store }: TestGlobal): Promise<void> =>
  changed.until(
    () => statuses.get("a")?.subscriptions.at(-1)?.reached === store.revision,
    () => "zone a has all that global has",
  );

test("refused: which objects, since when and why", async (t) => {
  const global = await startGlobal(t);
  await global.put(timeout("good"), timeout("bad"));
  const issues = [{ path: "spec", message: "is not for me" }];
  const validate = ({ name }: { readonly name: string }) => (name.startsWith("bad-") ? issues : []);
  const zone = startZone(t, "a", global.target, { validate });
  await zone.changed.until(
    () => zone.store.list("MeshTimeout").length === 1,
    () => "the good one",
  );
  await shows(
    t,
    global,
    /^a .* 1$/m,
    /^ {2}MeshTimeout "bad-\w+" in mesh "default" by a for \w+: spec: is not for me$/m,
  );
});

test("not answering: how many objects wait, and since when", async (t) => {
  const global = await startGlobal(t);
  await global.put(timeout("one"), timeout("two"), timeout("three"));
  const zone = handMadeZone(t, global, "a");
  const response = await zone.ask("MeshTimeout");
  await shows(t, global, /^a .* 3 objects for \w+, not answering$/m);
  zone.answer(response);
  await hasNothingBehind(global);
});

test("not reading: how many objects wait, and since when", async (t) => {
  const global = await startGlobal(t);
  const relay = await relayTo(global.target.port);
  t.after(relay.close);
  const zone = startZone(t, "a", { ...global.target, port: relay.port });
  await hasAll(global);
  relay.hold();
  // More than fits into its window, however it is compressed.
  const large = Array.from({ length: 100 }, (_, i) =>
    resource("MeshTimeout", `t${i}`, { filler: randomBytes(40_000).toString("base64") }),
  );
  await global.put(...large);
  await shows(t, global, /^a .* 100 objects for \w+, not reading$/m);
  relay.release();
  await hasAll(global);
  assert.equal(zone.store.list("MeshTimeout").length, 100);
  await hasNothingBehind(global);
});

test("away: how many objects have changed meanwhile, and since when", async (t) => {
  const global = await startGlobal(t);
  await global.put(timeout("one"));
  const zone = startZone(t, "a", global.target);
  await zone.changed.until(
    () => zone.store.list("MeshTimeout").length === 1,
    () => "it",
  );
  await global.changed.until(
    () => global.statuses.get("a")?.subscriptions.at(-1)?.counters.MeshTimeout?.acknowledged === 1,
    () => "its answer",
  );
  zone.stop();
  await global.changed.until(
    () => global.statuses.get("a")?.subscriptions.at(-1)?.disconnectedAt !== undefined,
    () => "it is away",
  );
  await global.put(timeout("two"), timeout("three"));
  await shows(t, global, /^a .* 2 objects for \w+, away$/m);
});

/** A proxy that uses so many services, behind a relay. */
async function proxyBehindRelay(t: TestContext, services: number) {
  const of = await lab(t);
  const zone = await startLabZone(of, "zone-a");
  await put(zone.api, "/meshes/default", { type: "Mesh", name: "default" });
  await put(zone.api, "/meshes/default/dataplanes/all", {
    ...{ type: "Dataplane", mesh: "default", name: "all" },
    networking: {
      address: "127.0.9.2",
      inbound: Array.from({ length: services }, (_, i) => ({
        port: 1 + i,
        tags: { "kuma.io/service": `s-${i}` },
      })),
    },
  });
  const relay = await relayTo(zone.dpPort);
  of.atEnd(relay.close);
  const outbounds = Object.fromEntries(Array.from({ length: services }, (_, i) => [9000 + i, `s-${i}`]));
  const web = (port: number) =>
    dataplane({ mesh: "default", name: "web", service: "web", address: "127.0.9.1", appPort: 81, port, outbounds });
  await startFakeProxy(of, zone, web(80), await zone.tokenFor("default"), relay.port);
  const said = async () => (await kodiak(["get", "dataplanes", "--api", zone.api])).out;
  return {
    ...{ zone, relay, web },
    says: (line: RegExp) => eventually("`kodiak get dataplanes`", 15_000, async () => assert.match(await said(), line)),
    hasCaughtUp: () => eventually("it has", 15_000, async () => assert.doesNotMatch(await said(), /BEHIND/)),
  };
}

test("a proxy that does not answer: how many objects wait, and since when", async (t) => {
  const { zone, relay, web, says, hasCaughtUp } = await proxyBehindRelay(t, 1);
  relay.hold();
  await put(zone.api, "/meshes/default/dataplanes/web", web(88));
  await says(/^default +web .* \d objects? for \w+, not answering$/m);
  relay.release();
  await hasCaughtUp();
});

test("a proxy that does not read: how many objects wait, and since when", async (t) => {
  const { zone, relay, says, hasCaughtUp } = await proxyBehindRelay(t, 600);
  relay.hold();
  // All clusters in one response, which is more than fits into its window.
  await put(zone.api, "/meshes/default/meshtimeouts/all", {
    ...{ type: "MeshTimeout", mesh: "default", name: "all" },
    spec: { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "7s" } }] },
  });
  await says(/^default +web .* \d{3,} objects for \w+, not reading$/m);
  relay.release();
  await hasCaughtUp();
});

test("frozen: which zone concludes nothing of its proxies, and since when, on global and in the zone", async (t) => {
  const of = await lab(t);
  const global = await startLabGlobal(of);
  await put(global.api, "/meshes/default", { type: "Mesh", name: "default" });
  const zone = await startLabZone(of, "zone-a", global);
  const token = await zone.tokenFor("default");
  await eventually("the mesh", 10_000, async () =>
    assert.ok(zone.store.get({ kind: "Mesh", mesh: "", name: "default" })),
  );
  const relay = await relayTo(zone.dpPort);
  of.atEnd(relay.close);
  const start = (name: string, address: string) =>
    startFakeProxy(
      of,
      zone,
      dataplane({ mesh: "default", name, service: "web", address, port: 80, appPort: 81 }),
      token,
      relay.port,
    );
  const startAll = () => Promise.all([1, 2, 3].map((i) => start(`web-${i}`, `127.0.9.${i}`)));
  const says = (api: string, ...lines: readonly RegExp[]) =>
    eventually("`kodiak get zones`", 15_000, async () => {
      const { out } = await kodiak(["get", "zones", "--api", api]);
      for (const line of lines) assert.match(out, line);
    });
  await startAll();
  await says(global.api, /^zone-a +online since \w+$/m);
  relay.cut();
  await says(global.api, /^NAME .* FROZEN$/m, /^zone-a .* for \w+$/m, /^zone-a: frozen for \w+: .* traffic goes on$/m);
  await says(zone.api, /^this zone: frozen for \w+: /m);
  await startAll();
  await says(global.api, /^zone-a +online since \w+$/m);
  await says(zone.api, /^global +online since \w+\n$/m);
});

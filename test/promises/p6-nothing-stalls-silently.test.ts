// P6: nothing stalls silently: what is behind is shown, with how far, since when and why. What a link holds: P2.

import assert from "node:assert/strict";
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
  await eventually("nothing is behind", 5_000, async () => {
    assert.deepEqual(
      global.server.links.list().map(({ behind }) => behind),
      [undefined],
    );
  });
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

test("a proxy that does not read: how many objects wait, and since when", async (t) => {
  const of = await lab(t);
  const zone = await startLabZone(of, "zone-a");
  await put(zone.api, "/meshes/default", { type: "Mesh", name: "default" });
  const relay = await relayTo(zone.dpPort);
  of.atEnd(relay.close);
  const web = { mesh: "default", name: "web", service: "web", address: "127.0.9.1", appPort: 81 };
  await startFakeProxy(of, zone, dataplane({ ...web, port: 80 }), await zone.tokenFor("default"), relay.port);
  relay.hold();
  await put(zone.api, "/meshes/default/dataplanes/web", dataplane({ ...web, port: 88 }));
  await eventually("`kodiak get dataplanes`", 15_000, async () => {
    const { out } = await kodiak(["get", "dataplanes", "--api", zone.api]);
    assert.match(out, /^default +web .* \d objects? for \w+, not (answering|reading)$/m);
  });
  relay.release();
  await eventually("it has caught up", 15_000, async () => {
    const { out } = await kodiak(["get", "dataplanes", "--api", zone.api]);
    assert.doesNotMatch(out, /BEHIND/);
  });
});

test("frozen: which zone concludes nothing of its proxies, and since when, on global and in the zone", async (t) => {
  const of = await lab(t);
  const global = await startLabGlobal(of, ["zone-a"]);
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

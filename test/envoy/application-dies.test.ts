// Applications that die and come back while their Envoys live: HDS with `serviceProbe`, on real Envoys.

import assert from "node:assert/strict";
import { test } from "node:test";
import { asDataplane } from "#resources/dataplane.ts";
import { startApp } from "../lab/http.ts";
import { eventually, type LabZone, lab, patience } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh } from "../lab/manifests.ts";
import { mostFailed } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";
import { answeredBy } from "../promises/stage.ts";

const probe = { interval: "0.5s", timeout: "2s", tcp: {} };
/** Interval × unhealthyThreshold + timeout. */
const probeMs = 2_500;
const clients = 4;
const inFlight = "what was under way there is lost with it, one for each client";

const stateIn = ({ store }: LabZone, name: string): string | undefined => {
  const stored = store.get({ kind: "Dataplane", mesh: "default", name });
  return stored && (asDataplane(stored).spec.networking?.inbound?.[0]?.state ?? "Ready");
};

test("an application that dies beside a living Envoy leaves within its probe's time, and comes back", async (t) => {
  const of = await lab(t);
  const { zoneA, zoneB, url, addBackend } = await twoZones(of, usualMesh("default"));
  const own = await addBackend(zoneA, "backend-1", "127.0.1.2", {}, probe);
  const other = await addBackend(zoneB, "backend-2", "127.0.2.2", {}, probe);
  await addBackend(zoneB, "backend-3", "127.0.2.3");
  const all = ["backend-1", "backend-2", "backend-3"];
  await answeredBy(url, all);

  const calling = load(url, clients);
  of.atEnd(calling.stop);
  for (const [zone, name, { app }] of [
    [zoneA, "backend-1", own],
    [zoneB, "backend-2", other],
  ] as const) {
    const died = performance.now();
    await app.close();
    await eventually("it is NotReady", 10_000, async () => assert.equal(stateIn(zone, name), "NotReady"));
    const afterMs = Math.round(performance.now() - died);
    t.diagnostic(`${name} NotReady after ${afterMs} ms`);
    assert.ok(afterMs < probeMs * patience, `${afterMs} ms`);
    await answeredBy(
      url,
      all.filter((one) => one !== name),
    );
    const again = await startApp(name, "127.0.0.1", app.port);
    of.atEnd(() => again.close());
    await answeredBy(url, all);
  }
  mostFailed(t, "applications die beside their Envoys", await calling.stop(), 2 * clients, inFlight);
});

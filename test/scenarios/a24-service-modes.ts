// A24, run by `a24-service-modes.test.ts` in a namespace of its own. Callers by tag, by reference and by address go on through each switch, as
// long as the mode has what they call.

import assert from "node:assert/strict";
import { lookup } from "node:dns/promises";
import { test } from "node:test";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabZone, lab, put, startProxy } from "../lab/lab.ts";
import { type Load, load } from "../lab/load.ts";
import { dataplane, mesh } from "../lab/manifests.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { twoZones } from "../lab/two-zones.ts";
import { redirectHere } from "../names/namespace.ts";

const port = 8080;
const patient = 30_000;
const perSecond = times(20, 100);
/** Of each caller, after each switch has arrived. */
const requestsBetween = times(15, 2_500);

test("no request fails, in either direction", async (t) => {
  const ports = { outbound: 15_001, dns: 15_053 };
  await redirectHere(ports, "198.51.100.1");
  const own = await lab(t);
  const { global, zoneA, zoneB, url, token } = await twoZones(own);
  const start = async (zone: LabZone, name: string, service: string, address: string, networking: object = {}) => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const made = dataplane({ mesh: "default", name, service, address, port, appPort: app.port });
    const redirect = { inboundPort: 0, outboundPort: ports.outbound, dnsPort: ports.dns, resolvers: [] };
    return startProxy(
      own,
      zone,
      { ...made, networking: { ...made.networking, ...networking } },
      token,
      service === "caller" ? redirect : undefined,
    );
  };
  await start(zoneA, "backend-a", "backend", "127.0.1.2");
  await start(zoneB, "backend-b", "backend", "127.0.2.2");
  const named = { "kuma.io/display-name": "backend" };
  const refs = [{ kind: "MeshService", labels: named }];
  const caller = await start(zoneA, "caller", "caller", "127.0.1.9", {
    transparentProxying: { redirectPortOutbound: ports.outbound, reachableBackends: { refs } },
  });
  const byRef = 9000;
  await start(zoneA, "other", "other", "127.0.1.8", {
    outbound: [
      { port: byRef, backendRef: { kind: "MeshService", labels: { ...named, "kuma.io/zone": "zone-b" }, port } },
    ],
  });

  const answers = (at: string) =>
    eventually(`an answer of ${at}`, patient, async () => assert.equal((await get(at)).status, 200));
  const addressOf = (name: string) =>
    eventually(`the address of ${name}`, patient, async () => (await lookup(name, { family: 4 })).address);
  const callers = new Map<string, Load>();
  const call = async (what: string, at: string) => {
    await answers(at);
    const one = load(at, 1, what.includes("anew"), perSecond);
    own.atEnd(one.stop);
    callers.set(what, one);
  };
  const end = async (what: string) => {
    const one = callers.get(what);
    assert.ok(one);
    callers.delete(what);
    noneFailed(t, `a mesh is switched between services by tag and MeshServices: ${what}`, await one.stop());
  };
  const switchTo = async (mode: string, hasArrived: () => Promise<unknown>) => {
    await put(global.api, "/meshes/default", { ...mesh("default"), meshServices: { mode } });
    await eventually(`mode ${mode} at proxies`, patient, hasArrived);
    const enough = [...callers.values()].map((one) => ({ one, until: one.sent() + requestsBetween }));
    await eventually("requests more", patient * times(1, 10), async () =>
      assert.ok(enough.every(({ one, until }) => one.sent() >= until)),
    );
  };
  const listens = async (address: string) => (await caller.admin("/listeners")).includes(`outbound:${address}`);

  const byTag = await addressOf("backend.mesh");
  await call("by the tag, as an outbound", url);
  await call("by the tag, as an outbound, anew", url);
  await call("by the tag's name", `http://${byTag}/`);
  await switchTo("Everywhere", () => addressOf("backend.svc.zone-b.mesh.local"));
  const [here, there] = [await addressOf("backend.svc.mesh.local"), await addressOf("backend.svc.zone-b.mesh.local")];
  await call("by a reference to another zone", `http://127.0.0.1:${byRef}/`);
  await call("by the MeshService's name", `http://${here}:${port}/`);
  await call("by that of another zone's, anew", `http://${there}:${port}/`);
  // Nobody else says what it calls, and has it no more.
  await switchTo("ReachableBackends", async () => assert.ok(await listens(here)));
  await end("by the tag's name");
  await switchTo("Exclusive", async () => assert.ok(!(await listens(byTag))));
  await switchTo("Everywhere", async () => assert.ok(await listens(byTag)));
  await call("by the tag's name, again", `http://${byTag}/`);
  await switchTo("Disabled", async () => {
    for (const zone of [zoneA, zoneB])
      assert.match((await get(`${zone.api}/meshes/default/meshservices`)).text, /deletion-grace-period-started-at/);
  });
  for (const what of [...callers.keys()]) await end(what);
});

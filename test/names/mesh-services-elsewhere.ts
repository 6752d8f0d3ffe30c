// Run by `mesh-services-elsewhere.test.ts` in a namespace of its own, where instances of a service may have one port.
//
//   zone-a: caller, gateway ──► egress-a ─┬─► ingress-b ──► backend-b1, backend-b2
//                                         ├─► ingress-c ──► backend-c
//                                         └─► outside

import assert from "node:assert/strict";
import { test } from "node:test";
import { get, startApp } from "../lab/http.ts";
import { eventually, type LabProxy, type LabZone, lab, post, put, startProxy, startZone } from "../lab/lab.ts";
import { dataplane, egressMesh, zoneEgress, zoneIngress } from "../lab/manifests.ts";
import { twoZones } from "../lab/two-zones.ts";
import { loopback } from "./namespace.ts";

const port = 8080;
const patient = 20_000;
const requests = 300;
const [oneOfB, oneOfAll] = ["default_backend__zone-b_msvc_8080", "default_backends___mzsvc_8080"];
const late = "default_late___mzsvc_8080";

test("services that are resources, of other zones", async (t) => {
  await loopback();
  const own = await lab(t);
  const { global, zoneA, zoneB, ingress, token, zoneToken } = await twoZones(own, {
    ...egressMesh("default"),
    meshServices: { mode: "Everywhere" },
  });
  const zoneC = await startZone(own, "zone-c", global);
  const ingressC = await startProxy(own, zoneC, zoneIngress("ingress-c", "127.0.3.1", port), zoneToken);
  const start = async (zone: LabZone, name: string, address: string, more: object = {}, service = "backend") => {
    const app = await startApp(name);
    own.atEnd(() => app.close());
    const manifest = dataplane({ mesh: "default", name, service, address, port, appPort: app.port });
    const networking = { ...manifest.networking, ...more };
    return { ...(await startProxy(own, zone, { ...manifest, networking }, token)), appPort: app.port };
  };
  const backends = {
    "backend-b1": await start(zoneB, "backend-b1", "127.0.2.2"),
    "backend-b2": await start(zoneB, "backend-b2", "127.0.2.3"),
    "backend-c": await start(zoneC, "backend-c", "127.0.3.2"),
  };
  const egressToken = await post(global.api, "/tokens/zone", { scope: ["egress"], validFor: "1h" });
  const egress = await startProxy(own, zoneA, zoneEgress("egress-a", "127.0.1.9", port), egressToken);
  const outside = await startApp("outside");
  own.atEnd(outside.close);
  const put2 = (kind: string, name: string, resource: object) =>
    put(global.api, `/meshes/default/${kind}/${name}`, { mesh: "default", name, ...resource });
  const putOfAll = (name: string) =>
    put2("meshmultizoneservices", name, {
      type: "MeshMultiZoneService",
      spec: {
        selector: { meshService: { matchLabels: { "kuma.io/display-name": "backend" } } },
        ports: [{ port, appProtocol: "http" }],
      },
    });
  await putOfAll("backends");
  await put2("meshexternalservices", "outside", {
    type: "MeshExternalService",
    spec: { match: { port: 9000, protocol: "http" }, endpoints: [{ address: "127.0.0.1", port: outside.port }] },
  });
  const ofB = { kind: "MeshService", labels: { "kuma.io/display-name": "backend", "kuma.io/zone": "zone-b" }, port };
  const ofAll = { kind: "MeshMultiZoneService", labels: { "kuma.io/display-name": "backends" }, port };
  const ofNobody = { kind: "MeshExternalService", labels: { "kuma.io/display-name": "outside" } };
  const ofLate = { ...ofAll, labels: { "kuma.io/display-name": "late" } };
  const byRef = { 9001: ofB, 9002: ofAll, 9003: ofLate };
  const caller = await start(
    zoneA,
    "caller",
    "127.0.1.2",
    { outbound: Object.entries(byRef).map(([port, backendRef]) => ({ port: Number(port), backendRef })) },
    "caller",
  );

  const counter = async ({ admin }: Pick<LabProxy, "admin">, name: string): Promise<number> =>
    Number(/: (\d+)/.exec(await admin(`/stats?filter=^${name.replaceAll(".", "\\.")}$`))?.[1] ?? 0);
  const connections = (proxy: LabProxy, cluster: string) => counter(proxy, `cluster.${cluster}.upstream_cx_total`);
  const served = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      await Promise.all(
        Object.entries(backends).map(async ([name, one]) => [
          name,
          await counter(one, `http.localhost_${one.appPort}.downstream_rq_total`),
        ]),
      ),
    );
  const more = (before: Record<string, number>, after: Record<string, number>) =>
    Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]));
  const instanceAt = async (url: string): Promise<string> => {
    const { status, text } = await get(url);
    assert.equal(status, 200, text);
    return JSON.parse(text).instance;
  };
  const answers = (url: string, says: RegExp) =>
    eventually(`${says} at ${url}`, patient, async () => assert.match(await instanceAt(url), says));
  /** What is sent, and what each hop and instance has had of it. */
  const sent = async (url: string, service: string) => {
    const all = async () => ({
      "egress to b": await connections(egress, "kodiak_zone_zone-b"),
      "egress to c": await connections(egress, "kodiak_zone_zone-c"),
      "ingress of b": await connections(ingress, service),
      "ingress of c": await connections(ingressC, service),
      ...(await served()),
    });
    const before = await all();
    for (let i = 0; i < requests; i++) assert.equal((await get(url)).status, 200);
    return more(before, await all());
  };

  /** What the caller has of a cluster: each zone behind the egress, with its weight. */
  const known = async (cluster: string, weights: Readonly<Record<string, number>>) =>
    eventually(`${JSON.stringify(weights)} of ${cluster}`, patient, async () => {
      const lines = await caller.admin("/clusters");
      const found = lines.matchAll(
        new RegExp(`^${cluster}::envoy://kodiak:egress/([^/]+)/[^:]+::weight::(\\d+)$`, "gm"),
      );
      assert.deepEqual(Object.fromEntries([...found].map(([, zone, weight]) => [zone, Number(weight)])), weights);
    });
  await eventually("both instances behind the ingress", patient, async () => {
    const lines = await ingress.admin("/clusters");
    for (const service of [oneOfB, oneOfAll])
      for (const address of ["127.0.2.2", "127.0.2.3"])
        assert.match(lines, new RegExp(`^${service}::${address}:`, "m"));
  });
  const isNear = (count: number | undefined, wanted: number, by: number, text: string) =>
    assert.ok(Math.abs((count ?? 0) - wanted) <= by, text);

  await t.test("one of another zone goes through both hops, and TLS from end to end", async () => {
    const url = "http://127.0.0.1:9001";
    await known(oneOfB, { "zone-b": 2 });
    await answers(url, /^backend-b/);
    const { headers } = JSON.parse((await get(url)).text);
    assert.match(headers["x-forwarded-client-cert"], /URI=spiffe:\/\/default\/caller/);
    const { "backend-b1": b1, "backend-b2": b2, ...hops } = await sent(url, oneOfB);
    // A connection to another zone carries 50 requests.
    const all = { "egress to b": 6, "egress to c": 0, "ingress of b": 6, "ingress of c": 0, "backend-c": 0 };
    assert.deepEqual(hops, all);
    assert.equal((b1 ?? 0) + (b2 ?? 0), requests);
    isNear(b1, requests / 2, 50, `${b1} and ${b2}`);
  });

  await t.test("one of all zones has of each the share of its instances", async () => {
    const url = "http://127.0.0.1:9002";
    await known(oneOfAll, { "zone-b": 2, "zone-c": 1 });
    await answers(url, /^backend-/);
    const seen = await sent(url, oneOfAll);
    const text = JSON.stringify(seen);
    assert.equal(seen["egress to b"], seen["ingress of b"], text);
    assert.equal(seen["egress to c"], seen["ingress of c"], text);
    const { "backend-b1": b1 = 0, "backend-b2": b2 = 0, "backend-c": c = 0 } = seen;
    assert.equal(b1 + b2 + c, requests, text);
    isNear(c, requests / 3, 3, text);
    isNear(b1, requests / 3, 50, text);
    isNear(seen["egress to b"], 4, 1, text);
    isNear(seen["egress to c"], 2, 1, text);
  });

  await t.test("a gateway's routes lead to each, and outside", async () => {
    const address = "127.0.1.3";
    const backends = { one: ofB, all: ofAll, out: ofNobody };
    const listened = { one: 8101, all: 8102, out: 8103 };
    const match = { "kuma.io/service": "edge" };
    await put2("meshgateways", "edge", {
      ...{ type: "MeshGateway", selectors: [{ match }] },
      conf: {
        listeners: [
          { port: 8100, protocol: "HTTP" },
          ...Object.entries(listened).map(([part, port]) => ({ port, protocol: "TCP", tags: { part } })),
        ],
      },
    });
    const networking = { address, gateway: { type: "BUILTIN", tags: match } };
    await startProxy(own, zoneA, { type: "Dataplane", mesh: "default", name: "edge-1", networking }, token);
    await put2("meshhttproutes", "edge", {
      type: "MeshHTTPRoute",
      spec: {
        targetRef: { kind: "MeshGateway", name: "edge" },
        to: [
          {
            targetRef: { kind: "Mesh" },
            rules: Object.entries(backends).map(([name, backendRef]) => ({
              matches: [{ path: { type: "PathPrefix", value: `/${name}` } }],
              default: { backendRefs: [backendRef] },
            })),
          },
        ],
      },
    });
    for (const [part, backendRef] of Object.entries(backends))
      await put2("meshtcproutes", part, {
        type: "MeshTCPRoute",
        spec: {
          targetRef: { kind: "MeshGateway", name: "edge", tags: { part } },
          to: [{ targetRef: { kind: "Mesh" }, rules: [{ default: { backendRefs: [backendRef] } }] }],
        },
      });
    const says = { one: /^backend-b/, all: /^backend-/, out: /^outside$/ };
    for (const name of ["one", "all", "out"] as const) {
      await answers(`http://${address}:8100/${name}`, says[name]);
      await answers(`http://${address}:${listened[name]}/`, says[name]);
    }
    const { headers } = JSON.parse((await get(`http://${address}:8100/one`)).text);
    assert.match(headers["x-forwarded-client-cert"], /URI=spiffe:\/\/default\/edge/);
    const before = await served();
    for (let i = 0; i < requests; i++) await instanceAt(`http://${address}:8100/all`);
    const seen = more(before, await served());
    isNear(seen["backend-c"], requests / 3, 3, JSON.stringify(seen));
    // Who says `close` leaves its connection, of which each has one of its own as far as the service.
    const anew = () => get(`http://${address}:${listened.one}/`, { connection: "close" });
    assert.equal((await anew()).status, 200);
    const ways = await connections(egress, "kodiak_zone_zone-b");
    for (let i = 0; i < 20; i++) assert.equal((await anew()).status, 200);
    assert.equal((await connections(egress, "kodiak_zone_zone-b")) - ways, 20);
  });

  await t.test("a zone has a share of a new one when its ingress's Envoy leads there, and not before", async () => {
    const pid = await ingressC.envoyPid();
    process.kill(pid, "SIGSTOP");
    try {
      await putOfAll("late");
      await known(late, { "zone-b": 2 });
      for (let i = 0; i < 50; i++) assert.match(await instanceAt("http://127.0.0.1:9003"), /^backend-b/);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await known(late, { "zone-b": 2, "zone-c": 1 });
    await answers("http://127.0.0.1:9003", /^backend-c/);
  });
});

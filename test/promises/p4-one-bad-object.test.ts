// P4: one bad object hurts only itself: it is refused alone, with a reason, by name; all else goes on. At a real Envoy, and between
// control planes; what a zone refuses: P6.

import assert from "node:assert/strict";
import { test } from "node:test";
import { kodiak } from "#cli/cli.fixture.ts";
import { grpcCode, type ServerStream } from "#host/world.ts";
import { encodeResource } from "#kds/codec.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { adsPath } from "#xds/server.ts";
import { recordingLog } from "../agent/recording-log.ts";
import { resource, startGlobal } from "../kds/control-planes.ts";
import { get } from "../lab/http.ts";
import { eventually, freePort, type Lab, type LabProxy, type LabZone, lab } from "../lab/lab.ts";
import { oneZone } from "../lab/one-zone.ts";
import { handMadeZone } from "./hand-made-zone.ts";

test("eleven clusters in one push, one of them invalid: ten within a second, the one is named, and all else goes on", async (t) => {
  const own = await lab(t);
  const log = recordingLog();
  const streams: ServerStream[] = [];
  const world = { ...own.world, log, network: keeping(own, adsPath, streams) };
  const { zone, frontend, url, addBackend } = await oneZone({ ...own, world });
  await addBackend("backend-1", "127.0.0.2");
  const answers = async () => assert.equal((await get(url)).status, 200);
  await eventually("a first answer", 20_000, answers);

  // The name of a server in TLS has 255 characters at most.
  const bad = "b".repeat(250);
  const services = [bad, ...Array.from({ length: 10 }, (_, i) => `service-${i}`)];
  const routeTo = (names: readonly string[]) =>
    zone.store.write([{ kind: "put", resource: resource("MeshHTTPRoute", "to-all", routeSpec(names)) }]);
  const active = () => activeClusters(frontend, (name) => services.includes(name));
  const shows = isRefused(zone, bad, "255");

  await routeTo(services);
  await eventually("ten clusters", 1_000, async () => assert.equal((await active()).length, 10));
  const line = await log.next(/refuses/);
  const proxy = 'Dataplane "frontend" in mesh "default"';
  assert.deepEqual(
    { level: line.level, ...line.fields, reason: "" },
    { level: "warn", proxy, type: "cluster", name: bad, reason: "" },
  );
  await eventually("it is named", 10_000, shows);

  const answeredBy = (name: string) =>
    eventually(`an answer of ${name}`, 20_000, async () =>
      assert.equal(JSON.parse((await get(url)).text).instance, name),
    );
  await addBackend("backend-2", "127.0.0.3");
  await answeredBy("backend-2");

  const before = streams.length;
  for (const stream of [...streams]) stream.end({ code: grpcCode.unavailable, message: "cut by the test" });
  await eventually("all are back", 20_000, async () => assert.equal(streams.length, 2 * before));
  await addBackend("backend-3", "127.0.0.5");
  await answeredBy("backend-3");
  await shows();
  assert.equal((await active()).length, 10);
  // Some that it has refused it takes for known when they come again, and acknowledges.
  const rejected = await frontend.admin("/stats?filter=cluster_manager.cds.update_rejected");
  assert.match(rejected, /: 1$/m, "what was refused is not sent again");

  await routeTo(services.slice(1));
  await eventually("the route, which waited for the one", 5_000, async () => {
    const { status } = await get(`${url}/elsewhere`);
    assert.equal(status, 503, "of services that nobody provides");
  });
  await eventually("nothing is refused", 10_000, async () => {
    const { out } = await kodiak(["get", "dataplanes", "--api", zone.api]);
    assert.doesNotMatch(out, /REFUSED/);
  });
});

test("where Envoy does not say which of the eleven it is, the ten are there within a second, too", async (t) => {
  const own = await lab(t);
  const { zone, frontend } = await oneZone(own);
  await eventually("an Envoy that is ready", 20_000, async () =>
    assert.equal(await frontend.admin("/ready"), "LIVE\n"),
  );
  const ports = [70_000, ...Array.from({ length: 10 }, (_, i) => 20_001 + i)];
  await zone.store.write([{ kind: "put", resource: await withInbounds(zone, ports) }]);
  const active = () => activeClusters(frontend, (name) => ports.some((port) => name === `localhost:${port}`));
  await eventually("ten clusters", 1_000, async () => assert.equal((await active()).length, 10));
  await eventually("it is named", 10_000, isRefused(zone, "localhost:70000", "less than or equal to 65535"));
});

const routeSpec = (services: readonly string[]) => ({
  targetRef: { kind: "MeshService", name: "frontend" },
  to: [
    {
      targetRef: { kind: "MeshService", name: "backend" },
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: "/elsewhere" } }],
          default: { backendRefs: services.map((name) => ({ kind: "MeshService", name, weight: 1 })) },
        },
      ],
    },
  ],
});

async function activeClusters({ admin }: LabProxy, isMeant: (name: string) => boolean): Promise<readonly string[]> {
  const names = (await admin("/clusters")).split("\n").map((line) => line.split("::")[0] ?? "");
  return [...new Set(names)].filter(isMeant);
}

const isRefused = (zone: LabZone, cluster: string, why: string) => async (): Promise<void> => {
  const { out } = await kodiak(["get", "dataplanes", "--api", zone.api]);
  assert.match(out, /^MESH .* REFUSED$/m);
  assert.match(out, /^default +frontend .* 1$/m);
  assert.match(out, new RegExp(`^ {2}cluster ${cluster} for \\d+\\w: .*${why}`, "m"));
};

/** This machine's network, with the streams of one kind kept. */
const keeping = ({ world: { network } }: Lab, path: string, streams: ServerStream[]): Lab["world"]["network"] => ({
  ...network,
  listen: (options) => {
    const serve = options.streams[path];
    if (!serve) return network.listen(options);
    const kept = (stream: ServerStream): void => {
      streams.push(stream);
      serve(stream);
    };
    return network.listen({ ...options, streams: { ...options.streams, [path]: kept } });
  },
});

/** `frontend` with an inbound for each of these ports of its application. */
async function withInbounds(zone: LabZone, ports: readonly number[]): Promise<Resource> {
  const stored = zone.store.get({ kind: "Dataplane", mesh: "default", name: "frontend" });
  assert.ok(stored);
  const networking = asDataplane(stored).spec.networking ?? {};
  const inbound = await Promise.all(
    ports.map(async (servicePort, i) => ({
      port: await freePort("127.0.0.4"),
      servicePort,
      serviceAddress: "127.0.0.1",
      tags: { "kuma.io/service": `service-${i}`, "kuma.io/protocol": "http", "kuma.io/zone": zone.name },
    })),
  );
  const spec = { networking: { ...networking, inbound: [...(networking.inbound ?? []), ...inbound] } };
  return { ...stored, spec: JSON.parse(JSON.stringify(spec)) };
}

test("an object of a zone that does not parse is refused by name; the rest of its kind is stored", async (t) => {
  const global = await startGlobal(t);
  const zone = handMadeZone(t, global, "a");
  const good = encodeResource(kindNamed("Dataplane"), resource("Dataplane", "good", {}));
  const objects = [
    { name: "bad.default", value: Uint8Array.of(0xff) },
    { name: "good.default", value: good },
  ];
  assert.match(await zone.send("Dataplane", objects), /^cannot be decoded/);
  await global.has("Dataplane", "good");
  const refused = global.server.links
    .list()
    .flatMap((link) => link.refused.map(({ name, where }) => `${name} ${where}`));
  assert.deepEqual(refused, ["bad here"]);
});

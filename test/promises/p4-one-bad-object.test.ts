// P4: one bad object hurts only itself: it is refused alone, with a reason, by name; all else goes on. At a real Envoy, and between
// control planes; what a zone refuses: P6.

import assert from "node:assert/strict";
import { test } from "node:test";
import { kodiak, served } from "#cli/cli.fixture.ts";
import { freePort } from "#host/free-port.ts";
import { grpcCode, type ServerStream } from "#host/world.ts";
import { encodeResource } from "#kds/codec.ts";
import { wireNameOf } from "#kds/name.ts";
import type { Issue } from "#lib/issue.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Links } from "#resources/links.ts";
import type { Resource } from "#resources/resource.ts";
import { memoryStore } from "#store/memory.ts";
import { adsPath } from "#xds/server.ts";
import { recordingLog } from "../agent/recording-log.ts";
import { resource, startGlobal, startZone, world } from "../kds/control-planes.ts";
import { get } from "../lab/http.ts";
import { eventually, type Lab, type LabProxy, type LabZone, lab } from "../lab/lab.ts";
import { allowAll, mesh } from "../lab/manifests.ts";
import { oneZone } from "../lab/one-zone.ts";
import {
  apply,
  dataplaneToken,
  killControlPlane,
  processes,
  startInstance,
  startZone as startProcessZone,
} from "../processes/processes.ts";
import { handMadeGlobal } from "./hand-made-global.ts";
import { handMadeZone } from "./hand-made-zone.ts";

/** The name of a server in TLS has 255 characters at most. */
const bad = "b".repeat(250);

test("eleven clusters in one push, one of them invalid: ten within a second, the one is named, and all else goes on", async (t) => {
  const own = await lab(t);
  const log = recordingLog();
  const streams: ServerStream[] = [];
  const world = { ...own.world, log, network: keeping(own, adsPath, streams) };
  const { zone, frontend, url, addBackend } = await oneZone({ ...own, world });
  await addBackend("backend-1", "127.0.0.2");
  const answers = async () => assert.equal((await get(url)).status, 200);
  await eventually("a first answer", 20_000, answers);

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
  // Whose answer is under way for a second is shown as behind.
  await eventually("it is named still", 10_000, shows);
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

test("where Envoy does not say which of the eleven it is, they come in halves until it is alone, and it is named", async (t) => {
  const own = await lab(t);
  const { zone, frontend } = await oneZone(own);
  await eventually("an Envoy that is ready", 20_000, async () =>
    assert.equal(await frontend.admin("/ready"), "LIVE\n"),
  );
  const ports = [70_000, ...Array.from({ length: 10 }, (_, i) => 20_001 + i)];
  await zone.store.write([{ kind: "put", resource: await withInbounds(zone, ports) }]);
  const active = () => activeClusters(frontend, (name) => ports.some((port) => name === `localhost:${port}`));
  await eventually("ten clusters", 10_000, async () => assert.equal((await active()).length, 10));
  await eventually("it is named", 10_000, isRefused(zone, "localhost:70000", "less than or equal to 65535"));
  // 11, 6, 3, 2, 1.
  assert.match(await frontend.admin("/stats?filter=cluster_manager.cds.update_rejected"), /: [45]$/m);
});

test("what a proxy has refused stays refused when its control plane is killed and started again, and leads nowhere", async (t) => {
  const of = await processes(t);
  const zone = await startProcessZone(of, "zone-a");
  await apply(zone, mesh("default"), allowAll("default"));
  const token = await dataplaneToken(zone);
  const out = await freePort();
  const outbounds = { [out]: "backend" };
  const [frontend] = await Promise.all([
    startInstance(of, zone, { name: "frontend", service: "frontend", address: "127.0.0.4", outbounds }, token),
    startInstance(of, zone, { name: "backend-1", service: "backend", address: "127.0.0.2" }, token),
  ]);
  const url = `http://127.0.0.1:${out}/elsewhere`;
  const answeredBy = (name: string) =>
    eventually(`an answer of ${name}`, 30_000, async () =>
      assert.equal(JSON.parse((await get(url)).text).instance, name),
    );
  const shows = () => eventually("it is named", 10_000, isRefused(zone, bad, "255"));
  await answeredBy("backend-1");
  const spec = routeSpec([bad]);
  await apply(zone, { type: "MeshHTTPRoute", mesh: "default", name: "to-bad", spec });
  await shows();
  const again = await killControlPlane(of, zone, ["zone", "--name", "zone-a"]);
  await again();
  await startInstance(of, zone, { name: "backend-2", service: "backend", address: "127.0.0.3" }, token);
  // What reads the route that waits for it is as it was.
  await answeredBy("backend-2");
  await answeredBy("backend-1");
  await shows();
  const rejected = await frontend.admin("/stats?filter=cluster_manager.cds.update_rejected");
  assert.match(rejected, /: 1$/m, "it is not sent again");
  assert.deepEqual(await activeClusters(frontend, (name) => name === bad), []);
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

async function activeClusters(
  { admin }: Pick<LabProxy, "admin">,
  isMeant: (name: string) => boolean,
): Promise<readonly string[]> {
  const names = (await admin("/clusters")).split("\n").map((line) => line.split("::")[0] ?? "");
  return [...new Set(names)].filter(isMeant);
}

const isRefused = (zone: Pick<LabZone, "api">, cluster: string, why: string) => async (): Promise<void> => {
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

/** Objects of others, as a receiver finds them: one is wrong, one makes the check itself fail. */
function check({ name }: Resource): readonly Issue[] {
  if (name.startsWith("invalid")) return [{ path: "spec", message: "is not for me" }];
  if (name.startsWith("strange")) throw new Error("a check that does not expect this");
  return [];
}

test("from a zone: what does not parse, what is invalid and what cannot be checked is refused by name; the rest of its kind is stored, other kinds go on", async (t) => {
  const global = await startGlobal(t, { validate: check });
  const zone = handMadeZone(t, global, "a");
  const sent = (kind: string, name: string) => {
    const one = resource(kind, name, {});
    return { name: wireNameOf(one), value: encodeResource(kindNamed(kind), one) };
  };
  const unreadable = { name: "unreadable.default", value: Uint8Array.of(0xff) };
  const named = ["invalid", "good", "strange"].map((name) => sent("Dataplane", name));
  const refusal = (await zone.send("Dataplane", [unreadable, ...named])).split("\n");
  assert.match(refusal[0] ?? "", /^cannot be decoded/);
  assert.deepEqual(refusal.slice(1), ["spec: is not for me", "cannot be checked (a check that does not expect this)"]);
  assert.deepEqual(
    global.store.list("Dataplane").map(({ name }) => name),
    ["good"],
  );
  assert.equal(await zone.send("ZoneIngress", [sent("ZoneIngress", "in")]), "", "on the same stream");
  await global.has("ZoneIngress", "in");
  assert.equal(await zone.send("Dataplane", [sent("Dataplane", "later")]), "");
  await global.has("Dataplane", "later");
  const refused = global.server.links
    .list()
    .flatMap((link) => link.refused.map(({ kind, name, where }) => `${kind} ${name} ${where}`));
  assert.deepEqual(
    refused,
    ["unreadable", "invalid", "strange"].map((name) => `Dataplane ${name} here`),
  );
});

test("from global: what is invalid and what cannot be checked is refused by name, on both sides; other kinds go on", async (t) => {
  const global = await startGlobal(t);
  await global.put(...["invalid", "good", "strange"].map((name) => resource("MeshTimeout", name, {})));
  const zone = startZone(t, "a", global.target, { validate: check });
  const has = (kind: string, name: string) =>
    zone.changed.until(
      () => zone.store.list(kind).some(({ labels }) => labels["kuma.io/display-name"] === name),
      () => `${kind} ${name}`,
    );
  await has("MeshTimeout", "good");
  await global.put(resource("MeshRetry", "other", {}), resource("MeshTimeout", "later", {}));
  await has("MeshRetry", "other");
  await has("MeshTimeout", "later");
  assert.equal(zone.store.list("MeshTimeout").length, 2);
  assert.ok(
    zone.links.every(({ kind }) => kind === "connected"),
    "one connection",
  );
  const refused = (links: Links) =>
    links
      .list()
      .flatMap((link) => link.refused.map(({ name, where, why }) => `${name.split("-")[0]} ${where}: ${why}`))
      .sort();
  const both = (where: string) => [
    `invalid ${where}: spec: is not for me`,
    `strange ${where}: cannot be checked (a check that does not expect this)`,
  ];
  assert.deepEqual(refused(zone.client.links), both("here"));
  await eventually("global is told", 5_000, async () => assert.deepEqual(refused(global.server.links), both("there")));
});

test("from global: what does not parse is refused by name; what is good beside it is stored, other kinds go on", async (t) => {
  const good = resource("MeshTimeout", "good", {}, { "kuma.io/origin": "global" });
  const sent = (one: Resource) => ({ name: wireNameOf(one), value: encodeResource(kindNamed(one.kind), one) });
  const global = await handMadeGlobal(t, []);
  const zone = startZone(t, "a", global.target);
  const refusal = await global.send("MeshTimeout", [
    { name: "unreadable.default", value: Uint8Array.of(0xff) },
    sent(good),
  ]);
  assert.match(refusal, /^cannot be decoded/);
  assert.deepEqual(
    zone.store.list("MeshTimeout").map(({ name }) => name),
    ["good"],
  );
  const other = resource("MeshRetry", "other", {}, { "kuma.io/origin": "global" });
  assert.equal(await global.send("MeshRetry", [sent(other)]), "", "on the same stream");
  await zone.has("MeshRetry", "other");
  const refused = zone.client.links
    .list()
    .flatMap((link) => link.refused.map(({ kind, name, where }) => `${kind} ${name} ${where}`));
  assert.deepEqual(refused, ["MeshTimeout unreadable here"]);
});

const mebibyte = 1_048_576;
const secret = (name: string, sizeMiB: number) =>
  resource("Secret", name, { data: Buffer.alloc(sizeMiB * mebibyte, 1).toString("base64") });
const stemsOf = ({ resources }: { readonly resources: readonly { readonly name: string }[] }) =>
  resources.map(({ name }) => name.replace(/\.default$/, "").replace(/-\w{16}$/, "")).sort();

test("toward a Kuma zone: of a kind that is too large for one message the largest are left out, by name; other kinds go, and later changes", async (t) => {
  const global = await startGlobal(t);
  await global.put(secret("five", 5), secret("six", 6), secret("one", 1), resource("MeshTimeout", "other", {}));
  const zone = handMadeZone(t, global, "a", { isStock: true });
  const response = await zone.ask("Secret");
  assert.deepEqual(stemsOf(response), ["five", "one"]);
  zone.answer(response);
  assert.deepEqual(stemsOf(await zone.ask("MeshTimeout")), ["other"]);

  const { run } = await served(t, { links: global.server.links });
  const shows = async (line: RegExp) => assert.match((await run(["get", "zones"])).out, line);
  await eventually("`kodiak get zones`", 5_000, () =>
    shows(
      /^ {2}Secret "six" in mesh "default" to a for \w+: not sent: it has 6,\d+,\d+ bytes, .* at most 10,485,760$/m,
    ),
  );
  await global.put(secret("six", 5.9), secret("four", 8));
  const later = await zone.next("Secret", response);
  assert.deepEqual(stemsOf(later), ["six"], "in parts: what is there stays");
  assert.deepEqual(stemsOf(await zone.next("Secret", later)), ["four"]);
  zone.answer(later);
  await eventually("nothing is refused", 5_000, async () =>
    assert.doesNotMatch((await run(["get", "zones"])).out, /REFUSED/),
  );
});

test("toward a Kuma global: insights are trimmed until they fit, and none is left out; other kinds go", async (t) => {
  const store = memoryStore(world.clock, world.random);
  const metadata = { filler: "x".repeat(2 * mebibyte) };
  const insights = Array.from({ length: 6 }, (_, i) => resource("DataplaneInsight", `i-${i}`, { metadata }));
  await store.write([...insights, resource("Dataplane", "web", {})].map((one) => ({ kind: "put", resource: one })));
  const kinds = ["DataplaneInsight", "Dataplane"];
  const global = await handMadeGlobal(t, kinds);
  const zone = startZone(t, "a", global.target, { store });
  const first = await global.all();
  const { response, sizeBytes = 0 } = first.get("DataplaneInsight") ?? {};
  assert.equal(response?.resources.length, 6);
  assert.ok(sizeBytes > 8 * mebibyte && sizeBytes <= 10 * mebibyte, `${sizeBytes} bytes: no more is trimmed than must`);
  assert.equal(first.get("Dataplane")?.response.resources.length, 1);
  assert.deepEqual(zone.client.links.list()[0]?.refused, []);
});

test("between two Kodiaks: what is too large for a message by itself is left out, by name; all else goes", async (t) => {
  const global = await startGlobal(t);
  await global.put(secret("seven", 7), secret("eleven", 11), secret("six", 6));
  const zone = startZone(t, "a", global.target);
  await zone.has("Secret", "seven");
  await zone.has("Secret", "six");
  await eventually("global says so", 5_000, async () => {
    const [link] = global.server.links.list();
    assert.deepEqual(
      link?.refused.map(({ name, where }) => `${name} ${where}`),
      ["eleven too large"],
    );
  });
  assert.equal(zone.store.list("Secret").length, 2);
});

// Our global with our zones over real TLS ports: what crosses, what does not, and what a lost connection costs.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { XDSConfigRequestSchema, XDSConfigResponseSchema } from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import { type ClientStream, grpcCode, type Status } from "#host/world.ts";
import { adminAnswers } from "#kds/admin.ts";
import { encodeResource } from "#kds/codec.ts";
import { headersOf, path } from "#kds/wire.ts";
import { isZoneOnline } from "#owned/zone-insight.ts";
import { kindNamed, zoneToGlobalKinds } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { resource, signal, startGlobal, startZone, type TestGlobal, world } from "./control-planes.ts";

const mesh = resource("Mesh", "default", {
  mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] },
});
const timeout = (connectionTimeout: string): Resource =>
  resource("MeshTimeout", "t", { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout } }] });
const timeoutName = "t-fdz944892fv4vfc2";
const secret = resource("Secret", "key", { data: "a2V5" });
const ofZone = (zone: string) => ({ "kuma.io/origin": "zone", "kuma.io/zone": zone });
const dataplane = (name: string, zone: string): Resource =>
  resource(
    "Dataplane",
    name,
    { networking: { address: "127.0.0.2", inbound: [{ port: 80, tags: { "kuma.io/service": "backend" } }] } },
    ofZone(zone),
  );
const ingress = (availableServices: Resource["spec"]["x"] = []): Resource =>
  resource("ZoneIngress", "in", { networking: { address: "127.0.0.9", port: 10001 }, availableServices });
const ingressOfB = "in-6wv4555f6wz82bz8";

test("policies go down, proxies up, and an ingress with what it offers across to the other zone", async (t) => {
  const global = await startGlobal(t, { zones: ["a", "b"] });
  await global.put(mesh, secret, timeout("5s"));
  const [a, b] = [startZone(t, "a", global.target), startZone(t, "b", global.target)];
  for (const zone of [a, b]) {
    await zone.has("Mesh", "default");
    await zone.has("Secret", "key");
    const { labels, spec } = await zone.has("MeshTimeout", timeoutName);
    assert.deepEqual(labels, { "kuma.io/display-name": "t", "kuma.io/origin": "global" });
    assert.deepEqual(spec, timeout("5s").spec);
  }

  await a.put(dataplane("d", "a"));
  await global.changed.until(
    () => global.store.list("Dataplane").length === 1,
    () => "the dataplane",
  );
  const [up] = global.store.list("Dataplane");
  assert.match(up!.name, /^d-[a-z0-9]{16}$/);
  assert.deepEqual(up!.labels, { ...ofZone("a"), "kuma.io/display-name": "d" });

  await b.put(ingress());
  const offered = [{ tags: { "kuma.io/service": "backend" }, instances: 2, mesh: "default" }];
  const arrived = await a.has("ZoneIngress", ingressOfB);
  assert.equal(arrived.spec.zone, "b");
  await b.put(ingress(offered));
  const changed = await a.has("ZoneIngress", arrived.name, ({ spec }) => spec.availableServices !== undefined);
  assert.deepEqual(changed.spec.availableServices, offered);
  assert.deepEqual(changed.labels, {
    ...{ "kuma.io/display-name": "in", "kuma.io/origin": "global", "kuma.io/zone": "b" },
    ...{ "kodiak.io/answers-probes": "true", "kodiak.io/names-ports": "true" },
  });
  assert.deepEqual(
    b.store.list("ZoneIngress").map(({ name }) => name),
    ["in"],
    "its own does not come back",
  );
  assert.equal(a.store.list("Dataplane").length + b.store.list("Dataplane").length, 1, "proxies stay where they are");

  await global.put({ ...(await global.has("Zone", "b")), spec: { enabled: false } });
  await a.hasNot("ZoneIngress", arrived.name);
  await global.put({ ...(await global.has("Zone", "b")), spec: { enabled: true } });
  await a.has("ZoneIngress", arrived.name);
  await b.remove("ZoneIngress", "in");
  await a.hasNot("ZoneIngress", arrived.name);
  await global.remove("MeshTimeout", "t");
  for (const zone of [a, b]) await zone.hasNot("MeshTimeout", timeoutName);
});

test("what one transaction wrote on global is one transaction in the zone, and global learns that it is there", async (t) => {
  const global = await startGlobal(t);
  const zone = startZone(t, "a", global.target);
  await zone.linked(({ kind }) => kind === "connected");
  await zone.put(ingress());
  await global.has("ZoneIngress", "in-6wv4585f6wz82w2z");
  const before = zone.commits.length;
  const revision = await global.put(mesh, secret, timeout("5s"), resource("HostnameGenerator", "h", { template: "x" }));
  await zone.linked((link) => link.kind === "connected" && link.applied === `${global.store.id}/${revision}`);
  const kinds = zone.commits.slice(before).map(({ changes }) => changes.map(({ id }) => id.kind).sort());
  assert.deepEqual(kinds, [["HostnameGenerator", "Mesh", "MeshTimeout", "Secret"]]);
  await global.changed.until(
    () => global.statuses.get("a")?.subscriptions.at(-1)?.reached === global.store.revision,
    () => `reached ${global.statuses.get("a")?.subscriptions.at(-1)?.reached} of ${global.store.revision}`,
  );
});

test("a reconnect rewrites nothing, and what changed meanwhile arrives", async (t) => {
  const global = await startGlobal(t);
  await global.put(mesh, secret, timeout("5s"));
  const [a, b] = [startZone(t, "a", global.target), startZone(t, "b", global.target)];
  await b.put(ingress(), dataplane("d", "b"));
  await a.has("ZoneIngress", ingressOfB);
  await Promise.all([a, b].map((zone) => zone.has("MeshTimeout", timeoutName)));
  await global.changed.until(
    () => global.store.list("Dataplane").length === 1,
    () => "the dataplane",
  );

  await global.stop();
  for (const zone of [a, b]) await zone.linked((link) => link.kind === "away" && link.why === "stream unavailable");
  const commits = [global, a, b].map((place) => place.commits.length);
  const again = await startGlobal(t, { as: global });
  for (const zone of [a, b]) {
    // Its initial responses are all applied.
    await zone.linked(
      (link) => link.kind === "connected" && link.applied === `${again.store.id}/${again.store.revision}`,
    );
  }
  await again.changed.until(
    () => [..."ab"].every((zone) => again.statuses.get(zone)?.subscriptions.at(-1)?.reached === again.store.revision),
    () => "both zones",
  );
  assert.deepEqual(
    [global, a, b].map((place) => place.commits.length),
    commits,
  );

  await again.put(timeout("6s"));
  for (const zone of [a, b])
    await zone.has("MeshTimeout", timeoutName, (found) => JSON.stringify(found.spec).includes("6s"));
});

test("a resource is encoded once for all zones, and a change of one encodes no other", async (t) => {
  const global = await startGlobal(t);
  const others = Array.from({ length: 20 }, (_, i) => resource("MeshTimeout", `other-${i}`, {}));
  await global.put(mesh, timeout("5s"), ...others);
  const zones = ["a", "b", "c"].map((name) => startZone(t, name, global.target));
  for (const zone of zones) await zone.has("MeshTimeout", timeoutName);
  assert.equal(global.encoded("MeshTimeout"), 21);
  await global.put(timeout("6s"));
  for (const zone of zones)
    await zone.has("MeshTimeout", timeoutName, (found) => JSON.stringify(found.spec).includes("6s"));
  assert.equal(global.encoded("MeshTimeout"), 22);
});

test("a zone that global does not know is refused, and leaves nothing there", async (t) => {
  const global = await startGlobal(t, { zones: ["a"] });
  const zone = startZone(t, "stranger", global.target);
  const why = 'zone "stranger" may not come';
  await zone.linked((link) => link.kind === "away" && link.why === why);
  assert.equal(
    zone.links.some(({ kind }) => kind === "connected"),
    false,
  );
  assert.deepEqual(global.store.list("Zone"), []);
  assert.equal(global.statuses.size, 0);
});

test("a zone whose global is away says why, and since when, and keeps what it has", async (t) => {
  const global = await startGlobal(t);
  await global.put(mesh);
  const zone = startZone(t, "a", global.target);
  await zone.has("Mesh", "default");
  await global.stop();
  await zone.linked((link) => link.kind === "away" && /nothing listens there/.test(link.why));
  const away = zone.links.flatMap((link) => (link.kind === "away" ? [link.since] : []));
  assert.equal(new Set(away).size, 1, "since it was lost, not since the last try");
  assert.equal(zone.store.list("Mesh").length, 1);
});

test("a zone is registered when it comes, online while it is there, and offline since it left", async (t) => {
  const global = await startGlobal(t);
  const zone = startZone(t, "a", global.target);
  assert.deepEqual((await global.has("Zone", "a")).spec, { enabled: true });
  const status = () => global.statuses.get("a");
  const isOnline = (): boolean => {
    const known = status();
    return known !== undefined && isZoneOnline(known);
  };
  await global.changed.until(isOnline, () => "online");
  const { zoneInstanceId, config, version } = status()!.subscriptions.at(-1)!;
  assert.deepEqual(
    [zoneInstanceId, config, version],
    ["a-1", '{"store":{"type":"memory"}}', { kumaCp: { version: "test" } }],
  );
  // Counters are told a second later.
  await global.changed.until(
    () => status()?.subscriptions.at(-1)?.counters.Mesh?.acknowledged === 1 && status()?.pingedAt !== undefined,
    () => JSON.stringify(status()),
  );
  assert.deepEqual(Object.keys(status()!.streams).sort(), [
    "clusters",
    "configDump",
    "globalToZone",
    "stats",
    "zoneToGlobal",
  ]);
  zone.stop();
  await global.changed.until(
    () => !isOnline(),
    () => "offline",
  );
  assert.equal(status()!.subscriptions.length, 1);
});

test("an invalid object is refused alone, what is valid beside it is stored, and a correction arrives", async (t) => {
  const global = await startGlobal(t);
  const validate = ({ spec }: Resource) =>
    JSON.stringify(spec).includes("-1s")
      ? [{ path: "spec.to[0].default.connectionTimeout", message: "must be positive" }]
      : [];
  const zone = startZone(t, "a", global.target, { validate });
  await global.put(timeout("5s"));
  await zone.has("MeshTimeout", timeoutName);
  await global.put(timeout("-1s"), resource("MeshTimeout", "good", {}));
  await global.changed.until(
    () => global.statuses.get("a")?.subscriptions.at(-1)?.counters.MeshTimeout?.rejected === 1,
    () => "a refusal",
  );
  const stored = zone.store
    .list("MeshTimeout")
    .map(({ labels, spec }) => [labels["kuma.io/display-name"], JSON.stringify(spec).includes("5s")]);
  assert.deepEqual(stored, [
    ["good", false],
    ["t", true],
  ]);
  await global.put(timeout("6s"));
  await zone.has("MeshTimeout", timeoutName, ({ spec }) => JSON.stringify(spec).includes("6s"));
});

test("fields that neither side knows come through: protobuf and JSON", async (t) => {
  const global = await startGlobal(t);
  const [a, b] = [startZone(t, "a", global.target), startZone(t, "b", global.target)];
  // Field 1999 of a ZoneIngress, with a text.
  const wire = new BinaryWriter().tag(1999, WireType.LengthDelimited).string("of a later version").finish();
  await b.put({ ...ingress(), spec: {}, wire });
  const { wire: arrived } = await a.has("ZoneIngress", ingressOfB);
  assert.ok(Buffer.from(arrived!).includes("of a later version"));
  await global.put(resource("MeshTimeout", "t", { later: { version: [1, null] } }));
  assert.deepEqual((await a.has("MeshTimeout", timeoutName)).spec, { later: { version: [1, null] } });
});

test("of what a zone and global both have, the zone keeps its own, and says so", async (t) => {
  const global = await startGlobal(t);
  const zone = startZone(t, "a", global.target);
  await zone.linked(({ kind }) => kind === "connected");
  await zone.put({ ...secret, spec: { data: "b3du" } });
  await global.put(secret);
  await global.changed.until(
    () => global.statuses.get("a")?.subscriptions.at(-1)?.counters.Secret?.rejected === 1,
    () => "a refusal",
  );
  assert.deepEqual((await zone.has("Secret", "key")).spec, { data: "b3du" });
  assert.equal(zone.client.link().kind, "connected");
});

/** A zone's calls made by hand. */
function handMade(t: TestContext, global: TestGlobal, headers: Readonly<Record<string, string | readonly string[]>>) {
  const connection = world.network.dial(global.target);
  t.after(() => connection.close());
  const changed = signal();
  const open = (name: string) => {
    const stream: ClientStream = connection.stream(name, { headers });
    const received: Uint8Array[] = [];
    let ended: Status | undefined;
    stream.onMessage((message) => {
      received.push(message);
      changed.fire();
    });
    stream.onDrained(() => {});
    stream.onEnd((status) => {
      ended = status;
      changed.fire();
    });
    return {
      stream,
      received,
      async end(): Promise<Status> {
        await changed.until(
          () => ended !== undefined,
          () => `the end of ${name}`,
        );
        return ended!;
      },
      requests: () => received.map((message) => fromBinary(DeltaDiscoveryRequestSchema, message)),
      responses: () => received.map((message) => fromBinary(DeltaDiscoveryResponseSchema, message)),
      async counted(count: number): Promise<void> {
        await changed.until(
          () => received.length >= count,
          () => `${count} messages, there are ${received.length}`,
        );
      },
    };
  };
  const request = (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): readonly Uint8Array[] => [
    toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, fields)),
  ];
  return { connection, open, request, changed };
}

test("a call that does not say which zone it comes from ends as with Kuma", async (t) => {
  const global = await startGlobal(t);
  const { open, connection } = handMade(t, global, {});
  const message = '"client-id" is not present in metadata';
  for (const name of [path.globalToZone, path.zoneToGlobal])
    assert.deepEqual(await open(name).end(), { code: grpcCode.unknown, message });
  for (const name of [path.configDump, path.stats, path.clusters])
    assert.deepEqual(await open(name).end(), { code: grpcCode.invalidArgument, message });
  await assert.rejects(connection.unary(path.healthCheck, new Uint8Array()), {
    status: { code: grpcCode.invalidArgument, message },
  });
});

test("two connections of one zone live side by side; when the older ends, the newer goes on", async (t) => {
  const global = await startGlobal(t);
  const features = ["hash-suffix", "optional-top-level-target-ref"];
  const both = [1, 2].map(() => {
    const { open, request, connection } = handMade(t, global, headersOf("a", "test"));
    const down = open(path.globalToZone);
    const node = { id: "a", metadata: { features } };
    down.stream.send(request({ typeUrl: "MeshTimeout", resourceNamesSubscribe: ["*"], node }));
    const ack = () =>
      down.stream.send(request({ typeUrl: "MeshTimeout", responseNonce: down.responses().at(-1)!.nonce }));
    return { down, ack, connection };
  });
  for (const { down, ack } of both) {
    await down.counted(1);
    ack();
  }
  await global.put(timeout("5s"));
  for (const { down, ack } of both) {
    await down.counted(2);
    ack();
  }
  const [older, newer] = both;
  older!.connection.close();
  await global.changed.until(
    () => global.statuses.get("a")!.subscriptions.some(({ disconnectedAt }) => disconnectedAt !== undefined),
    () => "the end of one",
  );
  await global.put(timeout("6s"));
  await newer!.down.counted(3);
  assert.deepEqual(
    newer!.down.responses().map(({ nonce, systemVersionInfo }) => [nonce, systemVersionInfo]),
    [
      ["1", ""],
      ["2", ""],
      ["3", ""],
    ],
  );
  assert.equal(older!.down.received.length, 2);
});

test("no second response of a kind before the first is answered; then the newest state only", async (t) => {
  const global = await startGlobal(t);
  const { open, request } = handMade(t, global, headersOf("a", "test"));
  const down = open(path.globalToZone);
  const node = { id: "a", metadata: { features: ["hash-suffix"] } };
  for (const typeUrl of ["Mesh", "Secret"]) down.stream.send(request({ typeUrl, resourceNamesSubscribe: ["*"], node }));
  await down.counted(2);
  down.stream.send(request({ typeUrl: "Secret", responseNonce: "2" }));
  for (const skip of ["a", "b", "c"]) await global.put({ ...mesh, spec: { skipCreatingInitialPolicies: [skip] } });
  await global.put(secret);
  await down.counted(3);
  assert.deepEqual(
    down.responses().map(({ typeUrl }) => typeUrl),
    ["Mesh", "Secret", "Secret"],
  );
  down.stream.send(request({ typeUrl: "Mesh", responseNonce: "1" }));
  await down.counted(4);
  const [only] = down.responses()[3]!.resources;
  assert.ok(Buffer.from(only!.resource!.value).includes("c"));
  assert.equal(down.responses()[3]!.resources.length, 1);
});

test("what cannot be decoded is refused alone; what was not asked for is refused as a whole", async (t) => {
  const global = await startGlobal(t);
  const { open } = handMade(t, global, headersOf("a", "test"));
  const up = open(path.zoneToGlobal);
  await up.counted(zoneToGlobalKinds.length);
  const push = (typeUrl: string, nonce: string, values: readonly Uint8Array[]) =>
    up.stream.send([
      toBinary(
        DeltaDiscoveryResponseSchema,
        create(DeltaDiscoveryResponseSchema, {
          typeUrl,
          nonce,
          resources: values.map((value, i) => ({
            name: `r${i}.default`,
            version: "1",
            resource: { typeUrl: "", value },
          })),
        }),
      ),
    ]);
  const answers = () =>
    up
      .requests()
      .slice(zoneToGlobalKinds.length)
      .map((one) => [one.responseNonce, one.errorDetail?.message]);
  push("Dataplane", "1", [Uint8Array.of(0xff), encodeResource(kindNamed("Dataplane"), dataplane("d", "a"))]);
  push("Mesh", "2", [encodeResource(kindNamed("Mesh"), mesh)]);
  push("Nonsense", "3", [Uint8Array.of(1)]);
  await up.counted(zoneToGlobalKinds.length + 3);
  assert.match(String(answers()[0]![1]), /^cannot be decoded/);
  assert.deepEqual(answers().slice(1), [
    ["2", "Mesh was not asked for"],
    ["3", "Nonsense was not asked for"],
  ]);
  assert.deepEqual([global.store.list("Dataplane").length, global.store.list("Mesh").length], [1, 0]);
  assert.ok(
    up.requests().every(({ node }) => node?.id === "a"),
    "every request says the node",
  );
});

test("bytes that are no message end the stream at fault only", async (t) => {
  const global = await startGlobal(t);
  const { open } = handMade(t, global, headersOf("a", "test"));
  const [down, up] = [open(path.globalToZone), open(path.zoneToGlobal)];
  await up.counted(zoneToGlobalKinds.length);
  down.stream.send([Uint8Array.of(0xff)]);
  assert.equal((await down.end()).code, grpcCode.invalidArgument);
  up.stream.send([Uint8Array.of(0xff)]);
  assert.equal((await up.end()).code, grpcCode.invalidArgument);
});

test("a zone answers global's questions about its Envoys at once", () => {
  const question = toBinary(XDSConfigRequestSchema, create(XDSConfigRequestSchema, { requestId: "7" }));
  const answer = fromBinary(XDSConfigResponseSchema, adminAnswers[path.configDump]!(question));
  assert.deepEqual([answer.requestId, answer.result.case], ["7", "error"]);
});

test("a zone knows when others have heard of its change: their stores first, then their proxies", async (t) => {
  const global = await startGlobal(t, { zones: ["a", "b", "c"] });
  const acknowledged = Promise.withResolvers<void>();
  let asked = 0;
  let known: readonly Resource[] = [];
  const a = startZone(t, "a", global.target, {
    acknowledged: () => {
      asked++;
      known = a.store.list("ZoneIngress");
      a.changed.fire();
      return acknowledged.promise;
    },
  });
  const b = startZone(t, "b", global.target);
  const c = startZone(t, "c", global.target);
  for (const zone of [a, b, c]) await zone.linked(({ kind }) => kind === "connected");
  await b.put(ingress());
  await a.has("ZoneIngress", ingressOfB);
  await b.put(ingress([{ tags: { "kuma.io/service": "web" }, instances: 1, mesh: "default" }]));
  let isHeard = false;
  const heard = b.client.heard().then(() => {
    isHeard = true;
  });
  await a.changed.until(
    () => asked === 1,
    () => "the question",
  );
  assert.ok(known.some(({ spec }) => JSON.stringify(spec).includes("web")));
  assert.equal(isHeard, false);
  acknowledged.resolve();
  await heard;
  // One that is away is not waited for.
  a.stop();
  await global.changed.until(
    () => !global.server.isConnected("a"),
    () => "zone a to be away",
  );
  await b.client.heard();
  assert.equal(asked, 1);
});

test("a zone stays with a global of an earlier version, which cannot say who has heard, and waits for nobody there", async (t) => {
  const global = await startGlobal(t, { zones: ["a"], unknown: [path.heard] });
  const a = startZone(t, "a", global.target);
  await a.linked(({ kind }) => kind === "connected");
  await a.put(dataplane("d", "a"));
  await a.client.heard();
  await global.changed.until(
    () => global.store.list("Dataplane").length === 1,
    () => "the dataplane",
  );
  assert.deepEqual(
    a.links.map(({ kind }) => kind).filter((kind) => kind === "away"),
    [],
  );
});

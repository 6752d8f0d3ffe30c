// What the receiving end of a stream does with an absence, by what it knows of the sender's store: responses go in as bytes, the
// store and the answers come out (decision 6).

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { framed } from "#discovery/frame.ts";
import { DeltaDiscoveryRequestSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import type { Clock } from "#host/world.ts";
import { fromGlobal, fromZone } from "#kds/accept.ts";
import { itemOf } from "#kds/codec.ts";
import { accept, linkTo } from "#kds/link.ts";
import { receiving } from "#kds/receiving.ts";
import { refusedList } from "#kds/refused.ts";
import { resumeIn, type Said, saidText } from "#kds/resume.ts";
import { kindNamed } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Store } from "#resources/store.ts";
import { memoryStore } from "#store/memory.ts";

const random = { uuid: () => crypto.randomUUID() };
const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet };

/** Alarms ring when the test lets time pass. */
function testClock(): Clock & { pass(ms: number): void } {
  let now = 0;
  const alarms = new Set<{ readonly at: number; readonly ring: () => void }>();
  return {
    now: () => now,
    alarm(at, ring) {
      const alarm = { at, ring };
      alarms.add(alarm);
      return () => alarms.delete(alarm);
    },
    pass(ms) {
      now += ms;
      for (const alarm of [...alarms].filter(({ at }) => at <= now)) {
        alarms.delete(alarm);
        alarm.ring();
      }
    },
  };
}

type Change = Partial<Pick<Resource, "spec" | "labels">>;
function resource(kind: string, name: string, change: Change = {}): Resource {
  const mesh = kindNamed(kind).scope === "Mesh" ? "default" : "";
  const labels = { "kuma.io/origin": "global" };
  return { kind, mesh, name, labels, spec: {}, creationTime: zeroTime, modificationTime: zeroTime, ...change };
}
const cluster = (id: string): Resource => resource("Config", "kuma-cluster-id", { spec: { config: id } });

interface Sent {
  readonly upsert?: readonly Resource[];
  readonly remove?: readonly string[];
  readonly absent?: readonly string[];
  /** Of a Kodiak: its store, as `<store>.<opening>/<revision>`. */
  readonly from?: string;
  readonly more?: boolean;
  readonly resumed?: boolean;
}

/** A stream of these kinds, to a zone from global if not said otherwise. */
function stream(store: Store, kinds: readonly string[], { clock = testClock(), zone = "" } = {}) {
  const requests: ReturnType<typeof read>[] = [];
  const read = (bytes: Uint8Array) => fromBinary(DeltaDiscoveryRequestSchema, bytes);
  const answered = new Map<string, () => void>();
  let nonce = 0;
  const side = zone === "" ? fromGlobal : fromZone(zone);
  const peer = zone === "" ? "global" : zone;
  const receiver = receiving({
    stream: {
      send([bytes = new Uint8Array()]) {
        const request = read(bytes);
        requests.push(request);
        answered.get(request.responseNonce)?.();
        return true;
      },
    },
    kinds: kinds.map(kindNamed),
    zone: zone || "zone-1",
    peer,
    self: { instanceId: "test", version: "test" },
    side,
    store,
    validate: () => [],
    refused: refusedList(clock),
    clock,
    log: quiet,
    onFailure: (error) => {
      throw error;
    },
  });
  receiver.subscribe();
  return {
    clock,
    requests,
    ended: receiver.ended,
    /** Resolves with its answer. */
    send(kind: string, { upsert = [], remove = [], absent = [], from, more = false, resumed = false }: Sent) {
      const mine = String(++nonce);
      const done = new Promise<void>((resolve) => answered.set(mine, resolve));
      const revision = from === undefined ? "" : saidText({ position: positionOf(from), resumed, more });
      const items = upsert.map((one) => itemOf(kindNamed(kind), one));
      receiver.received(Buffer.concat(framed({ typeUrl: kind, nonce: mine, upsert: items, remove, absent, revision })));
      return done;
    },
    held: () => linkTo(peer, store).held.map(({ name, what, why }) => `${what} ${name} ${why}`),
    accept: () => accept(peer, side, store),
  };
}

function positionOf(text: string): Said["position"] {
  const [, store = "", opening = "", revision] = /^(\w+)\.(\w+)\/(\d+)$/.exec(text) ?? [];
  return { store, opening, revision: Number(revision) };
}

const names = (store: Store, kind: string): readonly string[] => store.list(kind).map(keyOf);
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

function emptyStore(): Store {
  return memoryStore({ now: () => 0 }, random);
}

test("a subscriber says where it stands and what it has; the answer is the difference", async () => {
  const store = emptyStore();
  const first = stream(store, ["MeshTimeout"]);
  const [a, b] = [resource("MeshTimeout", "a"), resource("MeshTimeout", "b")];
  await first.send("MeshTimeout", { upsert: [a, b], from: "S.1/5" });
  first.ended();
  const again = stream(store, ["MeshTimeout"]);
  const { cursor, has } = resumeIn(again.requests[0]!)!;
  assert.deepEqual(cursor, { store: "S", opening: "1", revision: 5 });
  const kind = kindNamed("MeshTimeout");
  assert.deepEqual(Object.fromEntries(has), {
    "a.default": itemOf(kind, a).version,
    "b.default": itemOf(kind, b).version,
  });
  const changed = { ...b, spec: { to: [] } };
  await again.send("MeshTimeout", { upsert: [changed], remove: ["a.default"], from: "S.2/7", resumed: true });
  assert.deepEqual(names(store, "MeshTimeout"), ["default/b"]);
  assert.deepEqual([again.held(), linkTo("global", store).cursor], [[], { store: "S", opening: "2", revision: 7 }]);
});

test("what a Kodiak with another store lacks is held, and so is what would replace keys; all else is applied", async () => {
  const store = emptyStore();
  const first = stream(store, ["Mesh", "MeshTimeout"]);
  const strict = resource("Mesh", "default", { spec: { mtls: { enabledBackend: "ca-1" } } });
  await Promise.all([
    first.send("Mesh", { upsert: [strict, resource("Mesh", "old")], from: "S.1/5", more: true }),
    first.send("MeshTimeout", { upsert: [resource("MeshTimeout", "t")], from: "S.1/5" }),
  ]);
  first.ended();

  const other = stream(store, ["Mesh", "MeshTimeout"]);
  const bare = resource("Mesh", "default");
  const changed = resource("MeshTimeout", "t", { spec: { to: [] } });
  await Promise.all([
    other.send("Mesh", { upsert: [bare, resource("Mesh", "new")], absent: ["old."], from: "T.t1/2", more: true }),
    other.send("MeshTimeout", { upsert: [changed], from: "T.t1/2" }),
  ]);
  assert.deepEqual(names(store, "Mesh"), ["default", "new", "old"]);
  assert.deepEqual(store.get(strict)?.spec, strict.spec);
  assert.deepEqual(store.get(changed)?.spec, changed.spec);
  assert.deepEqual(other.held(), ["change default. another store", "removal old. another store"]);

  // Its own it may change and take back.
  const news = resource("Mesh", "new", { spec: { mtls: { enabledBackend: "ca-2" } } });
  await other.send("Mesh", { upsert: [news], from: "T.t1/3" });
  assert.deepEqual(store.get(news)?.spec, news.spec);
  await other.send("Mesh", { remove: ["new."], from: "T.t1/4" });
  assert.deepEqual(names(store, "Mesh"), ["default", "old"]);

  // The end of one is that it comes back; the cursor stays for the other.
  await other.send("Mesh", { upsert: [resource("Mesh", "old")], from: "T.t1/5" });
  assert.deepEqual(other.held(), ["change default. another store"]);
  assert.equal(linkTo("global", store).cursor?.store, "S");
  await other.accept();
  assert.deepEqual([other.held(), linkTo("global", store).cursor?.store], [[], "T"]);
  assert.notEqual(
    resumeIn(stream(store, ["Mesh"]).requests[0]!)?.has.get("default."),
    itemOf(kindNamed("Mesh"), bare).version,
  );
  await other.send("Mesh", { upsert: [bare], from: "T.t1/6" });
  assert.deepEqual(store.get(bare)?.spec, {});
});

test("a response that comes twice within a revision counts once", async () => {
  const store = emptyStore();
  const one = stream(store, ["Mesh", "MeshTimeout"]);
  const both = { upsert: [resource("MeshTimeout", "a"), resource("MeshTimeout", "b")], from: "S.1/5", more: true };
  await Promise.all([
    one.send("MeshTimeout", both),
    one.send("MeshTimeout", both),
    one.send("Mesh", { upsert: [resource("Mesh", "default")], from: "S.1/5" }),
  ]);
  assert.deepEqual(names(store, "MeshTimeout"), ["default/a", "default/b"]);
});

test("what was held is held again after a restart, as long as nobody accepts it", async () => {
  const store = emptyStore();
  const first = stream(store, ["MeshTimeout"]);
  await first.send("MeshTimeout", { upsert: [resource("MeshTimeout", "t")], from: "S.1/5" });
  first.ended();
  for (const from of ["T.t1/9", "T.t2/10"]) {
    const other = stream(store, ["MeshTimeout"]);
    await other.send("MeshTimeout", { absent: ["t.default"], from });
    assert.deepEqual(other.held(), ["removal t.default another store"]);
    other.ended();
  }
  const accepted = stream(store, ["MeshTimeout"]);
  await accepted.accept();
  assert.deepEqual(names(store, "MeshTimeout"), []);
  assert.equal(linkTo("global", store).cursor?.opening, "t2");
});

test("a stock global: nothing is applied before its cluster id is known; what the known one lacks is gone", async () => {
  const store = emptyStore();
  const kinds = ["Config", "MeshTimeout", "ZoneIngress"];
  const first = stream(store, kinds);
  const ingress = resource("ZoneIngress", "in", { spec: { zone: "zone-2" } });
  await first.send("MeshTimeout", { upsert: [resource("MeshTimeout", "a"), resource("MeshTimeout", "b")] });
  await first.send("ZoneIngress", { upsert: [ingress] });
  await first.send("Config", { upsert: [cluster("one")] });
  first.ended();

  const again = stream(store, kinds);
  const timeouts = again.send("MeshTimeout", { upsert: [resource("MeshTimeout", "a")] });
  const ingresses = again.send("ZoneIngress", {});
  await settled();
  assert.deepEqual(names(store, "MeshTimeout"), ["default/a", "default/b"]);
  await again.send("Config", { upsert: [cluster("one")] });
  await Promise.all([timeouts, ingresses]);
  assert.deepEqual(names(store, "MeshTimeout"), ["default/a"]);
  // What proxies bring may come back.
  assert.deepEqual([names(store, "ZoneIngress"), again.held()], [["in"], ["removal in. returning"]]);
  again.clock.pass(29_999);
  await settled();
  assert.deepEqual(names(store, "ZoneIngress"), ["in"]);
  again.clock.pass(1);
  await settled();
  assert.deepEqual([names(store, "ZoneIngress"), again.held()], [[], []]);
});

test("a stock global with another cluster id, or none: what it lacks is held", async () => {
  for (const id of ["two", undefined]) {
    const store = emptyStore();
    const kinds = ["Config", "MeshTimeout", "Mesh"];
    const first = stream(store, kinds);
    await first.send("Config", { upsert: [cluster("one")] });
    await first.send("Mesh", { upsert: [resource("Mesh", "default")] });
    await first.send("MeshTimeout", { upsert: [resource("MeshTimeout", "a")] });
    first.ended();
    const other = stream(store, kinds);
    const mesh = other.send("Mesh", { upsert: [resource("Mesh", "default")] });
    const timeouts = other.send("MeshTimeout", {});
    if (id === undefined) other.clock.pass(5_000);
    else await other.send("Config", { upsert: [cluster(id)] });
    await Promise.all([mesh, timeouts]);
    assert.deepEqual(names(store, "MeshTimeout"), ["default/a"]);
    const why = id === undefined ? "nameless" : "another store";
    assert.ok(other.held().includes(`removal a.default ${why}`), String(other.held()));
    other.clock.pass(60_000);
    await settled();
    assert.deepEqual(names(store, "MeshTimeout"), ["default/a"]);
  }
});

test("a stock zone: what its proxies bring is gone after 30 s, all else is held; nobody waits for a cluster id", async () => {
  const store = emptyStore();
  const kinds = ["Dataplane", "MeshTimeout"];
  const own = { labels: { "kuma.io/origin": "zone", "kuma.io/zone": "zone-1" } };
  const first = stream(store, kinds, { zone: "zone-1" });
  const [one, two] = ["one", "two"].map((name) => resource("Dataplane", name, own));
  await first.send("Dataplane", { upsert: [one!, two!] });
  await first.send("MeshTimeout", { upsert: [resource("MeshTimeout", "t", own)] });
  first.ended();
  const again = stream(store, kinds, { zone: "zone-1" });
  await again.send("Dataplane", {});
  await again.send("MeshTimeout", {});
  assert.deepEqual(again.held(), [
    "removal one.default returning",
    "removal two.default returning",
    "removal t.default nameless",
  ]);
  await again.send("Dataplane", { upsert: [two!] });
  again.clock.pass(30_000);
  await settled();
  assert.deepEqual([names(store, "Dataplane"), names(store, "MeshTimeout")], [["default/two"], ["default/t"]]);
  assert.deepEqual(again.held(), ["removal t.default nameless"]);
});

test("a peer that says that more is to come, and never ends, is cut off before it fills the memory", () => {
  const { send } = stream(emptyStore(), ["MeshTimeout"]);
  const upsert = [resource("MeshTimeout", "large", { spec: { text: "x".repeat(9 * 1024 * 1024) } })];
  let sent = 0;
  assert.throws(() => {
    for (; sent < 100; sent++) void send("MeshTimeout", { upsert, from: "S.1/5", more: true });
  }, /^GrpcError: more than 1000 responses, or 134217728 bytes, came without waiting for an answer$/);
  assert.equal(sent, 14);
});

// Links that are made again, between our control planes over real ports: what travels, what is gone, and what is held (decision 6).

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { type Resume, resumeMetadata, saidIn } from "#kds/resume.ts";
import { headersOf, metadataOf, path } from "#kds/wire.ts";
import { memoryStore } from "#store/memory.ts";
import { resource, signal, startGlobal, startZone, type TestGlobal, type TestZone, world } from "./control-planes.ts";

const timeout = (name: string, connectionTimeout = "5s") =>
  resource("MeshTimeout", name, { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout } }] });
const freshStore = () => memoryStore(world.clock, world.random);
const momentOf = ({ store: { id, opening, revision } }: TestGlobal) => ({ store: id, opening, revision });
const ofZone = (zone: string) => ({ "kuma.io/origin": "zone", "kuma.io/zone": zone });
const dataplane = (name: string, zone: string) =>
  resource(
    "Dataplane",
    name,
    { networking: { address: "127.0.0.2", inbound: [{ port: 80, tags: { "kuma.io/service": "backend" } }] } },
    ofZone(zone),
  );
const ingress = resource("ZoneIngress", "in", { networking: { address: "127.0.0.9", port: 10001 } });

/** Subscribes to policies by hand; resolves with the responses of the first answer. */
async function subscribed(t: TestContext, global: TestGlobal, resume: Resume) {
  const connection = world.network.dial(global.target);
  t.after(() => connection.close());
  const changed = signal();
  const responses: DeltaDiscoveryResponse[] = [];
  let largestBytes = 0;
  const stream = connection.stream(path.globalToZone, { headers: headersOf("by-hand", "test") });
  stream.onMessage((message) => {
    largestBytes = Math.max(largestBytes, message.length);
    responses.push(fromBinary(DeltaDiscoveryResponseSchema, message));
    changed.fire();
  });
  stream.onDrained(() => {});
  stream.onEnd(() => {});
  const metadata = metadataOf({ instanceId: "by-hand", version: "test" }, resumeMetadata(resume));
  const request = { typeUrl: "MeshTimeout", resourceNamesSubscribe: ["*"], node: { id: "by-hand", metadata } };
  stream.send([toBinary(DeltaDiscoveryRequestSchema, create(DeltaDiscoveryRequestSchema, request))]);
  const saidOf = ({ systemVersionInfo }: DeltaDiscoveryResponse) => saidIn(systemVersionInfo)!;
  await changed.until(
    () => responses.length > 0 && !saidOf(responses.at(-1)!).more,
    () => `the whole answer, there are ${responses.length} responses`,
  );
  return {
    responses,
    largestBytes,
    said: saidOf(responses[0]!),
    upsert: responses.flatMap(({ resources }) => resources.map(({ name }) => name.replace(/-.*/, ""))),
    remove: responses.flatMap(({ removedResources }) => removedResources),
    absent: responses.flatMap(({ resourceErrors }) => resourceErrors.map((one) => one.resourceName?.name)),
    has: new Map(responses.flatMap(({ resources }) => resources.map(({ name, version }) => [name, version]))),
  };
}

test("the answer to a cursor is the difference: what changed, what was deleted or held back, and what is merely absent", async (t) => {
  const global = await startGlobal(t);
  await global.put(timeout("same"), timeout("changed"), timeout("deleted"), timeout("back"));
  const first = await subscribed(t, global, { cursor: undefined, has: new Map() });
  assert.deepEqual([...first.upsert].sort(), ["back", "changed", "deleted", "same"]);
  const cursor = momentOf(global);
  const nameOf = (stem: string) => [...first.has.keys()].find((name) => name.startsWith(`${stem}-`))!;

  await global.remove("MeshTimeout", "deleted");
  const heldBack = { ...timeout("back"), labels: { "kuma.io/kds-sync": "disabled" } };
  await global.put(timeout("changed", "6s"), timeout("added"), heldBack);
  const has = new Map([...first.has, ["never-known.default", "1"]]);
  const known = await subscribed(t, global, { cursor, has });
  assert.deepEqual([...known.upsert].sort(), ["added", "changed"]);
  assert.deepEqual([...known.remove].sort(), [nameOf("back"), nameOf("deleted")]);
  assert.deepEqual([known.absent, known.said.resumed], [["never-known.default"], true]);

  const strangers = [undefined, { ...cursor, store: "another" }, { ...cursor, revision: 1_000 }];
  for (const stranger of strangers) {
    const answer = await subscribed(t, global, { cursor: stranger, has });
    assert.deepEqual([...answer.upsert].sort(), ["added", "changed"]);
    assert.deepEqual([answer.remove, answer.said.resumed], [[], false]);
    assert.deepEqual(answer.absent.sort(), [nameOf("back"), nameOf("deleted"), "never-known.default"].sort());
  }
});

test("a large answer comes in responses of at most 1 MiB, and a zone applies it in one transaction", async (t) => {
  const global = await startGlobal(t);
  const large = Array.from({ length: 60 }, (_, i) => resource("MeshTimeout", `t${i}`, { filler: "x".repeat(50_000) }));
  await global.put(...large, resource("Mesh", "default", {}));
  const { responses, largestBytes, upsert } = await subscribed(t, global, { cursor: undefined, has: new Map() });
  assert.equal(upsert.length, 60);
  assert.ok(responses.length >= 3 && largestBytes <= 1_048_576, `${responses.length}, ${largestBytes}`);
  const zone = startZone(t, "a", global.target);
  await zone.linked(
    (link) => link.kind === "connected" && link.applied === `${global.store.id}/${global.store.revision}`,
  );
  const timeouts = zone.commits.map(({ changes }) => changes.filter(({ id }) => id.kind === "MeshTimeout").length);
  assert.deepEqual(
    timeouts.filter((count) => count > 0),
    [60],
  );
});

/** Both of them wait until global's state is here. */
const caughtUp = (zone: TestZone, global: TestGlobal): Promise<void> =>
  zone.linked((link) => link.kind === "connected" && link.applied === `${global.store.id}/${global.store.revision}`);
const heldOf = (zone: TestZone): readonly string[] =>
  zone.client.links.list().flatMap(({ held }) => held.map(({ what, kind }) => `${what} ${kind}`));

test("what was deleted, and what a zone was disabled for, while a link was cut is gone when it is back", async (t) => {
  const global = await startGlobal(t);
  await global.put(timeout("t"), timeout("stays"));
  const [a, b] = [startZone(t, "a", global.target), startZone(t, "b", global.target)];
  await b.put(ingress, dataplane("d", "b"), dataplane("e", "b"));
  await Promise.all(
    [a, b].map((zone) =>
      zone.changed.until(
        () => zone.store.list("MeshTimeout").length === 2,
        () => "two",
      ),
    ),
  );
  await a.changed.until(
    () => a.store.list("ZoneIngress").length === 1,
    () => "the ingress",
  );
  await global.changed.until(
    () => global.store.list("Dataplane").length === 2,
    () => "the dataplanes",
  );
  await global.stop();
  for (const zone of [a, b]) await zone.linked(({ kind }) => kind === "away");

  await global.remove("MeshTimeout", "t");
  await global.put({ ...(await global.has("Zone", "b")), spec: { enabled: false } });
  await b.remove("Dataplane", "d");
  const again = await startGlobal(t, { as: global });
  for (const zone of [a, b])
    await zone.changed.until(
      () => zone.store.list("MeshTimeout").length === 1,
      () => "one",
    );
  await a.changed.until(
    () => a.store.list("ZoneIngress").length === 0,
    () => "no ingress",
  );
  await again.changed.until(
    () => again.store.list("Dataplane").length === 1,
    () => "one dataplane",
  );
  assert.deepEqual([heldOf(a), heldOf(b), again.server.links.list().flatMap(({ held }) => held)], [[], [], []]);
});

test("a deletion is known by name for 30 days; a zone that was away for longer holds what is absent", async (t) => {
  const [dayMs, hourMs] = [86_400_000, 3_600_000];
  let laterMs = 0;
  const store = memoryStore({ now: () => world.clock.now() + laterMs }, world.random);
  let global = await startGlobal(t, { store });
  await global.put(timeout("early"), timeout("late"), timeout("stays"));
  const zone = startZone(t, "a", global.target);
  const has = (count: number) =>
    zone.changed.until(
      () => zone.store.list("MeshTimeout").length === count,
      () => `${count} timeouts, there are ${zone.store.list("MeshTimeout").length}`,
    );
  const isAwayWhile = async (name: string, ms: number) => {
    await caughtUp(zone, global);
    await global.stop();
    await zone.linked(({ kind }) => kind === "away");
    await global.remove("MeshTimeout", name);
    laterMs += ms;
    global = await startGlobal(t, { as: global });
  };
  await has(3);
  await isAwayWhile("early", 30 * dayMs - hourMs);
  await has(2);
  assert.deepEqual(heldOf(zone), []);

  await isAwayWhile("late", 30 * dayMs + hourMs);
  await zone.changed.until(
    () => heldOf(zone).length > 0,
    () => "what is held",
  );
  const held = zone.client.links.list().flatMap(({ held }) => held.map(({ what, kind, why }) => [what, kind, why]));
  assert.deepEqual(held, [
    ["removal", "MeshTimeout", "its store lacks these, and does not remember that they were deleted"],
  ]);
  assert.equal(zone.store.list("MeshTimeout").length, 2);
});

test("a global with an empty store: nothing goes, what it makes arrives; accepted, the zone is as global says", async (t) => {
  const global = await startGlobal(t);
  await global.put(
    timeout("t"),
    resource("Mesh", "default", { mtls: { enabledBackend: "ca-1" } }),
    resource("Secret", "key", { data: "a2V5" }),
  );
  const [a, b] = [startZone(t, "a", global.target), startZone(t, "b", global.target)];
  await b.put(ingress);
  await Promise.all([a, b].map((zone) => zone.has("Mesh", "default")));
  await a.changed.until(
    () => a.store.list("ZoneIngress").length === 1,
    () => "the ingress",
  );
  const before = a.store.list("ZoneIngress");
  await global.stop();
  for (const zone of [a, b]) await zone.linked(({ kind }) => kind === "away");

  const empty = await startGlobal(t, { as: global, store: freshStore() });
  await empty.put(resource("Mesh", "default", {}), timeout("new"));
  for (const zone of [a, b])
    await zone.changed.until(
      () => zone.store.list("MeshTimeout").length === 2 && heldOf(zone).length === 3,
      () => `what is held, there is ${heldOf(zone)}`,
    );
  // The ingress of the other zone is back, as it was.
  await a.changed.until(
    () => a.store.list("ZoneIngress").length === 1,
    () => "the ingress",
  );
  assert.deepEqual([...heldOf(a)].sort(), ["change Mesh", "removal MeshTimeout", "removal Secret"]);
  assert.deepEqual(a.store.list("ZoneIngress"), before);
  assert.deepEqual((await a.has("Mesh", "default")).spec, { mtls: { enabledBackend: "ca-1" } });

  assert.deepEqual(await a.client.links.accept("global"), { removals: 2, changes: 1 });
  await a.has("Mesh", "default", ({ spec }) => spec.mtls === undefined);
  await a.hasNot("Secret", "key");
  assert.equal(a.store.list("MeshTimeout").length, 1);
  assert.deepEqual([heldOf(a), heldOf(b).length], [[], 3]);
  await assert.rejects(a.client.links.accept("zone-x"), /the link to "zone-x" does not exist/);

  // The known store is back: only what it never had is held, now against it.
  await empty.stop();
  await startGlobal(t, { as: global });
  const why = () => b.client.links.list().flatMap(({ held }) => held.map((one) => `${one.kind}: ${one.why}`));
  const isLeft = () => why().length === 1 && /^MeshTimeout: .* does not remember /.test(String(why()));
  await b.changed.until(isLeft, () => `one held, there is ${why()}`);
});

test("a zone with an empty store: global keeps what it had of it until it is back, or accepted", async (t) => {
  const global = await startGlobal(t);
  const zone = startZone(t, "a", global.target);
  await zone.put(dataplane("d", "a"), dataplane("e", "a"), ingress);
  await global.changed.until(
    () => global.store.list("Dataplane").length === 2,
    () => "two",
  );
  await global.has("Zone", "a");
  zone.stop();
  const heldHere = () => global.server.links.list().flatMap(({ held }) => held.map(({ kind }) => kind));
  const again = startZone(t, "a", global.target);
  await again.put(dataplane("f", "a"));
  await global.changed.until(
    () => heldHere().length === 3,
    () => `three held, there are ${heldHere()}`,
  );
  assert.equal(global.store.list("Dataplane").length, 3);
  await again.put(dataplane("d", "a"));
  await global.changed.until(
    () => heldHere().length === 2,
    () => `two held, there are ${heldHere()}`,
  );
  assert.deepEqual(await global.server.links.accept("a"), { removals: 2, changes: 0 });
  assert.deepEqual(
    [global.store.list("Dataplane").length, global.store.list("ZoneIngress").length, heldHere()],
    [2, 0, []],
  );
  await again.remove("Dataplane", "d");
  await global.changed.until(
    () => global.store.list("Dataplane").length === 1,
    () => "one",
  );
});

test("what was lost on one side comes back, and nothing else is sent again", async (t) => {
  const global = await startGlobal(t);
  await global.put(timeout("t"), timeout("u"));
  const zone = startZone(t, "a", global.target);
  await zone.put(dataplane("d", "a"), dataplane("e", "a"));
  await caughtUp(zone, global);
  await global.changed.until(
    () => global.store.list("Dataplane").length === 2,
    () => "two",
  );
  await global.stop();
  await zone.linked(({ kind }) => kind === "away");
  // Not by the zone: as if rows had been deleted in the database.
  await global.store.write(
    global.store
      .list("Dataplane")
      .slice(0, 1)
      .map((id) => ({ kind: "delete", id })),
  );
  const commits = zone.commits.length;
  const again = await startGlobal(t, { as: global });
  await again.changed.until(
    () => again.store.list("Dataplane").length === 2,
    () => "two again",
  );
  const { received } = zone.client.counts.byKind.get("MeshTimeout")!;
  assert.equal(received, 2, "one response each time");
  assert.equal(zone.commits.length, commits);
});

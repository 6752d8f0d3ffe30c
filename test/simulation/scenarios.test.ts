// Hours in milliseconds: what happens while global is away, when it is back, and when a link has been cut.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { DeltaDiscoveryResponseSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { path } from "#kds/wire.ts";
import { presenceIn } from "#owned/online.ts";
import { downMisfits, misfits, upMisfits } from "./checks.ts";
import type { ControlPlane } from "./control-plane.ts";
import { allHeld } from "./loss-checks.ts";
import { timeout } from "./manifests.ts";
import type { Frame } from "./network.ts";
import { proxyMisfits } from "./proxy-checks.ts";
import type { Stage } from "./stage.ts";
import { end, instance, twoZones } from "./two-zones.ts";

const minute = 60_000;

const revisions = ({ global, zones }: Stage): readonly number[] =>
  [global, ...zones].map(({ disk }) => disk.commits.length);

/** What was committed since: kind and name of each change. */
const changedSince = ({ disk }: ControlPlane, revision = 0): readonly string[] =>
  disk.commits.slice(revision).flatMap(({ changes }) => changes.map(({ id }) => `${id.kind} ${id.name}`));

/** Names of the resources that global sends to a zone from here on. */
function sentDownTo(on: Stage, zone: ControlPlane): readonly string[] {
  const names: string[] = [];
  const down = new Set<number>();
  on.observe((from, to, frame) => {
    if (from === zone.name && to === "global" && frame.kind === "open") {
      if (frame.path === path.globalToZone) down.add(frame.id);
      else down.delete(frame.id);
    }
    if (from !== "global" || to !== zone.name || frame.kind !== "message" || !down.has(frame.id)) return;
    const { resources } = fromBinary(DeltaDiscoveryResponseSchema, frame.bytes);
    names.push(...resources.map(({ name }) => name));
  });
  return names;
}

const bytesIn = (frame: unknown): Uint8Array => {
  const { kind, bytes } = frame as Extract<Frame, { kind: "message" }>;
  return kind === "message" ? bytes : new Uint8Array();
};

const zoneMisfits = (on: Stage, zone: ControlPlane): readonly string[] =>
  proxyMisfits(
    zone,
    on.proxies.filter((proxy) => proxy.zone === zone.name),
  );

test("A8: while global is down for an hour, zones scale, take in new proxies and are restarted", async () => {
  const on = await twoZones();
  const { zoneA, zoneB } = on;
  on.global.kill();
  await on.time.advance(10 * minute);
  const [second, third] = [instance(on, zoneA, 2), instance(on, zoneA, 3)];
  await on.time.advance(minute);
  assert.deepEqual(zoneMisfits(on, zoneA), []);
  assert.deepEqual(second.has.endpoint.get("backend"), third.has.endpoint.get("backend"));

  third.kill();
  await on.time.advance(minute);
  assert.equal(zoneA.disk.get(third), undefined, "an instance that was killed is forgotten");
  zoneB.kill();
  await on.time.advance(minute);
  zoneB.start();
  instance(on, zoneB, 2);
  await on.time.advance(47 * minute);
  for (const zone of on.zones) assert.deepEqual(zoneMisfits(on, zone), []);
  assert.deepEqual(on.problems, []);
  end(on);
});

test("A9: global is back after an hour: nothing is rewritten that did not change; what did is there within 5 s", async () => {
  const on = await twoZones();
  const { zoneA, zoneB, global } = on;
  global.kill();
  await on.time.advance(60 * minute);
  const [atGlobal, atA, atB] = revisions(on);
  const sent = sentDownTo(on, zoneA);
  global.start();
  await on.time.advance(5_000);
  for (const zone of on.zones) assert.deepEqual([...downMisfits(global, zone), ...upMisfits(global, zone)], []);
  await on.time.advance(minute);
  assert.deepEqual([changedSince(zoneA, atA), changedSince(zoneB, atB), sent], [[], [], []]);
  const written = changedSince(global, atGlobal);
  assert.deepEqual([...new Set(written)].sort(), ["ZoneInsight zone-a", "ZoneInsight zone-b"]);

  global.kill();
  await on.time.advance(minute);
  instance(on, zoneB, 2);
  await on.time.advance(59 * minute);
  const [, againA] = revisions(on);
  global.start();
  await on.time.advance(5_000);
  assert.deepEqual(misfits(on), []);
  // Counters are recorded every 10 s.
  await on.time.advance(10_000);
  // In zone-a the other zone's ingress has one instance more behind it, of which the proxy there has heard; no more than that.
  const kinds = changedSince(zoneA, againA).map((change) => change.split(" ")[0]);
  assert.deepEqual([...new Set(kinds)].sort(), ["DataplaneInsight", "ServiceInsight", "ZoneIngress"]);
  assert.deepEqual(misfits(on), []);
  end(on);
});

test("A11: a link is cut, both sides change; it is shown since when, and only what changed is sent", async () => {
  const on = await twoZones();
  const { zoneA, zoneB, global } = on;
  on.put(global, timeout("m1", "stays", 1));
  on.put(global, timeout("m1", "changes", 2));
  on.put(global, timeout("m1", "goes", 3));
  await on.time.advance(minute);
  const cutAt = on.time.now();
  on.links.cut("global", zoneB.name);
  await on.time.advance(10 * minute);
  const shown = presenceIn(global.disk.get({ kind: "ZoneInsight", mesh: "", name: zoneB.name })?.spec);
  assert.equal(shown.isOnline, false);
  const since = Date.parse(shown.since ?? "") - cutAt;
  assert.ok(since > 0 && since <= 31_000, `shown as away since ${since} ms after the cut`);

  on.put(global, timeout("m1", "changes", 4));
  on.put(global, timeout("m1", "comes", 5));
  on.delete(global, { kind: "MeshTimeout", mesh: "m1", name: "goes" });
  on.put(zoneB, timeout("m1", "of-zone-b", 6));
  instance(on, zoneA, 2);
  instance(on, zoneB, 2);
  await on.time.advance(10 * minute);
  for (const zone of on.zones) assert.deepEqual(zoneMisfits(on, zone), []);

  const [, , before] = revisions(on);
  const sent = sentDownTo(on, zoneB);
  on.links.heal("global", zoneB.name);
  await on.time.advance(10_000);
  assert.deepEqual(misfits(on), []);
  const policies = changedSince(zoneB, before).filter((change) => change.startsWith("MeshTimeout"));
  assert.deepEqual(policies.map((change) => change.replace(/-[a-z0-9]{16}$/, "")).sort(), [
    "MeshTimeout changes",
    "MeshTimeout comes",
    "MeshTimeout goes",
  ]);
  const sentPolicies = sent.filter((name) => /^(stays|changes|comes|goes|all)-[a-z0-9]{16}\./.test(name));
  assert.deepEqual(sentPolicies.map((name) => name.split("-")[0]).sort(), ["changes", "comes"]);
  end(on);
});

const restarts = {
  "global alone": ["global ends", "global starts"],
  "global, and the zone meanwhile": ["global ends", "zone ends", "zone starts", "global starts"],
  "the zone, and global meanwhile": ["zone ends", "global ends", "global starts", "zone starts"],
  "the zone while global ends and comes back": ["global ends", "zone ends", "global starts", "zone starts"],
} as const;
for (const [which, steps] of Object.entries(restarts))
  test(`A22: a restart of ${which}; proxies ask and both sides write at each step: all of it arrives everywhere`, async () => {
    const on = await twoZones();
    const { zoneA, zoneB, global } = on;
    let count = 0;
    const proxies: string[] = [];
    const written: Record<"byGlobal" | "byZone", string[]> = { byGlobal: [], byZone: [] };
    /** As far as somebody is there to take it; a proxy asks until somebody is. */
    const everybodyWrites = (): void => {
      count++;
      proxies.push(instance(on, zoneA, 1 + count).name);
      for (const [at, names, name] of [
        [global, written.byGlobal, `of-global-${count}`],
        [zoneA, written.byZone, `of-zone-${count}`],
      ] as const) {
        if (!at.isRunning) continue;
        on.put(at, timeout("m1", name, count));
        names.push(name);
      }
    };
    everybodyWrites();
    for (const step of steps) {
      // Shorter than what was written takes to the other side: it is on its way when somebody ends.
      await on.time.advance(1);
      const one = step.startsWith("global") ? global : zoneA;
      if (step.endsWith("ends")) one.kill();
      else one.start();
      everybodyWrites();
      await on.time.advance(step.endsWith("ends") ? 3_000 : 0);
      everybodyWrites();
    }
    await on.time.advance(2 * minute);

    const names = (at: ControlPlane, kind: string, pattern: RegExp): readonly string[] =>
      [...at.disk.resources()].flatMap((one) => (one.kind === kind && pattern.exec(one.name)?.[0]) || []).sort();
    for (const at of [global, zoneA, zoneB])
      assert.deepEqual(names(at, "MeshTimeout", /^of-global-\d+/), written.byGlobal.toSorted(), at.name);
    for (const at of [global, zoneA]) {
      assert.deepEqual(names(at, "MeshTimeout", /^of-zone-\d+/), written.byZone.toSorted(), at.name);
      assert.deepEqual(names(at, "Dataplane", /^zone-a-([2-9]|\d\d+)/), proxies.toSorted(), at.name);
    }
    assert.deepEqual([...allHeld(on), ...misfits(on)], []);
    end(on);
  });

test("what a zone has sent before it lost its store, and what arrives when it is back, does not stay at global", async () => {
  const on = await twoZones();
  const { zoneA, global } = on;
  on.links.tamper("global", zoneA.name, (frame) =>
    Buffer.from(bytesIn(frame)).includes("late-") ? "delay" : undefined,
  );
  on.put(zoneA, timeout("m1", "late", 1));
  await on.time.advance(10);
  zoneA.lose();
  zoneA.start();
  await on.time.advance(minute);
  global.accept();
  await on.time.advance(minute);
  assert.deepEqual(misfits(on), []);
  end(on);
});

test("a proxy that reads nothing delays none of the others: each has each change when one way has passed", async () => {
  const on = await twoZones();
  const { zoneA } = on;
  const [stuck, ...others] = [2, 3, 4].map((number) => instance(on, zoneA, number));
  assert.ok(stuck);
  const hostOf = ({ zone, name }: typeof stuck) => `${zone}/${name}`;
  for (const one of others) on.links.slow(zoneA.name, hostOf(one), [1, 1]);
  await on.time.advance(minute);
  // Each response is more than fits into a window.
  const tags = { "kuma.io/service": "backend", "kuma.io/protocol": "http", note: "x".repeat(5_000) };
  const change = (port: number): void =>
    on.put(zoneA, {
      ...{ type: "Dataplane", mesh: "m1", name: "by-hand" },
      networking: { address: "10.0.0.9", inbound: [{ port, tags }] },
    });
  const { heardAt } = stuck;
  on.links.cut(zoneA.name, hostOf(stuck));
  // Shorter than a connection lives without an answer.
  for (let i = 0; i < 50; i++) {
    const at = on.time.now();
    change(8_000 + i);
    await on.time.advance(200);
    assert.deepEqual(
      others.map((one) => one.heardAt - at),
      others.map(() => 1),
    );
  }
  assert.equal(stuck.heardAt, heardAt);
  on.links.heal(zoneA.name, hostOf(stuck));
  await on.time.advance(minute);
  assert.deepEqual(misfits(on), []);
  end(on);
});

test("P1: a zone's control plane is cut off from its proxies: nobody is forgotten, no other zone is told less, and all is as before", async () => {
  const on = await twoZones();
  const { zoneA, global } = on;
  for (const number of [2, 3, 4, 5]) instance(on, zoneA, number);
  await on.time.advance(minute);
  const own = on.proxies.filter(({ zone }) => zone === zoneA.name);
  const others = on.proxies.filter(({ zone }) => zone !== zoneA.name);
  const endpoints = () => others.map(({ has }) => [...has.endpoint]);
  const before = endpoints();
  for (const lastsMs of [25_000, 35_000, 60 * minute]) {
    const [atGlobal, atA] = revisions(on);
    for (const { name } of own) on.links.cut(zoneA.name, `${zoneA.name}/${name}`);
    await on.time.advance(lastsMs);
    assert.deepEqual(endpoints(), before, `cut for ${lastsMs} ms`);
    for (const { name } of own) on.links.heal(zoneA.name, `${zoneA.name}/${name}`);
    await on.time.advance(2 * minute);
    assert.deepEqual(endpoints(), before);
    assert.deepEqual(misfits(on), []);
    const kinds = (changes: readonly string[]) => [...new Set(changes.map((change) => change.split(" ")[0]))].sort();
    for (const changes of [changedSince(zoneA, atA), changedSince(global, atGlobal)])
      assert.deepEqual(
        kinds(changes).filter((kind) => !kind?.endsWith("Insight")),
        [],
        `cut for ${lastsMs} ms`,
      );
  }
  // A machine that vanishes is another matter.
  const vanished = own.filter(({ kind }) => kind === "Dataplane").slice(0, 2);
  for (const one of vanished) on.links.cut(zoneA.name, `${zoneA.name}/${one.name}`);
  await on.time.advance(80_000);
  for (const one of vanished) for (const at of [zoneA, global]) assert.equal(at.disk.get(one), undefined);
  assert.notDeepEqual(endpoints(), before);
  end(on);
});

test("an instance that is lost with its control plane is forgotten when that has been back for 40 s; one that a user wrote stays", async () => {
  const on = await twoZones();
  const { zoneA } = on;
  const [second, third] = [instance(on, zoneA, 2), instance(on, zoneA, 3)];
  const written = { kind: "Dataplane", mesh: "m1", name: "by-hand" };
  const inbound = [{ port: 8080, tags: { "kuma.io/service": "backend", "kuma.io/protocol": "http" } }];
  on.put(zoneA, { type: "Dataplane", mesh: "m1", name: written.name, networking: { address: "10.0.0.9", inbound } });
  await on.time.advance(minute);
  zoneA.kill();
  for (const one of [second, third]) one.kill();
  await on.time.advance(minute);
  zoneA.start();
  await on.time.advance(49_000);
  for (const one of [second, third]) assert.ok(zoneA.disk.get(one), "those that are not back have 40 s, and 10 s more");
  await on.time.advance(31_000);
  for (const one of [second, third]) {
    assert.equal(zoneA.disk.get(one), undefined);
    assert.equal(zoneA.disk.get({ ...one, kind: "DataplaneInsight" }), undefined);
  }
  assert.ok(zoneA.disk.get(written));
  // As a user writes it now, it is no proxy's any more.
  on.put(zoneA, { type: "Dataplane", mesh: "m1", name: second.name, networking: { address: "10.0.0.2", inbound } });
  await on.time.advance(minute);
  zoneA.kill();
  zoneA.start();
  await on.time.advance(minute);
  assert.ok(zoneA.disk.get(second));
  assert.deepEqual(misfits(on), []);
  end(on);
});

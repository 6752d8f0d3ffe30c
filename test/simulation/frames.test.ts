// A session between a zone and global, as it is from the first subscription to a reconnect, with one frame of it dropped, doubled
// or delayed: each frame in turn in `npm run soak`; in `npm test` the first of what is sent together, in two of the ways.
// Whichever it is, no proxy loses anything meanwhile, and when it is over all is as computed from scratch. Found: a response that
// came twice within what is written together was refused, and ended the stream.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#lib/json.ts";
import { times } from "../lab/soak.ts";
import { misfits } from "./checks.ts";
import type { ControlPlane } from "./control-plane.ts";
import { allHeld, lossMisfits } from "./loss-checks.ts";
import { meshSpec, permission, timeout } from "./manifests.ts";
import type { Frame } from "./network.ts";
import { type Stage, stage } from "./stage.ts";
import { type Fault, faults } from "./wire.ts";

/** A frame that is damaged: the how-manieth between the zone and global. */
interface Damage {
  readonly frame: number;
  readonly fault: Fault;
}

interface Sent {
  readonly frame: Frame;
  /** The event in which it was sent. */
  readonly step: number;
}

interface Outcome {
  readonly frames: readonly Sent[];
  readonly wrong: readonly string[];
}

async function session(damage?: Damage): Promise<Outcome> {
  const on = await stage({ seed: 1, zones: 2, meshes: ["m1"] });
  const [zoneA, zoneB] = on.zones;
  assert.ok(zoneA && zoneB);
  const frames: Sent[] = [];
  on.links.tamper("global", zoneA.name, (frame) => {
    frames.push({ frame: frame as Frame, step: on.time.step });
    return frames.length - 1 === damage?.frame ? damage.fault : undefined;
  });

  on.global.start();
  zoneB.start();
  on.put(on.global, meshSpec("m1", "STRICT"));
  on.put(on.global, permission("m1", "all", "Allow"));
  on.put(on.global, timeout("m1", "goes", 1));
  await on.time.advance(100);
  for (const zone of on.zones) ingress(on, zone);
  instance(on, zoneB, 1);
  await on.time.advance(2_000);
  zoneA.start();
  on.put(zoneA, timeout("m1", "of-zone-a", 2));
  instance(on, zoneA, 1);
  const second = instance(on, zoneA, 2);
  await on.time.advance(4_000);

  on.put(on.global, timeout("m1", "comes", 3));
  on.put(zoneA, timeout("m1", "of-zone-a", 4));
  instance(on, zoneB, 2);
  await on.time.advance(2_000);

  on.delete(on.global, { kind: "MeshTimeout", mesh: "m1", name: "goes" });
  on.delete(zoneA, { kind: "MeshTimeout", mesh: "m1", name: "of-zone-a" });
  second.leave();
  await on.time.advance(12_000);

  on.links.reset("global", zoneA.name);
  on.put(on.global, timeout("m1", "comes", 5));
  await on.time.advance(60_000);
  const lost = on.proxies.flatMap(({ name, lost }) => [...lost].map((one) => `${name} lost ${one}`));
  const wrong = [...lost, ...lossMisfits(on), ...allHeld(on), ...misfits(on)];
  for (const one of [on.global, ...on.zones, ...on.proxies]) one.kill();
  return { frames, wrong };
}

function ingress(on: Stage, zone: ControlPlane): void {
  const address = `10.${on.zones.indexOf(zone)}.1.1`;
  on.proxy({ zone: zone.name, kind: "ZoneIngress", mesh: "", name: `ingress-${zone.name}` }).start({
    networking: { address, port: 10001, advertisedAddress: address, advertisedPort: 10001 },
  });
}

/** Offers its own service and uses those of both zones. */
function instance(on: Stage, zone: ControlPlane, number: number) {
  const proxy = on.proxy({ zone: zone.name, kind: "Dataplane", mesh: "m1", name: `${zone.name}-${number}` });
  const service = (name: string): JsonObject => ({ "kuma.io/service": `of-${name}` });
  proxy.start({
    networking: {
      address: `10.${on.zones.indexOf(zone)}.0.${number}`,
      inbound: [{ port: 8080, tags: { ...service(zone.name), "kuma.io/protocol": "http" } }],
      outbound: on.zones.map(({ name }, i) => ({ port: 9000 + i, tags: service(name) })),
    },
  });
  return proxy;
}

/** Half a minute's worth. */
const progressEvery = 100;

/** All else than messages is the connection's own, which sees to it that nothing comes twice. */
function damagesIn(frames: readonly Sent[]): readonly Damage[] {
  const firsts = frames.flatMap(({ step }, i) => (step === frames[i - 1]?.step ? [] : [i]));
  const some = firsts.flatMap((frame, i): Damage[] => [
    { frame, fault: "drop" },
    { frame, fault: i % 2 === 0 ? "double" : "delay" },
  ]);
  const all = frames.flatMap((_, frame) => faults.map((fault): Damage => ({ frame, fault })));
  return times(some, all).filter(({ frame, fault }) => fault !== "double" || frames[frame]?.frame.kind === "message");
}

test("each frame of a session is dropped, doubled and delayed in turn", async () => {
  const whole = await session();
  assert.deepEqual(whole.wrong, []);
  const found: string[] = [];
  const damages = damagesIn(whole.frames);
  for (const [i, damage] of damages.entries()) {
    if (i > 0 && i % progressEvery === 0)
      process.stderr.write(`${i} of ${damages.length} damages tried, ${found.length} wrong\n`);
    const { frame, fault } = damage;
    const { wrong } = await session(damage);
    found.push(...wrong.map((what) => `frame ${frame} (${whole.frames[frame]?.frame.kind}), ${fault}: ${what}`));
  }
  assert.deepEqual(found, []);
});

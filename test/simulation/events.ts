// What happens in a simulation, one thing at a time: users write, proxies come and go, control planes are killed, links are
// cut, frames are damaged, stores are lost. Whatever it is, it may happen at any moment.

import type { JsonObject } from "#lib/json.ts";
import type { ControlPlane } from "./control-plane.ts";
import { meshSpec, permission, route, timeout } from "./manifests.ts";
import type { Frame } from "./network.ts";
import type { SimulatedProxy } from "./proxy.ts";
import type { Stage } from "./stage.ts";
import { faults } from "./wire.ts";

export const meshes = ["m1", "m2"] as const;
const services = ["s1", "s2", "s3"] as const;
const names = ["one", "two", "three"] as const;

/** What is there at the beginning: meshes, who may call, and in each zone an ingress and a proxy. */
export function begin(on: Stage): void {
  on.global.start();
  for (const zone of on.zones) zone.start();
  for (const mesh of meshes) {
    on.put(on.global, meshSpec(mesh, "STRICT"));
    on.put(on.global, permission(mesh, "all", "Allow"));
  }
  for (const zone of on.zones) {
    startIngress(on, zone);
    startProxy(on, zone);
  }
}

/** One thing, at random. */
export function happen(on: Stage): void {
  const { random } = on;
  const [, event] = pickWeighted(on, events);
  event(on, random.pick(on.zones));
}

type Event = readonly [weight: number, happen: (on: Stage, zone: ControlPlane) => void];

const events: readonly Event[] = [
  [5, (on) => writePolicy(on, on.global, on.random.pick(meshes), on.random.pick(names))],
  [2, (on, zone) => writePolicy(on, zone, on.random.pick(meshes), `${zone.name}-${on.random.pick(names)}`)],
  [2, (on) => changeMesh(on)],
  [1, (on, zone) => writeInstance(on, zone)],
  [6, (on, zone) => startProxy(on, zone)],
  [3, (on, zone) => endProxy(on, zone, "kill")],
  [2, (on, zone) => endProxy(on, zone, "leave")],
  [2, (on, zone) => restartProxy(on, zone)],
  [2, (on, zone) => resetProxies(on, zone)],
  [2, (on, zone) => cut(on, zone)],
  [3, (on, zone) => heal(on, zone)],
  [2, (on, zone) => slowDown(on, zone)],
  [2, (on, zone) => reset(on, zone)],
  [3, (on, zone) => tamper(on, zone)],
  [2, (on, zone) => endControlPlane(on, on.random.is(0.4) ? on.global : zone)],
  [1, (on, zone) => copyStore(on, on.random.is(0.5) ? on.global : zone)],
  [1, (on, zone) => loseStore(on, on.random.is(0.5) ? on.global : zone)],
  [1, (on, zone) => accept(on, on.random.is(0.5) ? on.global : zone)],
];

function pickWeighted(on: Stage, from: readonly Event[]): Event {
  return on.random.pick(from.flatMap((event) => Array<Event>(event[0]).fill(event)));
}

function writePolicy(on: Stage, at: ControlPlane, mesh: string, name: string): void {
  if (!at.isRunning) return;
  const { random } = on;
  const policy = random.pick([
    permission(mesh, name, random.pick(["Allow", "Deny"])),
    timeout(mesh, name, random.between(1, 9)),
    route(mesh, name, random.pick(services), random.pick(services)),
  ]);
  const what = `${policy.type} ${name} of ${mesh}, at ${at.name}`;
  if (random.is(0.3)) {
    on.say(`delete ${what}`);
    on.delete(at, { kind: String(policy.type), mesh, name });
  } else {
    on.say(`write ${what}: ${JSON.stringify(policy.spec)}`);
    on.put(at, policy);
  }
}

/** Without a proxy of ours: it is there as long as it is written. */
function writeInstance(on: Stage, zone: ControlPlane): void {
  if (!zone.isRunning) return;
  const [mesh, name] = [on.random.pick(meshes), `${zone.name}-by-hand`];
  if (on.random.is(0.3)) {
    on.say(`delete the Dataplane ${name} of ${mesh}`);
    on.delete(zone, { kind: "Dataplane", mesh, name });
  } else {
    const definition = dataplane(on, zone, mostProxies + 1);
    on.say(`write the Dataplane ${name} of ${mesh}: ${servicesIn(definition)}`);
    on.put(zone, { type: "Dataplane", mesh, name, ...definition });
  }
}

function changeMesh(on: Stage): void {
  if (!on.global.isRunning) return;
  const mesh = on.random.pick(meshes);
  if (on.random.is(0.1)) {
    on.say(`delete the mesh ${mesh}`);
    on.delete(on.global, { kind: "Mesh", mesh: "", name: mesh });
    return;
  }
  const mode = on.random.pick(["STRICT", "STRICT", "PERMISSIVE", "off"] as const);
  on.say(`mTLS of ${mesh}: ${mode}`);
  on.put(on.global, meshSpec(mesh, mode));
}

const zoneNumber = (on: Stage, { name }: ControlPlane): number => on.zones.findIndex((zone) => zone.name === name) + 1;

function dataplane(on: Stage, zone: ControlPlane, number: number): JsonObject {
  const { random } = on;
  const tags = (): JsonObject => {
    const service = random.pick(services);
    return {
      "kuma.io/service": service,
      "kuma.io/protocol": service === "s3" ? "tcp" : "http",
      "kuma.io/zone": zone.name,
    };
  };
  return {
    networking: {
      address: `10.${zoneNumber(on, zone)}.0.${number}`,
      inbound: [{ port: 8080, tags: tags() }, ...(random.is(0.2) ? [{ port: 8081, tags: tags() }] : [])],
      outbound: services
        .filter(() => random.is(0.5))
        .map((service, i) => ({ port: 9000 + i, tags: { "kuma.io/service": service } })),
    },
  };
}

const mostProxies = 4;

/** A new one, or one that was there. */
function startProxy(on: Stage, zone: ControlPlane): void {
  const number = on.random.between(1, mostProxies);
  const mesh = number === mostProxies ? "m2" : "m1";
  const one = on.proxy({ zone: zone.name, kind: "Dataplane", mesh, name: `${zone.name}-${number}` });
  if (one.isRunning) return;
  const definition = dataplane(on, zone, number);
  on.say(`${one.name} starts: ${servicesIn(definition)}`);
  one.start(definition);
}

function startIngress(on: Stage, zone: ControlPlane): void {
  const one = on.proxy({ zone: zone.name, kind: "ZoneIngress", mesh: "", name: `ingress-${zone.name}` });
  if (one.isRunning) return;
  on.say(`${one.name} starts`);
  const address = `10.${zoneNumber(on, zone)}.1.1`;
  one.start({ networking: { address, port: 10001, advertisedAddress: address, advertisedPort: 10001 } });
}

function servicesIn(definition: JsonObject): string {
  return [...JSON.stringify(definition).matchAll(/"(inbound|outbound)"|"kuma.io\/service":"([^"]+)"/g)]
    .map(([, direction, service]) => (direction === undefined ? service : direction === "inbound" ? "offers" : "uses"))
    .join(" ");
}

const running = (on: Stage, zone: ControlPlane): readonly SimulatedProxy[] =>
  on.proxies.filter((one) => one.zone === zone.name && one.isRunning);

function endProxy(on: Stage, zone: ControlPlane, how: "kill" | "leave"): void {
  const there = running(on, zone);
  if (there.length === 0) return;
  const one = on.random.pick(there);
  on.say(how === "kill" ? `${one.name} is killed` : `${one.name} leaves`);
  one[how]();
  // A zone is not without its ingress for long.
  if (one.kind === "ZoneIngress") later(on, 1_000, 10_000, () => startIngress(on, zone));
}

/** Soon enough to be the same one still; it may offer something else. */
function restartProxy(on: Stage, zone: ControlPlane): void {
  const there = running(on, zone).filter(({ kind }) => kind === "Dataplane");
  if (there.length === 0) return;
  const one = on.random.pick(there);
  const definition = on.random.is(0.5) ? dataplane(on, zone, on.random.between(1, mostProxies)) : one.definition;
  on.say(`${one.name} is killed, and started anew soon`);
  one.kill();
  later(on, 10, 8_000, () => {
    if (one.isRunning || !definition) return;
    on.say(`${one.name} is back: ${servicesIn(definition)}`);
    one.start(definition);
  });
}

function resetProxies(on: Stage, zone: ControlPlane): void {
  const all = on.random.is(0.3);
  const there = running(on, zone);
  for (const { zone: own, name } of all ? there : there.slice(0, 1)) {
    on.say(`${name} loses its connections`);
    on.links.reset(own, `${own}/${name}`);
  }
}

function cut(on: Stage, zone: ControlPlane): void {
  on.say(`the link of ${zone.name} to global is cut`);
  on.links.cut("global", zone.name);
}

function heal(on: Stage, zone: ControlPlane): void {
  on.say(`the link of ${zone.name} to global is whole`);
  on.links.slow("global", zone.name, [1, 4]);
  on.links.heal("global", zone.name);
}

function slowDown(on: Stage, zone: ControlPlane): void {
  const most = on.random.pick([20, 200, 2_000]);
  on.say(`the link of ${zone.name} to global takes up to ${most} ms`);
  on.links.slow("global", zone.name, [1, most]);
}

function reset(on: Stage, zone: ControlPlane): void {
  on.say(`${zone.name} and global lose their connection`);
  on.links.reset("global", zone.name);
}

/** Of the next that pass between the two, one: with a message, as the connection sees to it that nothing else comes twice. */
function tamper(on: Stage, zone: ControlPlane): void {
  const fault = on.random.pick(faults);
  let before = on.random.between(0, 10);
  on.say(`${fault} a frame between ${zone.name} and global, after ${before} others`);
  on.links.tamper("global", zone.name, (frame) => {
    if (fault === "double" && (frame as Frame).kind !== "message") return undefined;
    if (before-- > 0) return undefined;
    on.links.tamper("global", zone.name, () => undefined);
    return fault;
  });
}

function endControlPlane(on: Stage, one: ControlPlane): void {
  if (!one.isRunning) return;
  const how = on.random.pick([
    "killed",
    "killed",
    "stopped",
    "killed before it has written",
    "killed when it has written",
  ]);
  on.say(`${one.name} is ${how}`);
  if (how === "killed") one.kill();
  else if (how === "stopped") one.stop();
  else one.disk.failNext(how === "killed before it has written" ? "before" : "after");
  startSoon(on, one);
}

function startSoon(on: Stage, one: ControlPlane): void {
  later(on, 200, on.random.is(0.2) ? 45_000 : 4_000, () => {
    if (one.isRunning) return;
    on.say(`${one.name} starts`);
    one.start();
  });
}

function copyStore(on: Stage, one: ControlPlane): void {
  on.say(`the store of ${one.name} is copied`);
  one.copy();
}

/** It starts again with an empty one, or with a copy: an old one, or one that was thought to be lost. */
function loseStore(on: Stage, one: ControlPlane): void {
  on.say(`${one.name} is killed, and its store is lost`);
  const copies = [...one.copies];
  one.lose();
  if (copies.length > 0 && on.random.is(0.6)) {
    const which = on.random.between(0, copies.length - 1);
    on.say(`the store of ${one.name} is restored from copy ${which + 1}`);
    one.restore(copies[which]!);
  }
  startSoon(on, one);
}

function accept(on: Stage, one: ControlPlane): void {
  on.say(`the operator accepts what ${one.name} holds`);
  one.accept();
}

/** The operator ends what is held anywhere. */
export function acceptAll(on: Stage): void {
  for (const one of [on.global, ...on.zones]) accept(on, one);
}

function later(on: Stage, leastMs: number, mostMs: number, run: () => void): void {
  on.time.at(on.time.now() + on.random.between(leastMs, mostMs), run);
}

/** Links and control planes are whole; from here on nothing more happens. */
export function mend(on: Stage): void {
  on.say("everything is mended; from here on nothing happens");
  on.links.healAll();
  for (const one of [on.global, ...on.zones]) {
    one.disk.failNext(undefined);
    one.start();
  }
}

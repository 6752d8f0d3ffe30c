// What becomes of reports in the store, counted: a store of its own, and reports by hand.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HealthCheckRequestSchema } from "#gen/envoy/service/health/v3/hds_pb.ts";
import type { Dataplane_Networking_InboundJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import type { ServerStream, Status } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { JsonObject } from "#lib/json.ts";
import { withProbedState } from "#owned/probed-state.ts";
import { announcesLeaving } from "#proxy/features.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";
import { memoryStore } from "#store/memory.ts";
import { health } from "#zone/health.ts";
import { refusedProxies } from "#zone/refused-proxies.ts";
import { superseded } from "#zone/returns.ts";

const log = openLog("silent");
const id = { kind: "Dataplane", mesh: "default", name: "backend-1" };

type Inbound = Dataplane_Networking_InboundJson;
const web: Inbound = { port: 80, servicePort: 8080, tags: { "kuma.io/service": "web" }, serviceProbe: { tcp: {} } };
const db: Inbound = { port: 81, servicePort: 8081, tags: { "kuma.io/service": "db" } };
const dataplane = (...inbound: Inbound[]): Resource => {
  const networking = { address: "10.0.0.1", inbound } as unknown as JsonObject;
  return fromRest(kindNamed("Dataplane"), { mesh: "default", name: "backend-1", networking }).resource;
};
const statesIn = (resource: Resource | undefined) =>
  resource && asDataplane(resource).spec.networking?.inbound?.map(({ state, health }) => [state, health?.ready]);
const app = "localhost:8080";
const admin = "kuma:envoy:admin";

async function stage(first: Resource) {
  const { clock, random } = realWorld({ log });
  const store = memoryStore(clock, random);
  await store.write([{ kind: "put", resource: first }]);
  let isLeaving = false;
  const revoked = { now: false };
  const refuse = async () => {
    if (revoked.now) throw new KodiakError({ kind: "forbidden", why: "not you" });
  };
  const recorded: unknown[] = [];
  const disk = { isFull: false };
  const rings: (() => void)[] = [];
  const reported = health({
    store: {
      ...store,
      write: (edits) =>
        disk.isFull ? Promise.reject(new KodiakError({ kind: "unavailable", what: "disk full" })) : store.write(edits),
    },
    clock: {
      now: clock.now,
      alarm(_, ring) {
        rings.push(ring);
        return () => {};
      },
    },
    ...{ zone: "zone-a", log, validate: () => [], isLeaving: () => isLeaving, onZones: () => {} },
    tokens: { check: refuse, checkBrought: refuse, concerns: () => true },
    refusedProxies: refusedProxies(log, {
      attempt: async ({ who, from, what, why }) => void recorded.push({ who, from, path: what.path, why }),
    }),
  });
  const ended: Status[] = [];
  const stream = {
    peer: "10.0.0.1:9",
    headers: { authorization: ["a-token"] },
    end: (status: Status) => void ended.push(status),
  };
  return {
    ...{ store, disk, rings, revoked, ended, recorded, stop: reported.stop },
    open: (metadata: Record<string, string | string[]> = {}) =>
      reported.admit(
        create(HealthCheckRequestSchema, { node: { id: "default.backend-1", metadata } }),
        stream as unknown as ServerStream,
      ),
    put: (resource: Resource) => store.write([{ kind: "put", resource }]),
    states: () => statesIn(store.get(id)),
    leave: () => {
      isLeaving = true;
    },
  };
}
/** What is written in this turn is committed at its end. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

test("an application that is reported ill is NotReady, one that is well again Ready, and nothing else is written", async () => {
  const { store, open, states } = await stage(dataplane(web, db));
  const { onHealth } = await open();
  const before = store.revision;
  const said = [];
  for (const isWell of [true, false, false, true, true]) {
    onHealth(new Map([[app, isWell]]));
    await turn();
    said.push([states(), store.revision - before]);
  }
  const [untouched, ill, well] = [
    [undefined, undefined],
    ["NotReady", undefined],
    [undefined, true],
  ];
  assert.deepEqual(said, [
    [[untouched, untouched], 0],
    [[ill, untouched], 1],
    [[ill, untouched], 1],
    [[well, untouched], 2],
    [[well, untouched], 2],
  ]);
});

test("who comes before discovery has stored its proxy waits for that: the newest stream, and not for ever", async () => {
  const { store, open, put, rings, recorded } = await stage(dataplane(web));
  await store.write([{ kind: "delete", id }]);
  const brings = () => {
    const said: string[] = [];
    const resource = JSON.stringify({ type: "Dataplane", mesh: "default", name: "backend-1", ...dataplane(web).spec });
    open({ "dataplane.resource": resource }).then(
      () => said.push("let in"),
      (error: Error) => said.push(error.message),
    );
    return said;
  };
  const older = brings();
  await turn();
  const newer = brings();
  await turn();
  assert.deepEqual([older, newer, recorded], [[superseded.message], [], []]);
  await put({ ...dataplane(web), kind: "MeshService" });
  await turn();
  assert.deepEqual(newer, [], "another of that name");
  await put(dataplane(web));
  await turn();
  assert.deepEqual(newer, ["let in"]);
  await store.write([{ kind: "delete", id }]);
  const alone = brings();
  await turn();
  rings.at(-1)?.();
  await turn();
  assert.match(String(alone), /^Dataplane "backend-1" in mesh "default" is not there: /);
});

test("what a full disk does not take is in the store when there is room, as it is then", async () => {
  const { open, states, disk, rings } = await stage(dataplane(web));
  const { onHealth } = await open();
  disk.isFull = true;
  onHealth(new Map([[app, true]]));
  onHealth(new Map([[app, false]]));
  await turn();
  assert.deepEqual(states(), [[undefined, undefined]]);
  disk.isFull = false;
  for (const ring of rings.splice(0)) ring();
  await turn();
  assert.deepEqual(states(), [["NotReady", undefined]]);
});

test("with its Envoy all inbounds are NotReady, but those that are Ignored", async () => {
  const { open, states } = await stage(dataplane(web, db, { ...db, port: 82, state: "Ignored" }));
  const { onHealth } = await open();
  onHealth(
    new Map([
      [app, true],
      [admin, false],
    ]),
  );
  await turn();
  assert.deepEqual(
    states()?.map(([state]) => state),
    ["NotReady", "NotReady", "Ignored"],
  );
  onHealth(
    new Map([
      [app, false],
      [admin, true],
    ]),
  );
  await turn();
  assert.deepEqual(
    states()?.map(([state]) => state),
    ["NotReady", undefined, "Ignored"],
  );
});

test("who writes the Dataplane by hand does not revive an application", async () => {
  const { store, open, put, states } = await stage(dataplane(web));
  const { onHealth } = await open();
  onHealth(new Map([[app, false]]));
  await turn();
  const before = store.revision;
  await put(dataplane(web, db));
  await turn();
  assert.deepEqual([states()?.map(([state]) => state), store.revision - before], [["NotReady", undefined], 2]);
});

test("one that leaves is not made Ready, however well it is", async () => {
  const { open, put, states, leave } = await stage(dataplane(web));
  const { onHealth } = await open();
  leave();
  await put(dataplane({ ...web, state: "NotReady" }));
  onHealth(new Map([[app, true]]));
  await turn();
  assert.deepEqual(
    states()?.map(([state]) => state),
    ["NotReady"],
  );
});

test("what was reported on a stream that has ended is said no more", async () => {
  const { open, put, states } = await stage(dataplane(web));
  const { onHealth, onGone } = await open();
  onHealth(new Map([[app, false]]));
  await turn();
  onGone();
  await put(dataplane(web, db));
  await turn();
  assert.deepEqual(
    states()?.map(([state]) => state),
    [undefined, undefined],
  );
});

test("what a stream said holds until the one that replaces it says something, or ends", async () => {
  const { open, put, states } = await stage(dataplane(web));
  const stateAfterPut = async () => {
    await put(dataplane(web, db));
    await turn();
    return states()?.[0]?.[0];
  };
  const old = await open();
  old.onHealth(new Map([[app, false]]));
  await turn();
  const next = await open();
  old.onGone();
  assert.equal(await stateAfterPut(), "NotReady");
  old.onHealth(new Map([[app, true]]));
  await turn();
  assert.deepEqual(states()?.[0], ["NotReady", undefined], "an old stream says nothing any more");
  next.onGone();
  assert.equal(await stateAfterPut(), undefined);
});

test("Envoy itself is asked for its health where nobody says that it leaves: over its socket, or else its port", async () => {
  const { open } = await stage(dataplane(web));
  const at = { "dataplane.admin.address": "127.0.0.1", "dataplane.admin.port": "9901" };
  const socket = { ...at, "dataplane.admin.socketPath": "/run/admin.sock" };
  assert.deepEqual((await open(socket)).admin, { pipe: { path: "/run/admin.sock" } });
  assert.deepEqual((await open(at)).admin, { socketAddress: { address: "127.0.0.1", portValue: 9901 } });
  assert.equal((await open({ ...socket, features: [announcesLeaving] })).admin, undefined);
});

test("a token that is refused lets nobody in, and ends the stream of who was; both are recorded", async () => {
  const { store, open, revoked, ended, recorded } = await stage(dataplane(web));
  await open();
  revoked.now = true;
  await assert.rejects(open(), /not you/);
  assert.equal(ended.length, 0);
  const key = { type: "Secret", mesh: "default", name: "dataplane-token-signing-key-default-2", data: "" };
  await store.write([{ kind: "put", resource: fromRest(kindNamed("Secret"), key).resource }]);
  await turn();
  assert.deepEqual(
    ended.map(({ message }) => message),
    ["not you"],
  );
  const path = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck";
  const refusal = { from: "10.0.0.1:9", path, why: "not you" };
  assert.deepEqual(recorded, [
    { ...refusal, who: { proxy: "default.backend-1" } },
    { ...refusal, who: { proxy: "default/backend-1" } },
  ]);
});

test("a proxy that brings its Dataplane again does not bring an application to life; a new one waits for its probe", () => {
  const state = (existing: Resource | undefined, hasJustStarted: boolean) =>
    statesIn(withProbedState(dataplane(web, db), existing, hasJustStarted))?.map(([state]) => state);
  const ill = dataplane({ ...web, state: "NotReady" }, { ...db, state: "NotReady" });
  assert.deepEqual(state(ill, true), ["NotReady", undefined]);
  assert.deepEqual(state(ill, false), ["NotReady", undefined]);
  assert.deepEqual(state(dataplane(web, db), true), [undefined, undefined]);
  assert.deepEqual(state(undefined, true), ["NotReady", undefined]);
  // This control plane has lost its store: what has served until now goes on.
  assert.deepEqual(state(undefined, false), [undefined, undefined]);
});

// A proxy that stops reading costs little, keeps nothing from the others, and has the newest state soon after it reads again. That
// it does not delay them either: test/simulation/scenarios.test.ts, where time passes only for who waits.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { envoyTypes } from "#discovery/order.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";
import { fromRest } from "#resources/rest.ts";
import { type LabZone, lab, put, startZone } from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { type FakeProxy, startFakeProxy } from "./fake-proxy.ts";

const changes = 1_000;
const readers = 4;

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** What JavaScript holds, in its heap and outside. */
function heldBytes(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const backend = (port: number) =>
  dataplane({ mesh: "default", name: "backend", service: "s-0", address: "127.0.9.200", port, appPort: 81 });

/** All have the same outbounds, so all should hold the same clusters and endpoints. */
const web = (services: number, i: number, port = 80) =>
  dataplane({
    ...{ mesh: "default", name: `web-${i}`, service: "web", address: `127.0.9.${i}`, port, appPort: 81 },
    outbounds: Object.fromEntries(Array.from({ length: services }, (_, n) => [9000 + n, `s-${n}`])),
  });

const timeoutOf = (ms: number) => ({
  type: "MeshTimeout",
  mesh: "default",
  name: "all",
  spec: {
    targetRef: { kind: "Mesh" },
    to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: `${ms}ms` } }],
  },
});

interface Rest {
  readonly type: string;
  readonly name: string;
}
const write = (zone: LabZone, rest: Rest): Promise<unknown> =>
  zone.store.write([{ kind: "put", resource: fromRest(kindNamed(rest.type), { ...rest }).resource }]);

async function started(t: TestContext, services = 150) {
  const of = await lab(t);
  const zone = await startZone(of, "zone-a");
  await write(zone, { type: "Mesh", name: "default" });
  await write(zone, backend(1));
  const token = await zone.tokenFor("default");
  const relay = await relayTo(zone.dpPort);
  of.atEnd(relay.close);
  const proxies = await Promise.all(
    Array.from({ length: readers }, (_, i) => startFakeProxy(of, zone, web(services, i + 1), token)),
  );
  const slow = await startFakeProxy(of, zone, web(services, 100), token, relay.port);
  return { of, zone, relay, proxies, slow };
}

/** One after the other; each of these many, and the last, is followed by news at all of `proxies` before the next is made. */
async function change(
  proxies: readonly FakeProxy[],
  count: number,
  make: (i: number) => Promise<unknown>,
  type: "endpoint" | "cluster",
  many = 1,
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const before = proxies.map(({ received }) => received.length);
    await make(i);
    if (i % many !== many - 1 && i !== count - 1) continue;
    const has = ({ received }: FakeProxy, since = 0) => received.slice(since).some((news) => news.type === type);
    await Promise.all(proxies.map((proxy, p) => proxy.until(`change ${i}`, () => has(proxy, before[p]))));
  }
}

const isSame = (one: FakeProxy, other: FakeProxy): boolean =>
  (["cluster", "endpoint"] as const).every((type) => {
    const [own, theirs] = [one.held(type), other.held(type)];
    return own.size === theirs.size && [...own].every(([name, version]) => theirs.get(name) === version || isOwn(name));
  });
/** Clusters of a proxy's own inbounds. */
const isOwn = (name: string): boolean => name.startsWith("localhost") || name.startsWith("inbound");

test("a proxy that stops reading during 1,000 changes", async (t) => {
  const { zone, proxies, slow } = await started(t);
  const [reader] = proxies;
  assert.ok(reader);
  const from = (first: number) => (i: number) => write(zone, backend(first + i));
  await change([...proxies, slow], 200, from(2), "endpoint", 5);
  const begun = heldBytes();
  await change([...proxies, slow], changes, from(1_000), "endpoint", 5);
  const before = heldBytes();
  const responses = slow.received.length;
  slow.pause();
  await change(proxies, changes, from(1_000 + changes), "endpoint", 5);
  // The proxies of this test remember what they have read, in each case.
  const costs = heldBytes() - before - (before - begun);
  t.diagnostic(`it costs ${Math.round(costs / 1024)} KiB`);
  assert.ok(costs < 2 * 1024 * 1024, `${costs} bytes`);
  assert.equal(slow.received.length, responses, "it has not read");
  slow.resume();
  await slow.until("the newest state", () => isSame(slow, reader));
  assert.ok(slow.received.length - responses <= 2, JSON.stringify(slow.received.slice(responses)));
});

test("a proxy that stops reading while all of its configuration changes, again and again", async (t) => {
  const { zone, relay, proxies, slow } = await started(t);
  const [reader] = proxies;
  assert.ok(reader);
  const from = (first: number) => (i: number) =>
    put(zone.api, "/meshes/default/meshtimeouts/all", timeoutOf(first + i));
  await change([...proxies, slow], 5, from(1_000), "cluster");
  const begun = heldBytes();
  await change([...proxies, slow], 15, from(2_000), "cluster");
  const before = heldBytes();
  const responses = slow.received.length;
  // Its socket: as nothing answers PINGs then, for less than half a minute.
  relay.hold();
  await change(proxies, 15, from(3_000), "cluster");
  // The proxies of this test remember what they have read, in each case.
  const costs = heldBytes() - before - (before - begun);
  t.diagnostic(`it costs ${Math.round(costs / 1024)} KiB`);
  assert.ok(costs < 2 * 1024 * 1024, `${costs} bytes`);
  relay.release();
  await slow.until("the newest state", () => isSame(slow, reader));
  for (const type of envoyTypes) {
    const news = slow.received.slice(responses).filter((one) => one.type === type);
    // Endpoints once more behind their clusters.
    assert.ok(news.length <= (type === "endpoint" ? 3 : 2), `${news.length} responses with a ${type}`);
  }
});

test("while a response is stuck, nothing that will be old is sent behind it", async (t) => {
  // All clusters in one response are more than fits into its window.
  const services = 600;
  const { zone, proxies, slow } = await started(t, services);
  const clusters = (i: number) => put(zone.api, "/meshes/default/meshtimeouts/all", timeoutOf(1_000 + i));
  await change([...proxies, slow], 1, clusters, "cluster");
  await slow.until("all of it", () => slow.isComplete);
  slow.pause();
  const responses = slow.received.length;
  await change(proxies, 1, () => clusters(1), "cluster");
  for (let port = 40_001; port <= 40_020; port++) await write(zone, web(services, 100, port));
  // After a push the control plane rests: the last of these may not have been pushed yet. What comes after it has.
  await change(proxies, 1, () => write(zone, backend(2)), "endpoint");
  slow.resume();
  const isNewest = (name: string): boolean => name.includes("40020");
  await slow.until("its newest inbound", () => [...slow.held("listener").keys()].some(isNewest));
  const listeners = slow.received.slice(responses).filter(({ type }) => type === "listener");
  assert.equal(listeners.length, 1, JSON.stringify(listeners));
});

// Each field of MeshTimeout, by requests that take too long and connections that stay too long. Where only connections
// between proxies end, which no request can see, the client's proxy is asked how many it closed for this reason.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { eventually, patience, put, startProxy } from "../lab/lab.ts";
import { allowAll, dataplane } from "../lab/manifests.ts";
import { exchange, listening, policyStage, type Stage, soon } from "./stage.ts";

const kind = "MeshTimeout";
const everyone = { kind: "Mesh" };
const of = (name: string) => ({ kind: "MeshService", name });

/** The places where a timeout of a service can be said. */
const to = (service: string, conf: object) => ({ to: [{ targetRef: of(service), default: conf }] });
const from = (service: string, conf: object) => ({
  targetRef: of(service),
  from: [{ targetRef: everyone, default: conf }],
});
const rules = (service: string, conf: object) => ({ targetRef: of(service), rules: [{ default: conf }] });
const inbound = [from, rules];
type Place = typeof to | typeof from | typeof rules;

const slow = "/?ms=900";
const trickle = "/trickle?ms=100&times=9";

/** The answer's status and text; a broken answer is `broken`. */
const outcome = (url: string): Promise<string> =>
  get(url).then(
    ({ status, text }) => `${status} ${text}`,
    () => "broken",
  );

async function timed<T>(action: () => Promise<T>): Promise<readonly [T, ms: number]> {
  const start = performance.now();
  return [await action(), performance.now() - start];
}

/** Sends half of a request's headers until that is answered 408. */
const slowHeadersEnd = (at: { readonly port: number; readonly host?: string }): Promise<void> =>
  soon("408", async () => {
    const { received } = await exchange(at, "GET / HTTP/1.1\r\nhost: backend\r\n", (text) => text !== "");
    assert.match(received, /^HTTP\/1.1 408 /);
  });

/** Each place has a stage of its own, side by side: most of this is waiting. */
test("MeshTimeout", { concurrency: true }, async (t) => {
  const on = (place: Place, ...more: readonly ((t: TestContext, stage: TimeoutStage) => Promise<void>)[]) =>
    t.test(place.name, async (t) => {
      const stage = await timeoutStage(t);
      await whatEachHas(t, stage, place);
      for (const rest of more) await rest(t, stage);
    });
  await Promise.all([
    on(to, connectionsBetweenProxies, headersOfClients, routes, peersThatSayNothing),
    on(from, (t, stage) => connectionsToTheApplication(t, stage, from), applicationsThatAreDeaf),
    on(rules, (t, stage) => connectionsToTheApplication(t, stage, rules), clientsByIdentity),
  ]);
});

type TimeoutStage = Awaited<ReturnType<typeof timeoutStage>>;

async function timeoutStage(t: TestContext) {
  const stage = await policyStage(t);
  const { url, apply, v1, v2 } = stage;
  await apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  await soon("both instances", async () => {
    assert.equal((await get(url)).status, 200);
    assert.ok(v1.seen.length > 0 && v2.seen.length > 0);
  });
  const endless = (path: string) => soon("no timeout", async () => assert.match(await outcome(url + path), /^200 /));
  return { ...stage, endless };
}

async function whatEachHas(t: TestContext, stage: TimeoutStage, place: Place): Promise<void> {
  const { url, apply, remove, endless } = stage;
  await t.test(`http.requestTimeout answers 504; removed, 200`, async () => {
    await apply(kind, "timeout", place("backend", { http: { requestTimeout: "300ms" } }));
    await soon("504", async () => {
      const [text, ms] = await timed(() => outcome(url + slow));
      assert.match(text, /^504 /);
      assert.ok(ms >= 290, `${ms} ms`);
    });
    await remove(kind, "timeout");
    await endless(slow);
  });

  await t.test(`http.streamIdleTimeout ends what is silent, and only that`, async () => {
    await apply(kind, "timeout", place("backend", { http: { streamIdleTimeout: "450ms" } }));
    await soon("504", async () => assert.match(await outcome(url + slow), /^504 /));
    // A machine that stands still for as long may cut one off.
    await soon("what is not silent", async () => assert.equal(await outcome(url + trickle), `200 ${".".repeat(9)}`));
    await remove(kind, "timeout");
    await endless(slow);
  });

  await t.test(`http.maxStreamDuration ends what goes on, though bytes still come`, async () => {
    await apply(kind, "timeout", place("backend", { http: { maxStreamDuration: "400ms" } }));
    await soon("a broken answer", async () => assert.equal(await outcome(url + trickle), "broken"));
    await soon("a short one", async () => assert.match(await outcome(url), /^200 /));
    await remove(kind, "timeout");
    await endless(trickle);
  });

  await t.test(`idleTimeout closes a TCP connection on which nothing is said`, async () => {
    await apply(kind, "timeout", place("echo", { idleTimeout: "300ms" }));
    await soon("a closed connection", async () => {
      const { received, isClosed, ms } = await exchange({ port: stage.echoPort }, "hello");
      assert.deepEqual([received, isClosed], ["hello", true]);
      assert.ok(ms >= 290, `${ms} ms`);
    });
    await remove(kind, "timeout");
  });
}

async function connectionsBetweenProxies(t: TestContext, { url, apply, remove, counted }: TimeoutStage): Promise<void> {
  await t.test("idleTimeout closes a connection without requests", async () => {
    const closed = "cluster.backend.upstream_cx_idle_timeout";
    const before = await counted(closed);
    await apply(kind, "timeout", to("backend", { idleTimeout: "200ms" }));
    await soon("a connection closed", async () => {
      assert.equal((await get(url)).status, 200);
      await eventually("closed", 1_000, async () => assert.ok((await counted(closed)) > before));
    });
    await remove(kind, "timeout");
  });

  await t.test("http.maxConnectionDuration ends a connection in use", async () => {
    const ended = "cluster.backend.upstream_cx_max_duration_reached";
    assert.equal(await counted(ended), 0);
    await apply(kind, "timeout", to("backend", { http: { maxConnectionDuration: "300ms" } }));
    await soon("connections ended", async () => {
      assert.equal((await get(url)).status, 200);
      assert.ok((await counted(ended)) > 1);
    });
    await remove(kind, "timeout");
  });
}

async function connectionsToTheApplication(
  t: TestContext,
  { url, apply, remove, v1 }: TimeoutStage,
  place: Place,
): Promise<void> {
  await t.test(`idleTimeout closes the connection to the application`, async () => {
    await apply(kind, "timeout", place("backend", { idleTimeout: "200ms" }));
    for (let i = 0; i < 2; i++) {
      const seen = v1.seen.length;
      await soon("a request at v1", async () => {
        await get(url);
        assert.ok(v1.seen.length > seen);
      });
      await soon("no connection to v1", async () => assert.equal(v1.openConnections(), 0));
    }
    await remove(kind, "timeout");
  });

  await t.test(`http.maxConnectionDuration renews the connection to the application`, async () => {
    await apply(kind, "timeout", place("backend", { http: { maxConnectionDuration: "200ms" } }));
    const first = v1.seen.length;
    await soon("a fourth connection", async () => {
      assert.equal((await get(url)).status, 200);
      assert.ok(new Set(v1.seen.slice(first).map(({ connection }) => connection)).size > 3);
    });
    await remove(kind, "timeout");
  });
}

async function clientsByIdentity(t: TestContext, { url, apply, remove }: TimeoutStage): Promise<void> {
  await t.test("matches are of clients by their identity, the more specific before the rest", async () => {
    const client = (type: string, name: string) => ({ spiffeID: { type, value: `spiffe://default${name}` } });
    const limit = (conf: object, ...matches: readonly object[]) => ({ matches, default: { http: conf } });
    const [self, other, mesh] = [client("Exact", "/frontend"), client("Exact", "/other"), client("Prefix", "")];
    const [short, long] = [{ requestTimeout: "300ms" }, { requestTimeout: "9s" }];
    const silence = { streamIdleTimeout: "450ms" };
    const sni = { type: "Exact", value: "backend.test" };
    // Each is seen to be in force as its answer is not the one before.
    for (const [status, ...entries] of [
      [504, limit(short, self)],
      [200, limit(short, other, client("Exact", "/front"))],
      [504, limit(short, other, mesh)],
      [200, limit(long, self), limit(short, mesh)],
      [504, limit(long, other), limit(short)],
      [200, limit(short), limit(long, mesh)],
      [504, limit(silence, mesh), limit(long, self)],
      [200, limit(short, { ...self, sni }), limit(long)],
    ] as const) {
      await apply(kind, "timeout", { targetRef: of("backend"), rules: entries });
      await soon(`${status} with ${JSON.stringify(entries)}`, async () =>
        assert.match(await outcome(url + slow), new RegExp(`^${status} `)),
      );
      await soon("what takes no time", async () => assert.match(await outcome(url), /^200 /));
    }
    await remove(kind, "timeout");
  });
}

async function headersOfClients(t: TestContext, { url, apply, remove }: TimeoutStage): Promise<void> {
  await t.test("http.requestHeadersTimeout answers 408 to a client whose headers don't end", async () => {
    await apply(kind, "timeout", to("backend", { http: { requestHeadersTimeout: "300ms" } }));
    await slowHeadersEnd({ port: Number(new URL(url).port) });
    assert.match(await outcome(url + slow), /^200 /);
    await remove(kind, "timeout");
  });
}

async function routes(t: TestContext, { url, apply, remove, endless }: TimeoutStage): Promise<void> {
  await t.test("a policy for a MeshHTTPRoute holds for its requests only", async () => {
    const limited = { matches: [{ path: { type: "PathPrefix", value: "/limited" } }], default: {} };
    await apply("MeshHTTPRoute", "limited", { to: [{ targetRef: of("backend"), rules: [limited] }] });
    const route = { kind: "MeshHTTPRoute", name: "limited" };
    const conf = { http: { requestTimeout: "300ms" } };
    for (const spec of [
      { targetRef: route, to: [{ targetRef: everyone, default: conf }] },
      { to: [{ targetRef: route, default: conf }] },
    ]) {
      await apply(kind, "timeout", spec);
      await soon("504", async () => assert.match(await outcome(`${url}/limited${slow}`), /^504 /));
      assert.match(await outcome(`${url}/other${slow}`), /^200 /);
      await remove(kind, "timeout");
      await endless(`/limited${slow}`);
    }
  });
}

const peersThatSayNothing = (t: TestContext, stage: TimeoutStage): Promise<void> =>
  t.test("connectionTimeout: 503 where a peer accepts and says nothing", () => silentPeer(stage));

const applicationsThatAreDeaf = (t: TestContext, stage: TimeoutStage): Promise<void> =>
  t.test("from, rules: connectionTimeout: 503 where the application takes no connections", () => deafApp(stage));

/** A service whose only instance takes connections and never answers the TLS handshake. */
async function silentPeer(stage: Stage): Promise<void> {
  const { own, zone } = stage;
  const address = "127.0.0.6";
  const port = await listening(
    own,
    createServer(() => {}),
    address,
  );
  const silent = dataplane({ mesh: "default", name: "silent", service: "silent", address, port, appPort: port });
  await put(zone.api, "/meshes/default/dataplanes/silent", silent);
  await connectingTakes(stage, await callerOf(stage, "silent", "127.0.0.7"), (conf) => to("silent", conf));
}

async function deafApp(stage: Stage): Promise<void> {
  const { own, zone, token } = stage;
  const worker = new Worker(deaf, { eval: true });
  own.atEnd(() => worker.terminate());
  const [appPort]: number[] = await once(worker, "message");
  assert.ok(appPort);
  for (let i = 0; i < 2; i++) {
    const waiting = connect(appPort, "127.0.0.1");
    own.atEnd(async () => waiting.destroy());
    await once(waiting, "connect");
  }
  const address = "127.0.0.8";
  const port = await freePort(address);
  const manifest = dataplane({ mesh: "default", name: "deaf", service: "deaf", address, port, appPort });
  await startProxy(own, zone, manifest, token);
  const url = await callerOf(stage, "deaf", "127.0.0.9");
  for (const place of inbound) {
    await connectingTakes(stage, url, (conf) => place("deaf", conf));
    await stage.remove(kind, "connecting");
  }
}

/** Takes no connection from the queue, which holds one more than it says; the kernel lets further ones wait. */
const deaf = `
  const { createServer } = require("node:net");
  const { parentPort } = require("node:worker_threads");
  const server = createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

/** Where a new proxy calls the service. */
async function callerOf({ own, zone, token }: Stage, service: string, address: string): Promise<string> {
  const [port, out] = [await freePort(address), await freePort()];
  const self = { name: `${service}-caller`, service: "caller", address, port, appPort: port };
  await startProxy(own, zone, dataplane({ mesh: "default", ...self, outbounds: { [out]: service } }), token);
  return `http://127.0.0.1:${out}/`;
}

async function connectingTakes({ apply }: Stage, url: string, specOf: (conf: object) => object): Promise<void> {
  for (const [connectionTimeout, atLeast, below] of [
    ["300ms", 290, 1_000],
    ["1500ms", 1_450, 4_500],
  ] as const) {
    await apply(kind, "connecting", specOf({ connectionTimeout }));
    await soon(`503 after ${connectionTimeout}`, async () => {
      const [text, ms] = await timed(() => outcome(url));
      assert.match(text, /^503 .*timeout/);
      assert.ok(ms >= atLeast && ms < below * patience, `${ms} ms`);
    });
  }
}

test("MeshTimeout, inbound: http.requestHeadersTimeout answers 408 to a client whose headers don't end", async (t) => {
  const { v1, apply, remove } = await policyStage(t, { type: "Mesh", name: "default" });
  const at = { host: v1.address, port: v1.inboundPort };
  const whole = "GET / HTTP/1.1\r\nhost: backend\r\nconnection: close\r\n\r\n";
  await soon("an answer", async () => assert.match((await exchange(at, whole)).received, /^HTTP\/1.1 200 /));
  for (const place of inbound) {
    await apply(kind, "timeout", place("backend", { http: { requestHeadersTimeout: "300ms" } }));
    await slowHeadersEnd(at);
    await remove(kind, "timeout");
  }
});

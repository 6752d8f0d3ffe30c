// The agent with a real Envoy, from its start to its end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { on, once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, type TestContext, test } from "node:test";
import { fetchEnvoy } from "#agent/envoy-fetch.ts";
import { run } from "#agent/process.ts";
import { type ProxyOptions, runProxy } from "#agent/run-proxy.ts";
import { freePort } from "#host/free-port.ts";
import type { JsonObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import { fromRest } from "#resources/rest.ts";
import { bootstrapOnGlobal } from "#xds/bootstrap-answer.ts";
import { patience } from "../lab/lab.ts";
import { application, type TestControlPlane, testControlPlane } from "./control-plane.ts";
import { recordingLog } from "./recording-log.ts";

let envoyPath: string;
before(async () => {
  envoyPath = await fetchEnvoy(process.env, () => {});
});

/** Nothing may be left by any of the tests. A folder of their own: others make proxies, too, meanwhile. */
let folder: string;
const workFolders = async () => (await readdir(folder)).filter((name) => name.startsWith("kodiak-proxy-"));
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  process.env.TMPDIR = folder;
});
after(async () => {
  assert.deepEqual(await workFolders(), []);
  await rm(folder, { recursive: true });
});

const resource = (kind: string, json: JsonObject) => fromRest(kindNamed(kind), json).resource;
const dataplane = (mesh: string) =>
  resource("Dataplane", {
    mesh,
    name: "backend-1",
    networking: { address: "127.0.0.1", inbound: [{ port: 8080, tags: { "kuma.io/service": "backend" } }] },
  });

function optionsFor(
  controlPlane: Pick<TestControlPlane, "url" | "trust">,
  more: Partial<ProxyOptions> = {},
): ProxyOptions {
  return {
    resource: dataplane("default"),
    controlPlane: { url: controlPlane.url, trust: controlPlane.trust, token: "a-token" },
    envoyPath,
    envoyLogLevel: "warning",
    concurrency: 1,
    drainTimeMs: 10_000,
    readinessPort: 0,
    version: "0.0.0",
    ...more,
  };
}

interface Started {
  readonly log: ReturnType<typeof recordingLog>;
  readonly code: Promise<number>;
  /** Once: leave in good order; twice: at once. */
  stop(): void;
}
/** Started and, whatever the test does, ended. */
function start(t: TestContext, options: ProxyOptions): Started {
  const log = recordingLog();
  const leave = new AbortController();
  const now = new AbortController();
  const code = runProxy(options, log, { leave: leave.signal, now: now.signal });
  const settled = code.catch(() => {});
  t.after(async () => {
    leave.abort();
    now.abort();
    await settled;
  });
  return { log, code, stop: () => (leave.signal.aborted ? now : leave).abort() };
}

/** A control plane, an application, and a proxy in front of it that is ready. */
async function running(t: TestContext, kind: "http" | "tcp", more: Partial<ProxyOptions> = {}) {
  const app = await application();
  t.after(app.close);
  const port = await freePort();
  const state = { onLeave: async (): Promise<void> => {} };
  const controlPlane = await testControlPlane({
    ways: [{ direction: "INBOUND", kind, port, applicationPort: app.port }],
    onLeave: () => state.onLeave(),
  });
  t.after(controlPlane.close);
  const proxy = start(t, optionsFor(controlPlane, more));
  const started = await proxy.log.next(/^Envoy started/);
  const ready = await proxy.log.next(/is ready$/);
  return {
    ...proxy,
    app,
    controlPlane,
    state,
    port,
    envoyPid: Number(started.fields.pid),
    url: `http://127.0.0.1:${port}`,
    readinessUrl: `http://127.0.0.1:${ready.fields.readinessPort}/ready`,
  };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const textOf = async (url: string): Promise<[number, string]> => {
  const response = await fetch(url, { headers: { connection: "close" } });
  return [response.status, await response.text()];
};

test("Envoy serves, is started again when it is killed, and all is gone after an idle proxy has left", async (t) => {
  const proxy = await running(t, "http");
  assert.deepEqual(await textOf(proxy.readinessUrl), [200, "LIVE\n"]);
  assert.deepEqual(await textOf(proxy.url), [200, "here\n"]);

  process.kill(proxy.envoyPid, "SIGKILL");
  const died = await proxy.log.next(/^Envoy ended by SIGKILL; it is started again in 0.1 s$/);
  assert.equal(died.level, "error");
  const again = await proxy.log.next(/^Envoy started/);
  await proxy.log.next(/^Envoy is ready again/);
  assert.deepEqual(await textOf(proxy.url), [200, "here\n"]);

  const leftAt = Date.now();
  proxy.stop();
  assert.equal(await proxy.code, 0);
  assert.ok(Date.now() - leftAt < 2000 * patience, `an idle proxy took ${Date.now() - leftAt} ms to leave`);
  assert.deepEqual(proxy.controlPlane.left, [
    { mesh: "default", name: "backend-1", proxyType: "dataplane", waitMs: 6666, token: "a-token" },
  ]);
  assert.equal(isAlive(Number(again.fields.pid)), false);
  await assert.rejects(fetch(proxy.readinessUrl));
});

test("leaving: the control plane is told first, then connections are asked to go, and requests are finished", async (t) => {
  const proxy = await running(t, "http");
  const slow = textOf(`${proxy.url}/slow`);
  const slowResponse = await proxy.app.slowRequest;

  let whenTold: readonly unknown[] = [];
  proxy.state.onLeave = async () => {
    const response = await fetch(proxy.url);
    whenTold = [response.headers.get("connection"), ...(await textOf(proxy.readinessUrl))];
  };
  proxy.stop();
  const [answer] = await Promise.all([goodbye(), proxy.log.next(/^leaving/)]);
  assert.deepEqual(whenTold, [null, 503, "TERMINATING\n"]);
  assert.equal(answer, "close");
  assert.equal(isAlive(proxy.envoyPid), true);

  slowResponse.end("finished\n");
  assert.deepEqual(await slow, [200, "finished\n"]);
  assert.equal(await proxy.code, 0);
  assert.equal(isAlive(proxy.envoyPid), false);

  /** The first `connection: close` on a connection that is kept alive. */
  async function goodbye(): Promise<string> {
    for (;;) {
      const response = await fetch(proxy.url);
      await response.text();
      const connection = response.headers.get("connection");
      if (connection !== null) return connection;
    }
  }
});

test("a second signal ends a proxy at once, with what is under way", async (t) => {
  const proxy = await running(t, "http");
  const slow = fetch(`${proxy.url}/slow`).then(
    () => "answered",
    () => "cut off",
  );
  await proxy.app.slowRequest;
  proxy.stop();
  await proxy.log.next(/^leaving/);
  proxy.stop();
  assert.equal(await proxy.code, 1);
  assert.equal(await slow, "cut off");
  assert.equal(isAlive(proxy.envoyPid), false);
});

test("draining is bounded: what is still under way after the drain time is cut off, and said", async (t) => {
  const proxy = await running(t, "http", { drainTimeMs: 1000 });
  const slow = fetch(`${proxy.url}/slow`).catch(() => "cut off");
  await proxy.app.slowRequest;
  proxy.stop();
  const line = await proxy.log.next(/^still in use after 1 s/);
  assert.equal(line.fields.activeRequests, 1);
  assert.equal(await proxy.code, 0);
  assert.equal(await slow, "cut off");
});

test("requests that still come are served, and waited for", async (t) => {
  const proxy = await running(t, "http");
  proxy.stop();
  const until = Date.now() + 1500;
  while (Date.now() < until) assert.deepEqual(await textOf(proxy.url), [200, "here\n"]);
  assert.equal(isAlive(proxy.envoyPid), true);
  assert.equal(await proxy.code, 0);
});

test("an inbound TCP connection is waited for, but not longer than the drain time", async (t) => {
  const patient = await running(t, "tcp");
  const busy = await running(t, "tcp", { drainTimeMs: 1000 });
  const [closing, staying] = [connect(patient.port, "127.0.0.1"), connect(busy.port, "127.0.0.1")];
  for (const connection of [closing, staying]) {
    t.after(() => connection.destroy());
    connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(connection, "data");
  }
  patient.stop();
  busy.stop();
  const line = await busy.log.next(/^still in use after 1 s/);
  assert.equal(line.fields.activeConnections, 1);
  assert.equal(await busy.code, 0);
  assert.equal(isAlive(patient.envoyPid), true);
  closing.end();
  assert.equal(await patient.code, 0);
});

test("an application that goes on calling others does not keep its proxy from leaving", async (t) => {
  const app = await application();
  t.after(app.close);
  const [http, tcp] = [await freePort(), await freePort()];
  const controlPlane = await testControlPlane({
    ways: [
      { direction: "OUTBOUND", kind: "http", port: http, applicationPort: app.port },
      { direction: "OUTBOUND", kind: "tcp", port: tcp, applicationPort: app.port },
    ],
  });
  t.after(controlPlane.close);
  const proxy = start(t, optionsFor(controlPlane));
  await proxy.log.next(/is ready$/);
  const database = connect(tcp, "127.0.0.1");
  t.after(() => database.destroy());
  await once(database, "connect");
  let calls = 0;
  const calling = (async () => {
    for (; ; calls++) await textOf(`http://127.0.0.1:${http}`);
  })().catch(() => {});

  const leftAt = Date.now();
  proxy.stop();
  assert.equal(await proxy.code, 0);
  assert.ok(Date.now() - leftAt < 3000 * patience, `it took ${Date.now() - leftAt} ms`);
  await calling;
  assert.ok(calls > 10, `${calls} calls`);
});

test("an ingress leaves after a second, though connections stay", async (t) => {
  const proxy = await running(t, "tcp", {
    resource: resource("ZoneIngress", { name: "ingress-1", networking: { address: "127.0.0.1", port: 10001 } }),
  });
  const connection = connect(proxy.port, "127.0.0.1");
  t.after(() => connection.destroy());
  connection.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  await once(connection, "data");
  const leftAt = Date.now();
  proxy.stop();
  assert.equal(await proxy.code, 0);
  const tookMs = Date.now() - leftAt;
  assert.ok(tookMs > 950 && tookMs < 3000 * patience, `it took ${tookMs} ms`);
  assert.deepEqual(proxy.controlPlane.left, [
    { mesh: "", name: "ingress-1", proxyType: "ingress", waitMs: 6666, token: "a-token" },
  ]);
});

test("a proxy that is told to end before it has seen its Envoy ready leaves like any other", async (t) => {
  const controlPlane = await testControlPlane();
  t.after(controlPlane.close);
  const proxy = start(t, optionsFor(controlPlane));
  await proxy.log.next(/^Envoy started/);
  proxy.stop();
  assert.equal(await proxy.code, 0);
  assert.equal(controlPlane.left.length, 1);
  assert.ok(!proxy.log.lines.some(({ message }) => message.endsWith("is ready")));
});

test("a control plane that is away is waited for, and can leave before the proxy does", async (t) => {
  const port = await freePort();
  const proxy = start(t, optionsFor({ url: `https://127.0.0.1:${port}`, trust: { kind: "skip-verify" } }));
  const waiting = await proxy.log.next(/^waiting for a bootstrap/);
  assert.match(waiting.message, new RegExp(`cannot reach https://127.0.0.1:${port}: nothing listens there`));
  const controlPlane = await testControlPlane({ port });
  await proxy.log.next(/is ready$/);
  await controlPlane.close();
  proxy.stop();
  await proxy.log.next(/^leaving without the control plane/);
  assert.equal(await proxy.code, 0);
});

test("what may pass is waited for: 5xx, and 404 before the control plane knows the proxy", async (t) => {
  const controlPlane = await testControlPlane({ refusals: [{ status: 503, body: "starting" }, { status: 404 }] });
  t.after(controlPlane.close);
  const proxy = start(t, optionsFor(controlPlane));
  await proxy.log.next(/^waiting for a bootstrap from the control plane: it answers 503: starting$/);
  await proxy.log.next(
    /^waiting for a bootstrap from the control plane: it answers 404: it does not know this proxy yet/,
  );
  await proxy.log.next(/is ready$/);
});

test("a control plane of another fingerprint is sent nothing, and not waited for", async (t) => {
  const controlPlane = await testControlPlane({ refusals: [{ status: 500, body: "it was asked" }] });
  t.after(controlPlane.close);
  const trust = { kind: "fingerprint", sha256: "0".repeat(64) } as const;
  const proxy = start(t, optionsFor({ url: controlPlane.url, trust }));
  await assert.rejects(proxy.code, /has fingerprint ([0-9A-F]{2}:){31}[0-9A-F]{2}, expected (00:){31}00; give the one/);
  assert.deepEqual(proxy.log.lines, []);
});

test("the global control plane says where to go", async (t) => {
  const controlPlane = await testControlPlane({ refusals: [bootstrapOnGlobal] });
  t.after(controlPlane.close);
  await assert.rejects(
    start(t, optionsFor(controlPlane)).code,
    /refuses this proxy: this is the global control plane, which serves no proxies: give the address of the zone/,
  );
});

test("Ctrl-C in a terminal reaches the agent alone: requests are finished, and nothing is left", async (t) => {
  const app = await application();
  t.after(app.close);
  const port = await freePort();
  const controlPlane = await testControlPlane({
    ways: [{ direction: "INBOUND", kind: "http", port, applicationPort: app.port }],
  });
  t.after(controlPlane.close);
  const script = join(import.meta.dirname, "agent-process.ts");
  // Its own process group, like a job of a shell.
  const agent = spawn(process.execPath, [script, JSON.stringify(optionsFor(controlPlane))], { detached: true });
  t.after(() => agent.kill("SIGKILL"));
  const lines = createInterface({ input: agent.stdout });
  const line = async (pattern: RegExp): Promise<void> => {
    for await (const [text] of on(lines, "line")) if (pattern.test(text)) return;
  };
  await line(/is ready"/);
  const slow = textOf(`http://127.0.0.1:${port}/slow`);
  const response = await app.slowRequest;
  const leaving = line(/leaving/);
  process.kill(-agent.pid!, "SIGINT");
  await leaving;
  response.end("finished\n");
  assert.deepEqual(await slow, [200, "finished\n"]);
  const [code] = await once(agent, "exit");
  assert.equal(code, 0);
});

test("a proxy that waits for its control plane leaves at once", async (t) => {
  const proxy = start(t, optionsFor({ url: "https://127.0.0.1:1", trust: { kind: "skip-verify" } }));
  await proxy.log.next(/^waiting for a bootstrap/);
  proxy.stop();
  assert.equal(await proxy.code, 0);
});

test("a refusal of the control plane is final, in its own words", async (t) => {
  const controlPlane = await testControlPlane();
  t.after(controlPlane.close);
  await assert.rejects(start(t, optionsFor(controlPlane, { resource: dataplane("other") })).code, {
    message: `${controlPlane.url} refuses this proxy: mesh: mesh "other" does not exist`,
  });
});

test("an Envoy that refuses its bootstrap is not started again, and its reason is told", async (t) => {
  const controlPlane = await testControlPlane({
    spoil: (bootstrap) => {
      bootstrap.staticResources = { listeners: [{ name: "no-address" }] };
    },
  });
  t.after(controlPlane.close);
  const proxy = start(t, optionsFor(controlPlane));
  await assert.rejects(proxy.code, /Envoy ended with code 1; .*address/i);
  assert.equal(proxy.log.lines.filter(({ message }) => message === "Envoy started").length, 1);
});

test("an address that is in use is named", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const controlPlane = await testControlPlane({
    ways: [{ direction: "INBOUND", kind: "http", port, applicationPort: 1 }],
  });
  t.after(controlPlane.close);
  const proxy = start(t, optionsFor(controlPlane));
  const line = await proxy.log.next(/^Envoy: cannot listen on/);
  assert.equal(
    line.message,
    `Envoy: cannot listen on 127.0.0.1:${port}: Address already in use; end what uses the address, or give the proxy another`,
  );
});

test("a readiness port that is in use is named", async (t) => {
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const options = optionsFor({ url: "https://127.0.0.1:1", trust: { kind: "skip-verify" } }, { readinessPort: port });
  await assert.rejects(start(t, options).code, new RegExp(`readiness cannot be served on 127.0.0.1:${port}`));
});

test("a work folder that is given must be empty, and is removed at the end", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true }));
  const nowhere = { url: "https://127.0.0.1:1", trust: { kind: "skip-verify" } } as const;
  await mkdir(join(folder, "used", "by others"), { recursive: true });
  await assert.rejects(start(t, optionsFor(nowhere, { workDir: join(folder, "used") })).code, {
    message: `the work folder: ${join(folder, "used")}: must be empty: it is removed when the proxy ends`,
  });
  const proxy = start(t, optionsFor(nowhere, { workDir: join(folder, "new") }));
  await proxy.log.next(/^waiting for a bootstrap/);
  assert.deepEqual(await readdir(folder), ["new", "used"]);
  proxy.stop();
  await proxy.code;
  assert.deepEqual(await readdir(folder), ["used"]);
});

test("a work folder that a killed proxy has left is used again, one whose proxy runs is not", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, "bootstrap.yaml"), "");
  await run("python3", [
    "-c",
    "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])",
    join(folder, "a.sock"),
  ]);
  assert.deepEqual((await readdir(folder)).sort(), ["a.sock", "bootstrap.yaml"]);
  const nowhere = { url: "https://127.0.0.1:1", trust: { kind: "skip-verify" } } as const;
  const proxy = start(t, optionsFor(nowhere, { workDir: folder }));
  await proxy.log.next(/^waiting for a bootstrap/);
  assert.deepEqual(await readdir(folder), []);
  await assert.rejects(start(t, optionsFor(nowhere, { workDir: folder })).code, {
    message: `the work folder: ${folder}: is another proxy's, which runs; give this one another folder`,
  });
  proxy.stop();
  await proxy.code;
});

test("an Envoy that is none is named", async (t) => {
  const options = optionsFor(
    { url: "https://127.0.0.1:1", trust: { kind: "skip-verify" } },
    { envoyPath: process.execPath },
  );
  await assert.rejects(start(t, options).code, /does not answer --version like an Envoy: v\d+/);
});

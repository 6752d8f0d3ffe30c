// One endpoint among 1,000 proxies and 50 services, up to what is written: by the real pipeline and the real discovery server,
// to fake Envoys on streams in memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { EnvoyType } from "#discovery/order.ts";
import { openLog } from "#host/log.ts";
import type { ServerStream } from "#host/world.ts";
import type { Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import type { Mark } from "#topology/provider.ts";
import { adsPath, xdsServer } from "#xds/server.ts";
import { fakeEnvoy } from "../../bench/fake-envoy.ts";
import { type Request, requestBytes, responseOf } from "../../bench/fake-messages.ts";

const proxies = 1_000;
const services = 50;
const outbounds = 5;

const resource = (kind: string, mesh: string, name: string, spec: JsonObject): Resource => ({
  ...{ kind, mesh, name, labels: {}, spec },
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

const dataplane = (name: string, address: string, service: number, calls: readonly number[]): Resource =>
  resource("Dataplane", "default", name, {
    networking: {
      address,
      inbound: [{ port: 8080, tags: { "kuma.io/service": `s-${service}`, "kuma.io/protocol": "http" } }],
      outbound: calls.map((called, n) => ({ port: 9000 + n, tags: { "kuma.io/service": `s-${called % services}` } })),
    },
  });

/** Requests wait until it is the control plane's turn, as they do in sockets. */
function connection(name: string, toServer: (() => void)[]) {
  const envoy = fakeEnvoy({ node: { id: `default.${name}` } });
  const inbox: (readonly Uint8Array[])[] = [];
  let receive: (bytes: Uint8Array) => void = () => {};
  const stream: ServerStream = {
    ...{ path: adsPath, headers: {}, peer: name, client: undefined },
    send: (pieces) => inbox.push(pieces) > 0,
    onMessage(handle) {
      receive = handle;
    },
    onDrained() {},
    onEnd() {},
    sendHeaders() {},
    end: ({ message }) => assert.fail(`${name}: ${message}`),
  };
  return {
    ...{ name, envoy, inbox, stream },
    open: () =>
      envoy.open((type: EnvoyType, request: Request) => {
        const bytes = requestBytes(type, request);
        toServer.push(() => receive(bytes));
      }),
  };
}

test("one endpoint is encoded once and written to the proxies that call its service, to each once", async () => {
  const graph = incrementalGraph();
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const certificates = graph.source<IssuedCertificate>("certificates");
  const marked = graph.source<Mark>("marked");
  const pipeline = proxyPipeline(
    graph,
    { of: (kind: string) => sources.get(kind) as never, certificates, marked, departed: graph.source("departed") },
    "zone-a",
  );
  const set = (one: Resource): void => sources.get(one.kind)?.set(keyOf(one), one);
  set(
    resource("Mesh", "", "default", {
      mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] },
    }),
  );
  set(resource("Secret", "default", "default.ca-builtin-cert-ca-1", { data: "Y2E=" }));
  for (let i = 0; i < proxies; i++) {
    const calls = Array.from({ length: outbounds }, (_, n) => i + n);
    set(dataplane(`dp-${i}`, `10.0.${i >> 8}.${i & 255}`, i % services, calls));
    certificates.set(`default/dp-${i}`, { mesh: "default", chain: "Yw==", privateKey: "aw==" });
  }
  graph.settle();

  let nowMs = 0;
  const alarms = new Set<() => void>();
  const alarm = (_: number, ring: () => void) => {
    alarms.add(ring);
    return () => alarms.delete(ring);
  };
  const server = xdsServer({
    instanceId: "control-plane",
    log: openLog("warn"),
    // A millisecond passes whenever one looks, so that a push takes some.
    clock: { now: () => nowMs++, alarm },
    bundles: pipeline.bundles,
    admit: async ({ node }) => ({
      ...{ configs: pipeline.dataplanes, key: `default/${node?.id.split(".")[1]}` },
      refused: [],
      onGone() {},
      onProgress() {},
    }),
  });
  const toServer: (() => void)[] = [];
  const connections = Array.from({ length: proxies }, (_, i) => connection(`dp-${i}`, toServer));
  for (const { stream, open } of connections) {
    server.serve(stream);
    open();
  }
  /** Until nobody has anything to say. Returns what was written to whom. */
  async function exchange(): Promise<ReadonlyMap<string, readonly (readonly Uint8Array[])[]>> {
    const written = new Map<string, (readonly Uint8Array[])[]>();
    for (;;) {
      for (const send of toServer.splice(0)) send();
      await new Promise((resolve) => setImmediate(resolve));
      for (const { name, envoy, inbox } of connections) {
        for (const pieces of inbox.splice(0)) {
          written.set(name, [...(written.get(name) ?? []), pieces]);
          envoy.receive(responseOf(Buffer.concat(pieces)));
        }
      }
      if (toServer.length === 0) return written;
    }
  }
  await exchange();
  assert.ok(connections.every(({ envoy }) => envoy.isComplete));

  set(dataplane("new", "10.9.9.9", 7, []));
  server.publish(graph.settle());
  const written = await exchange();
  // s-7 is called by those that begin with s-3 to s-7.
  const users = connections.filter((_, i) => [3, 4, 5, 6, 7].includes(i % services)).map(({ name }) => name);
  assert.deepEqual([...written.keys()].sort(), users.sort());
  const messages = [...written.values()].flat();
  assert.equal(messages.length, users.length);
  assert.deepEqual(
    responseOf(Buffer.concat(messages[0] ?? [])).resources.map(({ name }) => name),
    ["s-7"],
  );
  // The same bytes, not equal ones.
  const shared = messages[0]?.filter((piece) => messages.every((pieces) => pieces.includes(piece))) ?? [];
  assert.ok(shared.some((piece) => Buffer.from(piece).includes("10.9.9.9")));

  // What changes while that is being paid for joins the next push.
  for (const address of ["10.9.9.10", "10.9.9.11"]) {
    set(dataplane("new", address, 7, []));
    server.publish(graph.settle());
  }
  assert.equal((await exchange()).size, 0);
  // For all proxies there is one: none waits for a stream's first request any more.
  assert.equal(alarms.size, 1);
  for (const ring of alarms) ring();
  const later = [...(await exchange()).values()];
  assert.deepEqual([later.length, later.flat().length], [users.length, users.length]);
  assert.ok(later.flat().every((pieces) => Buffer.concat(pieces).includes("10.9.9.11")));
});

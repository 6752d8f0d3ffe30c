// Each field of MeshRetry, by how often a request arrives, where, and after how long. Priorities of hosts are in
// test/scenarios/a5-local-first.test.ts: a zone alone has one only.

import assert from "node:assert/strict";
import { constants, createServer, performServerHandshake, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { freePort } from "#host/free-port.ts";
import { createIssuer } from "#identity/issuer.ts";
import { authorityOf } from "../lab/authority.ts";
import { get } from "../lab/http.ts";
import { put } from "../lab/lab.ts";
import { allowAll, dataplane } from "../lab/manifests.ts";
import { exchange, type Instance, listening, policyStage, type Stage, soon } from "./stage.ts";

const kind = "MeshRetry";
const of = (name: string) => ({ kind: "MeshService", name });
const to = (service: string, conf: object) => ({ to: [{ targetRef: of(service), default: conf }] });

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
interface Tried {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Where each attempt arrived. */
  readonly at: readonly string[];
  readonly ms: number;
}

let lastId = 0;
/** Asks with an id of its own, by which the attempts at these instances are found. */
async function tried(url: string, instances: readonly Instance[], query: string, asked: Asked = {}): Promise<Tried> {
  const id = `id=${++lastId}&`;
  const start = performance.now();
  const { status, headers } = await get(`${url}/?${id}${query}`, asked.headers, asked.method);
  const ms = performance.now() - start;
  const at = instances.flatMap((instance) =>
    instance.seen.filter(({ path }) => path.includes(id)).map(() => instance.address),
  );
  return { status, headers, at, ms };
}

interface Row {
  readonly says: string;
  readonly http: object;
  readonly query: string;
  readonly asked?: Asked;
  readonly attempts: number;
}
const twice = { numRetries: 2, backOff: { baseInterval: "1ms" } };
const on = (...retryOn: readonly string[]) => ({ ...twice, retryOn });
/** Whatever a row asks for. */
const always = on("5xx", "200", "428", "429");
const get500 = { query: "status=500", asked: { method: "GET" } };
const post500 = { query: "status=500", asked: { method: "POST" } };
const rows: readonly Row[] = [
  { says: "numRetries: so often beside the first time", http: twice, query: "status=503", attempts: 3 },
  { says: "numRetries, absent: once", http: { perTryTimeout: "10s" }, query: "status=503", attempts: 2 },
  { says: "numRetries 0: never", http: { ...twice, numRetries: 0 }, query: "status=503", attempts: 1 },
  { says: "retryOn, absent: not 500", http: twice, query: "status=500", attempts: 1 },
  { says: "retryOn 5xx: 500", http: on("5xx"), query: "status=500", attempts: 3 },
  { says: "retryOn GatewayError: 502", http: on("GatewayError"), query: "status=502", attempts: 3 },
  { says: "retryOn GatewayError: not 500", http: on("GatewayError"), query: "status=500", attempts: 1 },
  { says: "retryOn Retriable4xx: 409", http: on("Retriable4xx"), query: "status=409", attempts: 3 },
  {
    says: "retryOn EnvoyRatelimited: by header",
    http: on("EnvoyRatelimited"),
    query: "status=429&header=x-envoy-ratelimited:true",
    attempts: 3,
  },
  { says: "retryOn EnvoyRatelimited: not without", http: on("EnvoyRatelimited"), query: "status=429", attempts: 1 },
  { says: "retryOn 429: this status", http: on("429"), query: "status=429", attempts: 3 },
  { says: "retryOn 429: no other", http: on("429"), query: "status=428", attempts: 1 },
  { says: "retryOn HttpMethodGet: GET", http: on("5xx", "HttpMethodGet"), ...get500, attempts: 3 },
  { says: "retryOn HttpMethodGet: not POST", http: on("5xx", "HttpMethodGet"), ...post500, attempts: 1 },
  ...["Delete", "Head", "Options", "Patch", "Post", "Put", "Trace"].flatMap((name): readonly Row[] => {
    const [http, method] = [on("5xx", `HttpMethod${name}`), name.toUpperCase()];
    return [
      { says: `retryOn HttpMethod${name}: ${method}`, http, query: "status=500", asked: { method }, attempts: 3 },
      { says: `retryOn HttpMethod${name}: not GET`, http, ...get500, attempts: 1 },
    ];
  }),
  // Nothing leads a CONNECT through a mesh.
  { says: "retryOn HttpMethodConnect: not GET", http: on("5xx", "HttpMethodConnect"), ...get500, attempts: 1 },
  // Nor is there HTTP/3 in one, to fail after it has connected; but it is said, so nothing is tried again for the usual reasons.
  {
    says: "retryOn Http3PostConnectFailure: not 503",
    http: on("Http3PostConnectFailure"),
    query: "status=503",
    attempts: 1,
  },
  {
    says: "retriableRequestHeaders: with it",
    http: { ...twice, retriableRequestHeaders: [{ name: "x-safe", value: "yes" }] },
    query: "status=503",
    asked: { headers: { "x-safe": "yes" } },
    attempts: 3,
  },
  {
    says: "retriableRequestHeaders: not without",
    http: { ...twice, retriableRequestHeaders: [{ name: "x-safe", value: "yes" }] },
    query: "status=503",
    asked: { headers: { "x-safe": "no" } },
    attempts: 1,
  },
  {
    says: "retriableResponseHeaders: with it",
    http: { ...twice, retriableResponseHeaders: [{ name: "x-again", type: "Present" }] },
    query: "header=x-again:1",
    attempts: 3,
  },
  {
    says: "retriableResponseHeaders: not without",
    http: { ...twice, retriableResponseHeaders: [{ name: "x-again", type: "Present" }] },
    query: "header=x-other:1",
    attempts: 1,
  },
];

test("MeshRetry", async (t) => {
  const stage = await policyStage(t);
  const { url, apply, remove, v1, v2 } = stage;
  await apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  const third = await stage.addBackend("v1", "backend-v1-2", "127.0.0.6");
  const all = [v1, v2, third];
  await soon("all instances", async () => {
    assert.equal((await get(url)).status, 200);
    assert.ok(all.every(({ seen }) => seen.length > 0));
  });
  const ask = (query: string, asked?: Asked) => tried(url, all, query, asked);
  const inForce = (http: object) => apply(kind, "retry", to("backend", { http }));

  await t.test("without a policy nothing is tried again", async () =>
    assert.equal((await ask("status=503")).at.length, 1),
  );

  for (const { says, http, query, asked, attempts } of rows)
    await t.test(`http: ${says}`, async () => {
      if (attempts === 1) {
        // Or the policy of the row before could be what is seen.
        await inForce(always);
        await soon("it is tried again", async () => assert.equal((await ask(query, asked)).at.length, 3));
      }
      await inForce(http);
      await soon(`${attempts} attempts`, async () => assert.equal((await ask(query, asked)).at.length, attempts));
    });

  await t.test("http: perTryTimeout ends an attempt, and the next begins", async () => {
    await inForce({ ...twice, perTryTimeout: "200ms" });
    await soon("504 after three times 200 ms", async () => {
      const { status, at, ms } = await ask("ms=2000");
      assert.deepEqual([status, at.length], [504, 3]);
      assert.ok(ms >= 590 && ms < 2_000, `${ms} ms`);
    });
    await inForce({ ...twice, perTryTimeout: "0s" });
    await soon("200", async () => assert.equal((await ask("ms=600")).status, 200));
  });

  // Pauses are random, from nothing to the interval: ten of them are about five intervals, and hardly ever less than two.
  await t.test("http: backOff.baseInterval is how long pauses are", async () => {
    await inForce({ numRetries: 10, backOff: { baseInterval: "150ms", maxInterval: "150ms" } });
    await soon("pauses", async () => {
      const { at, ms } = await ask("status=503");
      assert.equal(at.length, 11);
      assert.ok(ms > 350, `${ms} ms`);
    });
  });
  await t.test("http: backOff.maxInterval is how far they grow; absent, to ten times the base", async () => {
    await inForce({ numRetries: 12, backOff: { baseInterval: "1ms", maxInterval: "1s" } });
    await soon("long pauses", async () => {
      const { at, ms } = await ask("status=503");
      assert.equal(at.length, 13);
      assert.ok(ms > 500, `${ms} ms`);
    });
    await inForce({ numRetries: 12, backOff: { baseInterval: "1ms" } });
    await soon("short pauses", async () => assert.ok((await ask("status=503")).ms < 400));
  });

  const limited = (format: string, rest = {}) => ({
    ...twice,
    numRetries: 1,
    rateLimitedBackOff: { resetHeaders: [{ name: "x-reset", format }], ...rest },
  });
  await t.test("http: rateLimitedBackOff waits as long as the answer's header says, up to maxInterval", async () => {
    await inForce(limited("Seconds"));
    await soon("a second", async () => {
      const { at, ms } = await ask("status=503&header=x-reset:1");
      assert.equal(at.length, 2);
      assert.ok(ms >= 990, `${ms} ms`);
    });
    await inForce(limited("UnixTimestamp"));
    await soon("until that moment", async () => {
      const { at, ms } = await ask(`status=503&header=x-reset:${Math.ceil(Date.now() / 1_000) + 1}`);
      assert.equal(at.length, 2);
      assert.ok(ms >= 900, `${ms} ms`);
    });
    await inForce(limited("Seconds", { maxInterval: "500ms" }));
    await soon("not that long", async () => assert.ok((await ask("status=503&header=x-reset:1")).ms < 900));
  });

  await t.test("http: hostSelection OmitPreviousHosts goes to each instance before it comes back to one", async () => {
    const many = async (): Promise<readonly Tried[]> => {
      const found: Tried[] = [];
      for (let i = 0; i < 10; i++) found.push(...(await Promise.all([1, 2, 3].map(() => ask("status=503")))));
      return found;
    };
    const isRepeated = ({ at }: Tried) => new Set(at).size < at.length;
    await inForce({ ...twice, hostSelection: [{ predicate: "OmitPreviousHosts" }], hostSelectionMaxAttempts: 20 });
    await soon("three instances each", async () => {
      const found = await many();
      assert.ok(found.every(({ at }) => at.length === 3));
      assert.ok(!found.some(isRepeated));
    });
    await inForce(twice);
    await soon("three instances each, if nothing is said", async () => assert.ok(!(await many()).some(isRepeated)));
    await inForce({ ...twice, hostSelection: [{ predicate: "OmitHostsWithTags", tags: { version: "none" } }] });
    await soon("one instance twice", async () => assert.ok((await many()).some(isRepeated)));
  });

  await t.test(
    "http: hostSelection OmitHostsWithTags, and how often hostSelectionMaxAttempts looks for another",
    async () => {
      const omitV1 = { hostSelection: [{ predicate: "OmitHostsWithTags", tags: { version: "v1" } }] };
      const retriesAtV1 = async () => {
        const { at } = await ask("status=503");
        assert.equal(at.length, 7);
        return at.filter((address) => address !== v2.address).length;
      };
      await inForce({ ...twice, numRetries: 6, ...omitV1, hostSelectionMaxAttempts: 20 });
      // The first attempt is no retry and goes anywhere.
      await soon("all at v2", async () => {
        for (let i = 0; i < 6; i++) assert.ok((await retriesAtV1()) <= 1);
      });
      // In turn: v1, v1, v2. Who looks once more finds the other v1.
      await inForce({ ...twice, numRetries: 6, ...omitV1, hostSelectionMaxAttempts: 1 });
      await soon("some at v1", async () => assert.ok((await retriesAtV1()) > 1));
    },
  );
  await remove(kind, "retry");

  await t.test("a policy for a MeshHTTPRoute holds for its requests only", async () => {
    const again = { matches: [{ path: { type: "PathPrefix", value: "/again" } }], default: {} };
    await apply("MeshHTTPRoute", "again", { to: [{ targetRef: of("backend"), rules: [again] }] });
    const route = { kind: "MeshHTTPRoute", name: "again" };
    for (const [i, spec] of [
      { targetRef: route, to: [{ targetRef: { kind: "Mesh" }, default: { http: twice } }] },
      { to: [{ targetRef: route, default: { http: { ...twice, numRetries: 3 } } }] },
    ].entries()) {
      await apply(kind, "retry", spec);
      await soon("more attempts", async () =>
        assert.equal((await tried(`${url}/again`, all, "status=503")).at.length, 3 + i),
      );
      assert.equal((await ask("status=503")).at.length, 1);
    }
    await remove("MeshHTTPRoute", "again");
    await remove(kind, "retry");
  });

  await t.test("http and tcp: connections and requests that end without an answer", (inner) =>
    strangePeers(inner, stage),
  );
  await t.test("grpc", (inner) => grpcRetries(inner, stage));
});

type T = { test(name: string, body: () => Promise<void>): Promise<void> };

/** `strange` is an instance whose connections and requests end as the test says; `frontend` of its own calls it. */
async function strangePeers(t: T, { own, zone, apply, remove, start }: Stage): Promise<void> {
  let mode: "closes connections" | "refuses" | "resets" = "closes connections";
  let count = 0;
  const services = ["strange-http", "strange-tcp"];
  const identity = { mesh: "default", services, tags: { "kuma.io/service": services } };
  const leaf = await createIssuer(authorityOf("default", zone)).issue(identity, Date.now());
  const server = createTlsServer({ key: leaf.privateKey, cert: leaf.chain, ALPNProtocols: ["kuma"] });
  server.on("connection", (socket: Socket) => {
    if (mode !== "closes connections") return;
    count++;
    socket.destroy();
  });
  server.on("tlsClientError", () => {});
  server.on("secureConnection", (socket) => {
    const session = performServerHandshake(socket);
    session.on("error", () => {});
    session.on("stream", (stream) => {
      count++;
      stream.on("error", () => {});
      stream.close(mode === "refuses" ? constants.NGHTTP2_REFUSED_STREAM : constants.NGHTTP2_INTERNAL_ERROR);
    });
  });
  const address = "127.0.0.10";
  const port = await listening(own, server, address);
  const outbounds: Record<number, string> = {};
  const entrances: Record<string, number> = {};
  for (const protocol of ["http", "tcp"]) {
    const service = `strange-${protocol}`;
    const self = { mesh: "default", name: service, service, address, appPort: port, protocol };
    // Two Dataplanes of one address, so that it is HTTP to one service and bytes to the other.
    await put(zone.api, `/meshes/default/dataplanes/${service}`, dataplane({ ...self, port }));
    const out = await freePort();
    outbounds[out] = service;
    entrances[protocol] = out;
  }
  await start({ name: "caller", service: "caller", address: "127.0.0.11", appPort: port, outbounds });
  const url = `http://127.0.0.1:${entrances.http}`;
  const attempts = async (ask: () => Promise<unknown>): Promise<number> => {
    const before = count;
    await ask();
    return count - before;
  };

  for (const [how, retryOn] of [
    ["closes connections", "ConnectFailure"],
    ["refuses", "RefusedStream"],
    ["resets", "Reset"],
  ] as const)
    await t.test(`retryOn ${retryOn}: a peer that ${how}`, async () => {
      mode = how;
      for (const [condition, expected] of [
        [retryOn, 3],
        ["Retriable4xx", 1],
      ] as const) {
        await apply(kind, "strange", to("strange-http", { http: on(condition) }));
        await soon(`${expected} attempts`, async () => assert.equal(await attempts(() => get(url)), expected));
      }
    });

  await t.test("tcp: maxConnectAttempt is how often a connection is tried", async () => {
    mode = "closes connections";
    for (const maxConnectAttempt of [4, 1]) {
      await apply(kind, "strange", to("strange-tcp", { tcp: { maxConnectAttempt } }));
      await soon(`${maxConnectAttempt} attempts`, async () =>
        assert.equal(await attempts(() => exchange({ port: entrances.tcp ?? 0 }, "hello")), maxConnectAttempt),
      );
    }
  });
  await remove(kind, "strange");
}

const grpcStatus = { Canceled: 1, DeadlineExceeded: 4, ResourceExhausted: 8, Internal: 13, Unavailable: 14 };

async function grpcRetries(t: T, { own, apply, start }: Stage): Promise<void> {
  const seen: string[] = [];
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    const { searchParams } = new URL(headers[":path"] ?? "/", "http://app");
    seen.push(headers[":path"] ?? "");
    stream.on("error", () => {});
    const [header = "", value = ""] = (searchParams.get("header") ?? "").split(":");
    const answer = () => {
      if (stream.destroyed) return;
      const own = { "content-type": "application/grpc", "grpc-status": searchParams.get("status") ?? "0" };
      stream.respond({ ":status": 200, ...own, ...(header && { [header]: value }) }, { endStream: true });
    };
    setTimeout(answer, Number(searchParams.get("ms") ?? 0));
  });
  const appPort = await listening(own, server);
  const out = await freePort();
  await start({ name: "greeter", service: "greeter", address: "127.0.0.12", appPort, protocol: "grpc" });
  const outbounds = { [out]: "greeter" };
  await start({ name: "grpc-caller", service: "grpc-caller", address: "127.0.0.13", appPort, outbounds });
  const url = `http://127.0.0.1:${out}`;
  const ask = async (query: string) => {
    const id = `id=${++lastId}&`;
    const from = performance.now();
    const answer = await get(`${url}/?${id}${query}`, { "content-type": "application/grpc" }, "POST");
    const attempts = seen.filter((path) => path.includes(id)).length;
    return { status: answer.headers["grpc-status"], attempts, ms: performance.now() - from };
  };
  await soon("an answer", async () => assert.equal((await ask("")).status, "0"));
  const inForce = (grpc: object) => apply(kind, "grpc", to("greeter", { grpc }));
  const arrives = (attempts: number, query: string) =>
    soon(`${attempts} attempts of ${query}`, async () => assert.equal((await ask(query)).attempts, attempts));

  for (const [condition, status] of Object.entries(grpcStatus))
    await t.test(`retryOn ${condition}`, async () => {
      await inForce(on(condition));
      await arrives(3, `status=${status}`);
      await arrives(1, `status=${status === 1 ? 4 : 1}`);
    });
  await t.test("retryOn, absent; numRetries", async () => {
    await inForce(twice);
    for (const status of [grpcStatus.Canceled, grpcStatus.ResourceExhausted, grpcStatus.Unavailable])
      await arrives(3, `status=${status}`);
    await arrives(1, `status=${grpcStatus.Internal}`);
    await inForce({ ...twice, numRetries: 0 });
    await arrives(1, `status=${grpcStatus.Unavailable}`);
  });
  await t.test("perTryTimeout", async () => {
    await inForce({ ...twice, perTryTimeout: "200ms" });
    await arrives(3, "ms=2000");
  });
  await t.test("backOff", async () => {
    await inForce({ numRetries: 10, backOff: { baseInterval: "150ms", maxInterval: "150ms" } });
    await soon("pauses", async () => assert.ok((await ask("status=14")).ms > 350));
    await inForce({ numRetries: 10, backOff: { baseInterval: "1ms" } });
    await soon("short pauses", async () => assert.ok((await ask("status=14")).ms < 300));
    await inForce({ numRetries: 12, backOff: { baseInterval: "1ms", maxInterval: "1s" } });
    await soon("long pauses", async () => assert.ok((await ask("status=14")).ms > 500));
  });
  await t.test("rateLimitedBackOff", async () => {
    const limited = (format: string, rest = {}) =>
      inForce({
        ...twice,
        numRetries: 1,
        rateLimitedBackOff: { resetHeaders: [{ name: "x-reset", format }], ...rest },
      });
    await limited("Seconds");
    await soon("a second", async () => assert.ok((await ask("status=14&header=x-reset:1")).ms >= 990));
    await limited("UnixTimestamp");
    await soon("until that moment", async () => {
      const { attempts, ms } = await ask(`status=14&header=x-reset:${Math.ceil(Date.now() / 1_000) + 1}`);
      assert.equal(attempts, 2);
      assert.ok(ms >= 900, `${ms} ms`);
    });
    await limited("Seconds", { maxInterval: "500ms" });
    await soon("not that long", async () => {
      const { attempts, ms } = await ask("status=14&header=x-reset:1");
      assert.equal(attempts, 2);
      assert.ok(ms < 900, `${ms} ms`);
    });
  });
}

// Each field of MeshHealthCheck, by which instances requests reach, and by what checks an application has seen.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { constants, createServer as createHttp2Server } from "node:http2";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { put } from "../lab/lab.ts";
import { allowAll, dataplane } from "../lab/manifests.ts";
import { exchange, listening, policyStage, type Stage, soon } from "./stage.ts";

const kind = "MeshHealthCheck";
const to = (service: string, conf: object) => ({
  to: [{ targetRef: { kind: "MeshService", name: service }, default: conf }],
});
/** Soon checked, also before there is traffic. */
const often = { interval: "100ms", noTrafficInterval: "100ms", timeout: "1s" };

interface Checks extends Stage {
  /** Returns when the client's cluster of that service has been replaced, and its instances checked a first time. */
  inForce(service: string, conf: object): Promise<void>;
  /** The instances that some requests, one after the other, reached. */
  reached(requests?: number): Promise<readonly string[]>;
}

async function checks(t: TestContext): Promise<Checks> {
  const stage = await policyStage(t);
  const { url, apply, counted, v1, v2 } = stage;
  await apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  const reached = async (requests = 10) => {
    const found = new Set<string>();
    for (let i = 0; i < requests; i++) {
      const { status, text, headers } = await get(url);
      found.add(status === 200 ? String(headers["x-app"]) : `${status} ${text}`);
    }
    return [...found].sort();
  };
  await soon("both instances", async () => {
    assert.deepEqual(await reached(), ["v1", "v2"]);
    assert.ok(v1.seen.length > 0 && v2.seen.length > 0);
  });
  return {
    ...stage,
    reached,
    async inForce(service, conf) {
      const before = await counted("cluster_manager.cluster_modified");
      await apply(kind, "check", to(service, conf));
      await soon("another cluster", async () => {
        assert.ok((await counted("cluster_manager.cluster_modified")) > before);
        assert.equal(await counted("cluster_manager.warming_clusters"), 0);
      });
    },
  };
}

const noneLeft = ["503 no healthy upstream"];
const failingV1 = "/health?only=v1&status=500";

test("MeshHealthCheck: HTTP", async (t) => {
  const stage = await checks(t);
  const { own, zone, apply, counted, inForce, reached, v1, v2 } = stage;
  const only = (names: readonly string[]) => soon(names.join(), async () => assert.deepEqual(await reached(), names));
  const checksSeen = () => v1.seen.filter(({ path }) => path.startsWith("/health"));
  /** How many arrive at one instance in this time. */
  const checksWithin = async (ms: number) => {
    const before = checksSeen().length;
    const end = performance.now() + ms;
    while (performance.now() < end) await reached(1);
    return checksSeen().length - before;
  };

  await t.test("http.path: who does not answer it with 200 gets no requests", async () => {
    await inForce("backend", { ...often, http: { path: failingV1 } });
    await only(["v2"]);
  });

  await t.test("http.expectedStatuses: or with these", async () => {
    await inForce("backend", { ...often, http: { path: failingV1, expectedStatuses: [200, 500] } });
    await only(["v1", "v2"]);
    await inForce("backend", { ...often, http: { path: failingV1, expectedStatuses: [500] } });
    await only(["v1"]);
  });

  await t.test("http.disabled: not asked", async () => {
    await inForce("backend", { ...often, http: { path: failingV1, disabled: true } });
    await only(["v1", "v2"]);
    assert.equal(await checksWithin(500), 0);
  });

  await t.test("http.requestHeadersToAdd", async () => {
    const requestHeadersToAdd = {
      set: [{ name: "user-agent", value: "100%" }],
      add: [{ name: "x-check", value: "a" }],
    };
    await inForce("backend", { ...often, http: { path: "/health?headers", requestHeadersToAdd } });
    const { headers } = await soon("a check", async () => {
      const found = v1.seen.find(({ path }) => path === "/health?headers");
      assert.ok(found);
      return found;
    });
    assert.deepEqual([headers["user-agent"], headers["x-check"]], ["100%", "a"]);
  });

  await t.test("interval", async () => {
    await inForce("backend", { ...often, interval: "30s", http: { path: "/health?late" } });
    await soon("the first", async () => assert.ok(v1.seen.some(({ path }) => path === "/health?late")));
    assert.ok((await checksWithin(1_000)) <= 1);
    await inForce("backend", { ...often, http: { path: "/health" } });
    assert.ok((await checksWithin(1_000)) >= 4);
  });

  await t.test("intervalJitter and intervalJitterPercent: up to so much later", async () => {
    await inForce("backend", { ...often, intervalJitter: "4s", http: { path: "/health" } });
    assert.ok((await checksWithin(1_000)) < 5);
    await inForce("backend", { ...often, interval: "200ms", intervalJitterPercent: 100, http: { path: "/health" } });
    // Every 300 ms on average, and 15 without; far from what chance does.
    const count = await checksWithin(3_000);
    assert.ok(count >= 4 && count < 13, `${count}`);
  });

  await t.test("initialJitter: the first check is up to so much later", async () => {
    const start = performance.now();
    await inForce("backend", { ...often, initialJitter: "3s", http: { path: "/health?first" } });
    await soon("both checked", async () =>
      assert.ok([v1, v2].every(({ seen }) => seen.some(({ path }) => path === "/health?first"))),
    );
    assert.ok(performance.now() - start > 100);
  });

  await t.test("timeout, healthyPanicThreshold and failTrafficOnPanic", async () => {
    const slow = (timeout: string, panic: object) => ({
      ...{ ...often, timeout, http: { path: "/health?ms=400" } },
      ...panic,
    });
    await inForce("backend", slow("2s", { healthyPanicThreshold: 0 }));
    await only(["v1", "v2"]);
    await inForce("backend", slow("200ms", { healthyPanicThreshold: 0 }));
    await only(noneLeft);
    await inForce("backend", slow("200ms", {}));
    await only(["v1", "v2"]);
    await inForce("backend", slow("200ms", { failTrafficOnPanic: true }));
    await only(noneLeft);
    await inForce("backend", { ...often, healthyPanicThreshold: 51, http: { path: failingV1 } });
    await only(["v1", "v2"]);
    await inForce("backend", { ...often, healthyPanicThreshold: 50, http: { path: failingV1 } });
    await only(["v2"]);
  });

  await t.test("reuseConnection: or one for each check", async () => {
    const accepted = async () =>
      Number(/downstream_cx_total: (\d+)/.exec(await v1.proxy.admin("/stats?filter=^listener.*cx_total$"))?.[1]);
    const perCheck = async () => {
      const [connections, seen] = [await accepted(), checksSeen().length];
      await soon("ten checks", async () => assert.ok(checksSeen().length >= seen + 10));
      return ((await accepted()) - connections) / 10;
    };
    await inForce("backend", { ...often, http: { path: "/health" } });
    assert.ok((await perCheck()) < 0.5);
    await inForce("backend", { ...often, reuseConnection: false, http: { path: "/health" } });
    assert.ok((await perCheck()) >= 0.9);
  });

  await t.test("eventLogPath and alwaysLogHealthCheckFailures", async () => {
    const [always, changes] = [join(own.folder, "always.log"), join(own.folder, "changes.log")];
    const failing = { send: "ping", receive: ["pong"] };
    const failures = (service: string) => counted(`cluster.${service}.health_check.failure`);
    const before = { echo: await failures("echo"), backend: await failures("backend") };
    await apply(kind, "echo", to("echo", { ...often, timeout: "100ms", eventLogPath: changes, tcp: failing }));
    await inForce("backend", {
      ...{ ...often, alwaysLogHealthCheckFailures: true },
      ...{ eventLogPath: always, http: { path: failingV1 } },
    });
    await soon("failures", async () => {
      assert.ok((await failures("echo")) >= before.echo + 6);
      assert.ok((await failures("backend")) >= before.backend + 6);
    });
    const logged = async (path: string) =>
      (await readFile(path, "utf8")).split("\n").filter((line) => line.includes("health_check_failure_event")).length;
    // Envoy writes what it has each ten seconds.
    await soon("lines", async () => assert.ok((await logged(always)) >= 4));
    assert.ok((await logged(changes)) <= 1);
    await stage.remove(kind, "echo");
  });

  await t.test("unhealthyThreshold and healthyThreshold: so many in a row", async () => {
    let isMute = false;
    const seen: string[] = [];
    const port = await listening(
      own,
      createServer((request, response) => {
        const path = request.url ?? "";
        if (path.startsWith("/health")) seen.push(isMute ? "mute" : "well");
        if (isMute && path.startsWith("/health")) return;
        response.setHeader("x-app", "fickle");
        response.end();
      }),
    );
    await stage.start({ name: "fickle", service: "backend", address: "127.0.0.8", appPort: port });
    // More than without it, which is 5.
    const thresholds = { unhealthyThreshold: 12, healthyThreshold: 4 };
    await inForce("backend", {
      ...often,
      interval: "400ms",
      timeout: "200ms",
      ...thresholds,
      http: { path: "/health" },
    });
    await soon("it is reached", async () => assert.ok((await reached()).includes("fickle")));
    isMute = true;
    await soon("it is out", async () => assert.deepEqual(await reached(), ["v1", "v2"]));
    const muted = seen.filter((what) => what === "mute").length;
    isMute = false;
    const before = seen.filter((what) => what === "well").length;
    await soon("it is back", async () => assert.ok((await reached()).includes("fickle")));
    const well = seen.filter((what) => what === "well").length - before;
    assert.ok(muted >= 12 && well >= 4, `${muted} ${well}`);
  });

  await t.test("who is not ready any more gets nothing, however well its checks go", async () => {
    const { inboundPort: at, address, port: appPort } = v2;
    const notReady = dataplane({ mesh: "default", name: "backend-v2", service: "backend", address, port: at, appPort });
    for (const inbound of notReady.networking.inbound) Object.assign(inbound, { state: "NotReady" });
    await put(zone.api, "/meshes/default/dataplanes/backend-v2", notReady);
    await soon("v2 is out", async () => assert.ok(!(await reached()).includes("v2")));
    await apply(kind, "check", to("backend", { ...often, http: { path: failingV1, disabled: true } }));
  });
});

test("MeshHealthCheck: TCP", async (t) => {
  const { echoPort, counted, inForce } = await checks(t);
  const echoes = async () => (await exchange({ port: echoPort }, "hello", (text) => text !== "")).received === "hello";
  const inPanicNobody = { ...often, timeout: "200ms", healthyPanicThreshold: 0 };

  await t.test("noTrafficInterval until the first connection, interval from then on", async () => {
    const attempts = () => counted("cluster.echo.health_check.attempt");
    await inForce("echo", { interval: "30s", noTrafficInterval: "100ms", tcp: {} });
    const before = await attempts();
    await soon("checks without traffic", async () => assert.ok((await attempts()) > before + 5));
    assert.ok(await echoes());
    // Of the one that waited already.
    const then = await attempts();
    const end = performance.now() + 1_000;
    while (performance.now() < end) assert.ok(await echoes());
    assert.ok((await attempts()) <= then + 1);
  });

  for (const [says, tcp, isWell] of [
    ["tcp: who can be connected to", {}, true],
    ["tcp.send, tcp.receive: who answers so", { send: "ping Zm9v", receive: ["ping", "Zm9v"] }, true],
    ["tcp.receive: nobody who does not", { send: "ping", receive: ["pong"] }, false],
    ["tcp.disabled", { send: "ping", receive: ["pong"], disabled: true }, true],
  ] as const)
    await t.test(says, async () => {
      await inForce("echo", { ...inPanicNobody, tcp });
      await soon(`${isWell}`, async () => assert.equal(await echoes(), isWell));
    });
});

test("MeshHealthCheck: gRPC", async (t) => {
  const stage = await checks(t);
  const { own, start, apply } = stage;
  const asked: { readonly service: string; readonly authority: string }[] = [];
  let serving = 1;
  const server = createHttp2Server();
  server.on("stream", (stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      if (headers[":path"] !== "/grpc.health.v1.Health/Check") {
        stream.respond({ ":status": constants.HTTP_STATUS_OK, "x-app": "greeter" });
        return stream.end();
      }
      // After the frame's five bytes, and the field's two, the name of the service.
      asked.push({
        service: Buffer.concat(chunks).subarray(7).toString(),
        authority: String(headers[":authority"]),
      });
      stream.respond({ "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      return stream.end(Buffer.from([0, 0, 0, 0, 2, 8, serving]));
    });
  });
  const appPort = await listening(own, server);
  await start({ name: "greeter", service: "greeter", address: "127.0.0.12", appPort, protocol: "grpc" });
  const out = await freePort();
  await start({
    ...{ name: "caller", service: "caller", address: "127.0.0.13", appPort },
    outbounds: { [out]: "greeter" },
  });
  const answer = (status: number) =>
    soon(`${status}`, async () => assert.equal((await get(`http://127.0.0.1:${out}`)).status, status));
  const inForce = (grpc: object) => apply(kind, "grpc", to("greeter", { ...often, healthyPanicThreshold: 0, grpc }));
  await answer(200);

  await t.test("grpc.serviceName and grpc.authority: what is asked for", async () => {
    await inForce({ serviceName: "greeter.Greeter", authority: "greeter.example" });
    await soon("a check", async () =>
      assert.deepEqual(asked.at(-1), { service: "greeter.Greeter", authority: "greeter.example" }),
    );
    await answer(200);
  });

  await t.test("grpc: who is not serving gets no requests", async () => {
    serving = 2;
    await answer(503);
    serving = 1;
    await answer(200);
  });

  await t.test("grpc.disabled", async () => {
    serving = 2;
    await answer(503);
    await inForce({ disabled: true });
    await answer(200);
  });
});

// Each field of MeshCircuitBreaker: limits by what is answered 503 at once, detectors by which instance requests no longer reach.

import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { freePort } from "#host/free-port.ts";
import { get } from "../lab/http.ts";
import { put } from "../lab/lab.ts";
import { allowAll, dataplane } from "../lab/manifests.ts";
import { exchange, type Instance, listening, policyStage, type Stage, soon } from "./stage.ts";

const kind = "MeshCircuitBreaker";
const everyone = { kind: "Mesh" };
const of = (name: string) => ({ kind: "MeshService", name });
const to = (service: string, conf: object) => ({ to: [{ targetRef: of(service), default: conf }] });
const from = (service: string, conf: object) => ({
  targetRef: of(service),
  from: [{ targetRef: everyone, default: conf }],
});
const rules = (service: string, conf: object) => ({ targetRef: of(service), rules: [{ default: conf }] });

interface Breakers extends Stage {
  readonly all: readonly Instance[];
  readonly v3: Instance;
}

async function breakers(t: TestContext): Promise<Breakers> {
  const stage = await policyStage(t);
  await stage.apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  const v3 = await stage.addBackend("v3", "backend-v3", "127.0.0.6");
  const all = [stage.v1, stage.v2, v3];
  await soon("all instances", async () => assert.equal((await reached(stage.url, all, "", 6)).size, 3));
  return { ...stage, all, v3 };
}

let lastId = 0;
/** How many of so many requests, one after the other, arrived where. */
async function reached(url: string, all: readonly Instance[], query: string, requests: number) {
  const id = `id=${++lastId}&`;
  for (let i = 0; i < requests; i++) await get(`${url}/?${id}${query}`);
  const counts = all.map((one) => [one, one.seen.filter(({ path }) => path.includes(`?${id}`)).length] as const);
  return new Map(counts.filter(([, count]) => count > 0));
}

/** Statuses of so many requests at once, sorted; `overloaded`: how many a limit answered. */
async function atOnce(url: string, requests: number) {
  const answers = await Promise.all(Array.from({ length: requests }, () => get(url)));
  return {
    statuses: answers.map(({ status }) => status).sort(),
    overloaded: answers.filter(({ headers }) => headers["x-envoy-overloaded"] === "true").length,
  };
}

const slow = "/?ms=300";

test("MeshCircuitBreaker: limits of what goes to a service", async (t) => {
  const stage = await breakers(t);
  const { url, all, apply, remove, counted } = stage;
  const limit = (service: string, limits: object) => apply(kind, "limit", to(service, { connectionLimits: limits }));
  const unlimited = async () => {
    await remove(kind, "limit");
    await soon("no limit", async () => assert.equal((await atOnce(url + slow, 6)).overloaded, 0));
  };

  await t.test("maxRequests: more at a time are answered 503 at once", async () => {
    await limit("backend", { maxRequests: 2 });
    await soon("four of six", async () =>
      assert.deepEqual(await atOnce(url + slow, 6), { statuses: [200, 200, 503, 503, 503, 503], overloaded: 4 }),
    );
    await unlimited();
  });

  await t.test("maxConnectionPools: requests in one keep others from a second instance", async () => {
    await limit("backend", { maxConnectionPools: 1 });
    await soon("one of three", async () =>
      assert.deepEqual(await atOnce(url + slow, 3), { statuses: [200, 503, 503], overloaded: 0 }),
    );
    await unlimited();
  });

  await t.test("maxConnections: a second TCP connection is closed", async () => {
    const isClosed = async () => (await exchange({ port: stage.echoPort }, "hello", (text) => text !== "")).isClosed;
    const first = connect(stage.echoPort, "127.0.0.1");
    stage.own.atEnd(async () => first.destroy());
    await limit("echo", { maxConnections: 1 });
    // A cluster that is replaced counts its connections anew.
    first.write("hello");
    await soon("the limit", async () => {
      const held = connect(stage.echoPort, "127.0.0.1");
      held.write("hello");
      await new Promise((done) => held.once("data", done).once("close", done));
      const second = await isClosed();
      held.destroy();
      assert.ok(second);
    });
    await soon("room again", async () => assert.equal(await isClosed(), false));
    await remove(kind, "limit");
  });

  await t.test("maxRetries: further attempts at a time are not made", async () => {
    const retry = { numRetries: 1, retryOn: ["503"], backOff: { baseInterval: "1ms" } };
    await apply("MeshRetry", "retry", to("backend", { http: retry }));
    const attempts = async () => {
      const id = `id=${++lastId}&`;
      await Promise.all(Array.from({ length: 6 }, () => get(`${url}/?${id}ms=200&status=503`)));
      return all.flatMap(({ seen }) => seen.filter(({ path }) => path.includes(`?${id}`))).length;
    };
    await soon("each twice", async () => assert.equal(await attempts(), 12));
    await limit("backend", { maxRetries: 2 });
    await soon("two twice", async () => assert.equal(await attempts(), 8));
    assert.ok((await counted("cluster.backend.upstream_rq_retry_overflow")) >= 4);
    await remove("MeshRetry", "retry");
    await unlimited();
  });

  await t.test("maxPendingRequests: more that wait for a connection are answered 503 at once", async () => {
    const host = "127.0.0.8";
    const port = await listening(
      stage.own,
      createServer(() => {}),
      host,
    );
    const silent = { mesh: "default", name: "silent", service: "silent", address: host, port, appPort: port };
    await put(stage.zone.api, "/meshes/default/dataplanes/silent", dataplane(silent));
    await apply("MeshTimeout", "silent", to("silent", { connectionTimeout: "700ms" }));
    const out = await freePort();
    await stage.start({
      ...{ name: "caller", service: "caller", address: "127.0.0.7", appPort: stage.v1.port },
      outbounds: { [out]: "silent" },
    });
    await soon("none at once", async () => {
      const { statuses, overloaded } = await atOnce(`http://127.0.0.1:${out}`, 3);
      assert.deepEqual([statuses, overloaded], [[503, 503, 503], 0]);
    });
    await limit("silent", { maxPendingRequests: 1 });
    await soon("two of three at once", async () =>
      assert.equal((await atOnce(`http://127.0.0.1:${out}`, 3)).overloaded, 2),
    );
  });
});

for (const place of [from, rules])
  test(`MeshCircuitBreaker: ${place.name}: limits and detectors of what goes to the application`, async (t) => {
    const { url, all, apply } = await breakers(t);
    const inForce = (conf: object) => apply(kind, "inbound", place("backend", conf));

    await t.test("maxConnections and maxPendingRequests: who finds no place to wait is answered 503", async () => {
      // An application's connection carries one request at a time: of three for each of three instances one goes, one waits.
      await inForce({ connectionLimits: { maxConnections: 1, maxPendingRequests: 1 } });
      await soon("three of nine", async () =>
        assert.deepEqual((await atOnce(url + slow, 9)).statuses, [200, 200, 200, 200, 200, 200, 503, 503, 503]),
      );
    });

    await t.test("maxRequests", async () => {
      await inForce({ connectionLimits: { maxRequests: 1 } });
      await soon("six of nine", async () =>
        assert.deepEqual((await atOnce(url + slow, 9)).statuses, [200, 200, 200, 503, 503, 503, 503, 503, 503]),
      );
    });

    await t.test("outlierDetection: an application that fails gets no more, where there is no panic", async () => {
      const detectors = { totalFailures: { consecutive: 2 } };
      await inForce({ outlierDetection: { detectors, healthyPanicThreshold: 0 } });
      await soon("nothing arrives", async () => assert.equal((await reached(url, all, "status=500", 6)).size, 0));
      assert.equal((await get(url)).status, 503);
    });
  });

/** One instance fails, others don't. */
interface Row {
  readonly says: string;
  readonly detection: object;
  /** Not with these answers. */
  readonly not?: number;
  /** With these it is left out; absent: never. */
  readonly out?: number;
}
const each = { interval: "200ms" };
/** Of three instances in an interval: as many as a busy machine manages, too. */
const requestVolume = 2;
const successRate = { minimumHosts: 3, requestVolume, standardDeviationFactor: 1 };
const percentage = { minimumHosts: 3, requestVolume, threshold: 80 };
const rows: readonly Row[] = [
  { says: "totalFailures", detection: { detectors: { totalFailures: {} } }, not: 404, out: 500 },
  { says: "disabled", detection: { disabled: true, detectors: { totalFailures: {} } }, not: 500 },
  { says: "gatewayFailures", detection: { detectors: { gatewayFailures: { consecutive: 2 } } }, not: 500, out: 502 },
  { says: "successRate", detection: { ...each, detectors: { successRate } }, not: 404, out: 500 },
  {
    says: "successRate.standardDeviationFactor",
    detection: { ...each, detectors: { successRate: { ...successRate, standardDeviationFactor: "1.9" } } },
    not: 500,
  },
  {
    says: "successRate.minimumHosts",
    detection: { ...each, detectors: { successRate: { ...successRate, minimumHosts: 4 } } },
    not: 500,
  },
  {
    says: "successRate.requestVolume",
    detection: { ...each, detectors: { successRate: { ...successRate, requestVolume: 5_000 } } },
    not: 500,
  },
  {
    says: "failurePercentage",
    detection: { ...each, detectors: { failurePercentage: percentage } },
    not: 404,
    out: 500,
  },
  {
    says: "failurePercentage.minimumHosts",
    detection: { ...each, detectors: { failurePercentage: { ...percentage, minimumHosts: 4 } } },
    not: 500,
  },
  {
    says: "failurePercentage.requestVolume",
    detection: { ...each, detectors: { failurePercentage: { ...percentage, requestVolume: 5_000 } } },
    not: 500,
  },
];

test("MeshCircuitBreaker: instances that are left out for a while", async (t) => {
  const stage = await breakers(t);
  const { url, all, v1, apply, counted } = stage;
  const replaced = async (change: () => Promise<void>) => {
    const before = await counted("cluster_manager.cluster_modified");
    await change();
    await soon("another cluster, with nobody out", async () => {
      assert.ok((await counted("cluster_manager.cluster_modified")) > before);
      assert.equal(await counted("cluster_manager.warming_clusters"), 0);
    });
  };
  const inForce = (outlierDetection: object) =>
    replaced(() => apply(kind, "outlier", to("backend", { outlierDetection })));
  const isIn = async () => assert.equal((await arrivals("", 6)).size, 3);
  const arrivals = (query: string, requests = 30) => reached(url, all, query, requests);
  const failing = (status: number) => `only=v1&status=${status}`;
  const isOut = (status: number) =>
    soon("one is out", async () => assert.equal((await arrivals(failing(status))).get(v1), undefined));
  const consecutive = (count: number) => ({ detectors: { totalFailures: { consecutive: count } } });

  for (const { says, detection, not, out } of rows)
    await t.test(`${says}:${not ? ` not out with ${not}` : ""}${out ? ` out with ${out}` : ""}`, async () => {
      await inForce(detection);
      if (not) {
        // For as long as any other would have been left out.
        const end = performance.now() + 700;
        while (performance.now() < end) assert.equal((await arrivals(failing(not))).size, 3);
      }
      if (out) await isOut(out);
    });

  await t.test("failurePercentage.threshold: not where fewer fail", async () => {
    const half = async () => {
      for (let i = 0; i < 10; i++) await arrivals(i % 2 ? "" : failing(500), 3);
      return (await arrivals("", 6)).size;
    };
    const threshold = (percent: number) => ({
      ...each,
      detectors: { failurePercentage: { ...percentage, threshold: percent } },
    });
    await inForce(threshold(70));
    const end = performance.now() + 700;
    while (performance.now() < end) assert.equal(await half(), 3);
    await inForce(threshold(30));
    await soon("it is out", async () => assert.equal(await half(), 2));
  });

  await t.test("consecutive: after so many failures, not before", async () => {
    await inForce(consecutive(6));
    let count = 0;
    // Who is asked between two requests has heard of the first.
    while ((await counted("cluster.backend.outlier_detection.ejections_active")) === 0)
      count += (await arrivals(failing(500), 1)).get(v1) ?? 0;
    assert.equal(count, 6);
    await soon("it is out", async () => assert.equal((await arrivals("", 6)).get(v1), undefined));
  });

  await t.test("baseEjectionTime, looked at each interval: then it is back", async () => {
    await inForce({ ...consecutive(1), ...each, baseEjectionTime: "400ms" });
    await isOut(500);
    const start = performance.now();
    await soon("it is back", isIn);
    assert.ok(performance.now() - start < 5_000, "the next of Envoy's usual intervals is 10 s away");
    await inForce({ ...consecutive(1), ...each, baseEjectionTime: "20s" });
    await isOut(500);
    const end = performance.now() + 1_000;
    while (performance.now() < end) assert.equal((await arrivals("")).get(v1), undefined);
  });

  for (const [maxEjectionPercent, out, left] of [
    [undefined, 1, 2],
    [0, 0, 3],
    [34, 1, 2],
    [67, 2, 1],
    // All are out, so all are taken.
    [100, 3, 3],
  ] as const)
    await t.test(`maxEjectionPercent ${maxEjectionPercent}: ${left} of three failing instances are left`, async () => {
      await inForce({ ...consecutive(1), ...(maxEjectionPercent !== undefined && { maxEjectionPercent }) });
      await arrivals("status=500");
      // Envoy tells its workers of changes of health once a second.
      await soon(`${left} are left`, async () => assert.equal((await arrivals("")).size, left));
      assert.equal(await counted("cluster.backend.outlier_detection.ejections_active"), out);
    });

  await t.test("healthyPanicThreshold: with fewer healthy ones all are taken", async () => {
    await inForce({ ...consecutive(1), healthyPanicThreshold: "66.5" });
    await isOut(500);
    await inForce({ ...consecutive(1), healthyPanicThreshold: 67 });
    await arrivals(failing(500));
    assert.equal(await counted("cluster.backend.outlier_detection.ejections_active"), 1);
    assert.equal((await arrivals("")).size, 3);
  });

  await t.test("an instance that refuses connections", async (t) => {
    const dead = { mesh: "default", name: "dead", service: "backend", address: "127.0.0.9", port: 9, appPort: 9 };
    await put(stage.zone.api, "/meshes/default/dataplanes/dead", dataplane(dead));
    const failures = async (requests = 24) => {
      let failed = 0;
      for (let i = 0; i < requests; i++) if ((await get(url)).status === 503) failed++;
      return failed;
    };
    const localOriginFailures = { consecutive: 2 };
    const totalFailures = { consecutive: 2 };
    for (const [says, detection, goes] of [
      ["localOriginFailures", { splitExternalAndLocalErrors: true, detectors: { localOriginFailures } }, true],
      ["localOriginFailures, not split", { detectors: { localOriginFailures } }, false],
      ["totalFailures, not split", { detectors: { totalFailures } }, true],
      ["totalFailures", { splitExternalAndLocalErrors: true, detectors: { totalFailures } }, false],
    ] as const)
      await t.test(`${says}: ${goes ? "is" : "is not"} left out`, async () => {
        // What says nothing of it leaves who refuses connections (decision 20).
        await inForce(consecutive(1_000));
        await soon("it fails", async () => assert.equal(await failures(), 6));
        await inForce(detection);
        if (goes) await soon("it is out", async () => assert.equal(await failures(), 0));
        else assert.equal(await failures(48), 12);
      });
  });
});

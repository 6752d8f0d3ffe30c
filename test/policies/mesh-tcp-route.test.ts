// MeshTCPRoute, by where connections arrive.

import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { allowAll } from "../lab/manifests.ts";
import { exchange, listening, policyStage, soon } from "./stage.ts";

const kind = "MeshTCPRoute";
const service = (name: string, weight?: number) => ({
  kind: "MeshService",
  name,
  ...(weight !== undefined && { weight }),
});
const part = (name: string, version: string, weight?: number) => ({
  ...{ kind: "MeshServiceSubset", name, tags: { version } },
  ...(weight !== undefined && { weight }),
});
const to = (name: string, backendRefs: readonly object[]) => ({
  to: [{ targetRef: service(name), rules: [{ default: { backendRefs } }] }],
});

test("MeshTCPRoute", async (t) => {
  const stage = await policyStage(t);
  const { own, url, echoPort, apply, remove, start, v1, v2 } = stage;
  await apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  /** Another TCP service, in two versions that say who they are. */
  const namers = await Promise.all(
    ["v1", "v2"].map(async (version, i) => {
      const appPort = await listening(
        own,
        createServer((socket) => socket.on("error", () => {}).on("data", () => socket.write(`namer ${version}`))),
      );
      const name = `namer-${version}`;
      return start({
        name,
        service: "namer",
        address: `127.0.0.${20 + i}`,
        appPort,
        protocol: "tcp",
        tags: { version },
      });
    }),
  );
  assert.equal(namers.length, 2);

  /** Who answers a connection to `echo`, and how often of so many. */
  const answered = async (connections: number) => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < connections; i++) {
      const { received } = await exchange({ port: echoPort }, "hello", (text) => text !== "");
      const who = received === "hello" ? "echo" : received || "closed";
      counts[who] = (counts[who] ?? 0) + 1;
    }
    return counts;
  };
  const only = (...names: readonly string[]) =>
    soon(names.join(), async () => assert.deepEqual(Object.keys(await answered(12)).sort(), [...names].sort()));
  await only("echo");

  await t.test("without a weight, evenly; the instances of each in turn", async () => {
    await apply(kind, "route", to("echo", [service("echo"), service("namer")]));
    await only("echo", "namer v1", "namer v2");
    const { echo = 0, ...others } = await answered(120);
    assert.ok(echo >= 35 && echo <= 85, `${echo}`);
    assert.ok(Object.values(others).every((count) => count >= 10));
  });

  await t.test("by weight, in 400 connections; none to one of weight 0", async () => {
    await apply(kind, "route", to("echo", [service("echo", 90), part("namer", "v2", 10), part("namer", "v1", 0)]));
    await only("echo", "namer v2").catch(() => {});
    const { echo = 0, ...others } = await soon("no v1", async () => {
      const counts = await answered(400);
      assert.equal(counts["namer v1"], undefined);
      return counts;
    });
    assert.deepEqual(Object.keys(others), ["namer v2"]);
    // Four standard deviations of what chance does.
    assert.ok(echo >= 336 && echo <= 384, `${echo}`);
  });

  await t.test("to a part of another service only", async () => {
    await apply(kind, "route", to("echo", [part("namer", "v1")]));
    await only("namer v1");
  });

  await t.test("nobody with a weight, or who is known: closed", async () => {
    await apply(kind, "route", to("echo", [service("echo", 0)]));
    await only("closed");
    await apply(kind, "route", to("echo", [{ kind: "MeshService", name: "echo", port: 80 }]));
    await only("closed");
    await apply(kind, "route", to("echo", []));
    await only("echo");
  });

  await t.test("of requests it makes connections, unless a MeshHTTPRoute leads these", async () => {
    const v2Only = [part("backend", "v2")];
    const seen = async () => {
      const before = [v1, v2].map((one) => one.seen.length);
      const found: unknown[] = [];
      // A connection of its own for each.
      for (let i = 0; i < 8; i++)
        found.push((await get(url, { connection: "close" })).headers["x-envoy-upstream-service-time"]);
      return { counts: [v1, v2].map((one, i) => one.seen.length - (before[i] ?? 0)), times: new Set(found).size };
    };
    await soon("both", async () => assert.ok((await seen()).counts.every((count) => count > 0)));
    const delay = to("backend", v2Only);
    await apply(kind, "requests", delay);
    await soon("v2 only", async () => assert.deepEqual((await seen()).counts, [0, 8]));
    // The client's proxy no longer sees requests: the one before the application is the only one that counts.
    const requests = () => stage.counted("http.backend.downstream_rq_total");
    const before = await requests();
    await seen();
    assert.equal(await requests(), before);

    const matches = [{ path: { type: "PathPrefix", value: "/" } }];
    const rules = [{ matches, default: { backendRefs: [part("backend", "v1")] } }];
    await apply("MeshHTTPRoute", "requests", { to: [{ targetRef: service("backend"), rules }] });
    await soon("v1 only", async () => assert.deepEqual((await seen()).counts, [8, 0]));
    await remove("MeshHTTPRoute", "requests");
    await soon("v2 only", async () => assert.deepEqual((await seen()).counts, [0, 8]));
    await remove(kind, "requests");
    await soon("both", async () => assert.ok((await seen()).counts.every((count) => count > 0)));
  });
});

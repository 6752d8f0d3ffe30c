// Each field of MeshLoadBalancingStrategy within a zone, by which instance a request reaches. What is said of other zones is in
// test/scenarios/a6-failover-threshold.test.ts and a7-failover-order.test.ts.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { test } from "node:test";
import { get } from "../lab/http.ts";
import { allowAll } from "../lab/manifests.ts";
import { listening, policyStage, soon } from "./stage.ts";

const kind = "MeshLoadBalancingStrategy";
const names = ["v1", "v2", "v3"];

test("MeshLoadBalancingStrategy", async (t) => {
  const stage = await policyStage(t);
  const { own, url, apply, remove, counted, start } = stage;
  await apply("MeshTrafficPermission", "allow-all", allowAll("default").spec);
  await stage.addBackend("v3", "backend-v3", "127.0.0.6");
  type Asked = Readonly<Record<string, string>>;
  const answerOf = async (headers: Asked = {}, path = "/") => {
    const answer = await get(url + path, headers);
    assert.equal(answer.status, 200);
    return { who: String(answer.headers["x-app"]), cookies: answer.headers["set-cookie"] ?? [] };
  };
  const sequence = async (requests: number, ask: (i: number) => readonly [Asked?, string?] = () => []) => {
    const found: string[] = [];
    for (let i = 0; i < requests; i++) found.push((await answerOf(...ask(i))).who);
    return found;
  };
  const counts = (all: readonly string[]) => {
    const found: Record<string, number> = {};
    for (const who of all) found[who] = (found[who] ?? 0) + 1;
    return found;
  };
  await soon("all instances", async () => assert.deepEqual([...new Set(await sequence(12))].sort(), names));
  /** Soon: what depends on it waits for what it sees. */
  const inForce = (conf: object) =>
    apply(kind, "strategy", { to: [{ targetRef: { kind: "MeshService", name: "backend" }, default: conf }] });
  /** Requests of so many users: each user's always reach one instance, and not all the same. */
  const isSticky = async (ask: (user: number) => readonly [Asked?, string?]) => {
    const first = await sequence(24, ask);
    assert.ok(new Set(first).size > 1, `${first}`);
    for (let i = 0; i < 2; i++) assert.deepEqual(await sequence(24, ask), first);
    return first;
  };
  const byUser = (user: number): readonly [Asked] => [{ "x-user": `user-${user}` }];
  const header = { type: "Header", header: { name: "x-user" } };

  await t.test("Random: no order", async () => {
    await inForce({ loadBalancer: { type: "Random" } });
    await soon("twice the same", async () => {
      const all = await sequence(30);
      assert.ok(all.some((who, i) => who === all[i + 1]) && new Set(all).size === 3);
    });
  });

  await t.test("RoundRobin: each in turn", async () => {
    await inForce({ loadBalancer: { type: "RoundRobin" } });
    await soon("in turn", async () => assert.deepEqual(counts(await sequence(30)), { v1: 10, v2: 10, v3: 10 }));
  });

  await t.test("RingHash: by header; hashPolicies within ringHash too; another function, other instances", async () => {
    await inForce({ loadBalancer: { type: "RingHash" }, hashPolicies: [header] });
    const first = await soon("one for each user", () => isSticky(byUser));
    await inForce({ loadBalancer: { type: "RingHash", ringHash: { hashPolicies: [header], hashFunction: "XXHash" } } });
    await soon("the same", async () => assert.deepEqual(await sequence(24, byUser), first));
    await inForce({
      loadBalancer: { type: "RingHash", ringHash: { hashFunction: "MurmurHash2" } },
      hashPolicies: [header],
    });
    await soon("others", async () => assert.notDeepEqual(await isSticky(byUser), first));
  });

  await t.test("minRingSize and maxRingSize: of one place only one instance is reached", async () => {
    await inForce({
      loadBalancer: { type: "RingHash", ringHash: { minRingSize: 5_000 } },
      hashPolicies: [header],
    });
    await soon("large", async () => assert.ok((await counted("cluster.backend.ring_hash_lb.size")) >= 5_000));
    await inForce({
      loadBalancer: { type: "RingHash", ringHash: { minRingSize: 1, maxRingSize: 1 } },
      hashPolicies: [header],
    });
    await soon("one", async () => assert.equal(new Set(await sequence(24, byUser)).size, 1));
  });

  await t.test("Maglev, and its tableSize", async () => {
    await inForce({ loadBalancer: { type: "Maglev", maglev: { tableSize: 251 } }, hashPolicies: [header] });
    await soon("one for each user", () => isSticky(byUser));
    const entries = await counted("cluster.backend.maglev_lb.max_entries_per_host");
    assert.ok(entries >= 84 && entries <= 85, `${entries}`);
  });

  await t.test("hashPolicies: QueryParameter, SourceIP and Connection", async () => {
    const hashed = (...hashPolicies: object[]) => inForce({ loadBalancer: { type: "Maglev" }, hashPolicies });
    await hashed({ type: "QueryParameter", queryParameter: { name: "user" } });
    await soon("one for each user", () => isSticky((user) => [{}, `/?user=${user}`]));
    await hashed({ type: "SourceIP" });
    await soon("one for all", async () => assert.equal(new Set(await sequence(24, byUser)).size, 1));
    await hashed({ type: "Connection", connection: { sourceIP: false } });
    await soon("any", async () => assert.equal(new Set(await sequence(30, byUser)).size, 3));
    await hashed({ type: "Connection", connection: { sourceIP: true } });
    await soon("one for all", async () => assert.equal(new Set(await sequence(24, byUser)).size, 1));
    // Nothing sets it, so it says nothing.
    await hashed({ type: "FilterState", filterState: { key: "tenant" } });
    await soon("any", async () => assert.equal(new Set(await sequence(30, byUser)).size, 3));
  });

  await t.test("terminal: what follows counts only without it", async () => {
    const query = { type: "QueryParameter", queryParameter: { name: "user" } };
    const both = (user: number): readonly [Asked, string] => [{ "x-user": "one" }, `/?user=${user}`];
    await inForce({ loadBalancer: { type: "Maglev" }, hashPolicies: [{ ...header, terminal: true }, query] });
    await soon("by header only", async () => {
      assert.equal(new Set(await sequence(24, both)).size, 1);
      await isSticky((user) => [{}, `/?user=${user}`]);
    });
    await inForce({ loadBalancer: { type: "Maglev" }, hashPolicies: [header, query] });
    await soon("by both", () => isSticky(both));
  });

  await t.test("Cookie: given with ttl and path, and kept to", async () => {
    const cookie = { name: "sid", ttl: "60s", path: "/shop" };
    await inForce({ loadBalancer: { type: "RingHash" }, hashPolicies: [{ type: "Cookie", cookie }] });
    const { who, cookies } = await soon("a cookie", async () => {
      const answer = await answerOf();
      assert.match(String(answer.cookies[0]), /^sid="?[0-9a-f]+"?; Max-Age=60; Path=\/shop; HttpOnly$/);
      return answer;
    });
    const [pair = ""] = String(cookies[0]).split(";");
    assert.deepEqual(counts(await sequence(12, () => [{ cookie: pair }])), { [who]: 12 });
  });

  await t.test("hashPolicies of a MeshHTTPRoute", async () => {
    const matches = [{ path: { type: "PathPrefix", value: "/cart" } }];
    const rules = [{ matches, default: {} }];
    const backend = { kind: "MeshService", name: "backend" };
    await apply("MeshHTTPRoute", "cart", { to: [{ targetRef: backend, rules }] });
    const query = { type: "QueryParameter", queryParameter: { name: "user" } };
    await apply(kind, "cart", {
      to: [{ targetRef: { kind: "MeshHTTPRoute", name: "cart" }, default: { hashPolicies: [query] } }],
    });
    await inForce({ loadBalancer: { type: "Maglev" }, hashPolicies: [{ type: "SourceIP" }] });
    await soon("by user there, by address elsewhere", async () => {
      await isSticky((user) => [{}, `/cart?user=${user}`]);
      assert.equal(new Set(await sequence(24, (user) => [{}, `/other?user=${user}`])).size, 1);
    });
    await remove(kind, "cart");
    await remove("MeshHTTPRoute", "cart");
  });

  await t.test("localZone.affinityTags: who shares the client's value gets the weight, else nine in ten", async () => {
    await stage.addBackend("v4", "backend-v4", "127.0.0.10");
    const appPort = await listening(
      own,
      createServer((_, response) => response.setHeader("x-app", "near").end()),
    );
    const near = { name: "near", service: "backend", address: "127.0.0.11", appPort };
    await start({ ...near, tags: { team: "shop", rack: "r2" } });
    const shares = (affinityTags: object[]) =>
      inForce({ loadBalancer: { type: "RoundRobin" }, localityAwareness: { localZone: { affinityTags } } });
    const nearShare = async () => (counts(await sequence(200)).near ?? 0) / 200;
    const isNear = (share: number) =>
      soon(`${share} near`, async () => {
        const found = await nearShare();
        assert.ok(Math.abs(found - share) <= 0.03, `${found}`);
      });
    await shares([{ key: "team" }]);
    await isNear(0.9);
    await shares([{ key: "team", weight: 3 }]);
    await isNear(0.75);
    await shares([{ key: "team" }, { key: "kuma.io/protocol" }]);
    // All speak HTTP; the first tag that fits counts.
    await isNear(90 / 99);
    // The client has no rack, so nobody is near.
    await shares([{ key: "rack", weight: 9 }]);
    await isNear(0.2);
  });

  await t.test("LeastRequest: who is busy gets nothing, where choiceCount finds others", async () => {
    let arrived = () => {};
    const stuck: (() => void)[] = [];
    const appPort = await listening(
      own,
      createServer((_, response) => {
        stuck.push(() => response.setHeader("x-app", "busy").end());
        arrived();
      }),
    );
    await start({ name: "busy", service: "backend", address: "127.0.0.14", appPort });
    /** How many of so many requests wait there, while all others are answered. */
    const waiting = async (requests: number) => {
      const pending: Promise<unknown>[] = [];
      for (let i = 0; i < requests; i++) {
        const arrival = new Promise<void>((resolve) => {
          arrived = resolve;
        });
        const answer = get(url);
        pending.push(answer);
        await Promise.race([answer, arrival]);
      }
      const count = stuck.length;
      for (const one of stuck.splice(0)) one();
      await Promise.all(pending);
      return count;
    };
    await inForce({ loadBalancer: { type: "RoundRobin" } });
    await soon("its share", async () => assert.equal(await waiting(30), 5));
    await inForce({ loadBalancer: { type: "LeastRequest", leastRequest: { choiceCount: 50 } } });
    await soon("one", async () => assert.equal(await waiting(200), 1));
    await inForce({ loadBalancer: { type: "LeastRequest" } });
    await soon("a few, of two that are compared", async () => {
      const count = await waiting(200);
      assert.ok(count > 1 && count < 20, `${count}`);
    });
  });
});

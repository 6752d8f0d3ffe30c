// P12: a zone whose ingress does not answer other zones' proxies leaves their rotation within 5 s and comes back by itself, when a probe of
// theirs is answered and not by requests of users; the policies that come with a mesh cover those that found it out. Its control plane is there
// all the time, and says nothing.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { kodiak } from "#cli/cli.fixture.ts";
import { freePort } from "#host/free-port.ts";
import { blackhole } from "../lab/blackhole.ts";
import { get } from "../lab/http.ts";
import { eventually, type Lab, type LabZone, lab, patience, put, startProxy } from "../lab/lab.ts";
import { dataplane, usualMesh, zoneIngress } from "../lab/manifests.ts";
import { noneFailed } from "../lab/soak.ts";
import { type TwoZones, twoZones } from "../lab/two-zones.ts";
import { listening } from "../policies/stage.ts";
import { answersOf } from "../scenarios/many-zones.ts";

interface Answered {
  readonly at: number;
  readonly ms: number;
  readonly status: number;
  readonly text: string;
}

/** A request each `everyMs`, whether or not those before are answered. */
function calling(t: TestContext, url: string, everyMs: number) {
  const answers: Answered[] = [];
  const open = new Set<Promise<unknown>>();
  const timer = setInterval(() => {
    const at = performance.now();
    const one = get(url)
      .catch((error: unknown) => ({ status: 0, text: String(error) }))
      .then((answer) => {
        answers.push({ at, ms: performance.now() - at, ...answer });
        open.delete(one);
      });
    open.add(one);
  }, everyMs);
  t.after(() => clearInterval(timer));
  return {
    answers,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      return { sent: answers.length, failures: answers.filter(({ status }) => status !== 200).map((one) => one.text) };
    },
  };
}

/** A TCP service of zone-b, and connections to it from zone-a: each has had an answer. */
async function connections(own: Lab, { zoneA, zoneB, token }: TwoZones) {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  const appPort = await listening(own, server);
  const start = async (zone: LabZone, service: string, address: string, rest: object) => {
    const at = { name: service, service, address, port: await freePort(address) };
    return startProxy(own, zone, dataplane({ mesh: "default", ...at, appPort, ...rest }), token);
  };
  const out = await freePort();
  await start(zoneB, "echo", "127.0.2.3", { protocol: "tcp" });
  await start(zoneA, "caller", "127.0.1.3", { outbounds: { [out]: "echo" } });
  return () =>
    eventually("a connection that is answered", 30_000, async () => {
      const socket = connect(out, "127.0.0.1");
      own.atEnd(async () => void socket.destroy());
      const closed = new Promise<number>((resolve) => socket.once("close", () => resolve(performance.now())));
      socket.on("error", () => {}).write("hello");
      // One that opened while the service was not known waits for HTTP, until the listener that took it has been drained.
      const answer = once(socket, "data", { signal: AbortSignal.timeout(2_000 * patience) });
      const [said] = await Promise.race([answer, closed.then(() => ["closed"])]);
      assert.equal(String(said), "hello");
      return { closed, write: () => void socket.write("again") };
    });
}

/** Of the other zone's ingress, as the client's Envoy has it. */
async function ingressIn({ frontend, ingressAt: { host, port } }: TwoZones) {
  const text = await frontend.admin("/clusters?filter=^backend$");
  const said = (at: string, what: string) =>
    new RegExp(`^backend::${at}::${what}::(.*)$`, "m").exec(text)?.[1] ?? assert.fail(`no ${what} of ${at}: ${text}`);
  const at = `${host}:${port}`;
  const others = [...text.matchAll(/^backend::([^:]+:\d+)::health_flags::(?!healthy)/gm)].map(([, one]) => one);
  assert.deepEqual(
    [...new Set(others)].filter((one) => one !== at),
    [],
    "nobody else is left out",
  );
  const flags = said(at, "health_flags");
  return {
    /** Its own requests say so. */
    isEjected: flags.includes("failed_outlier_check"),
    /** The zone's control plane says so. */
    isMarked: flags.includes("failed_eds_health"),
    /** What has been tried with it, whatever came of it. */
    tried: `${said(at, "cx_total")} connections, ${said(at, "rq_total")} requests`,
  };
}

test("P12: an ingress that does not answer is left, and comes back when it does", async (t) => {
  const own = await lab(t);
  const stage = await twoZones(own, usualMesh("default"));
  // Longer than a request may take: connecting to another zone has one second all the same.
  await put(stage.global.api, "/meshes/default/meshtimeouts/long", {
    ...{ type: "MeshTimeout", mesh: "default", name: "long" },
    spec: { targetRef: { kind: "Mesh" }, to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "20s" } }] },
  });
  await stage.addBackend(stage.zoneA, "in-a", "127.0.1.2");
  await stage.addBackend(stage.zoneB, "in-b", "127.0.2.2");
  const both = () =>
    eventually("answers of both zones", 30_000, async () =>
      assert.deepEqual([...(await answersOf(stage.url, 20)).keys()].sort(), ["in-a", "in-b"]),
    );
  const address = { host: "127.0.1.9", port: await freePort("127.0.1.9") };
  const ingressOfA = zoneIngress("ingress-a", address.host, address.port);
  await startProxy(own, stage.zoneA, ingressOfA, stage.zoneToken);
  /** What people are told on global, and in the zone itself. */
  const shown = (isSilent: boolean) =>
    eventually(`zone-b ${isSilent ? "" : "not "}shown as silent`, 15_000, async () => {
      for (const [api, to] of [
        [stage.global.api, "zone-a"],
        [stage.zoneA.api, "this zone"],
      ] as const) {
        const { out } = await kodiak(["get", "zones", "--api", api]);
        assert.equal(out.includes(`zone-b: no ingress of it answers ${to} for `), isSilent, out);
      }
    });
  const line = await blackhole(own, stage.ingressAt);
  const pid = async () => await stage.ingress.envoyPid();
  own.atEnd(async () => void process.kill(await pid(), "SIGCONT"));

  const open = await connections(own, stage);
  const found = (
    what: string,
    lose: () => Promise<unknown>,
    mend: () => Promise<unknown>,
    whileLost = async (_inner: TestContext) => {},
  ) =>
    t.test(what, async (inner) => {
      await both();
      const calls = calling(inner, stage.url, 50);
      await lose();
      const lostAt = performance.now();
      await eventually("the ingress left out", 5_000, async () => {
        const { isEjected, isMarked } = await ingressIn(stage);
        assert.ok(isEjected || isMarked);
      });
      const outMs = performance.now() - lostAt;
      const { tried } = await eventually("the zone marked", 30_000, async () => {
        const ingress = await ingressIn(stage);
        assert.ok(ingress.isMarked && !ingress.isEjected);
        return ingress;
      });
      await shown(true);
      // Without a mark each request of these would have met an ingress that is tried again after three seconds.
      const [first, markedAt] = [calls.answers.length, performance.now()];
      await eventually("120 more requests", 30_000, async () => assert.ok(calls.answers.length >= first + 120));
      assert.equal((await ingressIn(stage)).tried, tried);
      await whileLost(inner);
      await mend();
      const mendedAt = performance.now();
      await both();
      const backMs = performance.now() - mendedAt;
      await shown(false);
      const counted = await calls.stop();
      const slowest = Math.max(...calls.answers.map(({ ms }) => ms));
      const slow = calls.answers.filter(({ ms }) => ms > 500);
      inner.diagnostic(
        `${what}: out after ${Math.round(outMs)} ms, marked after ${Math.round(markedAt - lostAt)} ms, back after ${Math.round(backMs)} ms, ${slow.length} of ${counted.sent} requests took more than 0.5 s, the slowest ${Math.round(slowest)} ms`,
      );
      noneFailed(inner, what, counted);
    });

  const [idle, waiting] = [await open(), await open()];
  let lostAt = 0;
  await found(
    "packets to and from the ingress are dropped",
    async () => {
      await line.open();
      lostAt = performance.now();
      waiting.write();
    },
    line.mend,
    async (inner) => {
      for (const [what, { closed }] of Object.entries({ idle, waiting })) {
        const endedMs = (await closed) - lostAt;
        inner.diagnostic(`a TCP connection that is ${what} ended after ${Math.round(endedMs)} ms`);
        assert.ok(endedMs > 0 && endedMs < 60_000 * patience, `${what}: ${endedMs}`);
      }
    },
  );
  await found(
    "the ingress is frozen",
    async () => process.kill(await pid(), "SIGSTOP"),
    async () => process.kill(await pid(), "SIGCONT"),
  );
});

// P1, P11: an Envoy, an ingress or an egress that is lost, some times one after the other, costs what was under way there, and is back with the
// configuration that it had. With two ingresses in the other zone: where there is one, its loss is the zone's.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { get } from "../lab/http.ts";
import { eventually } from "../lab/lab.ts";
import { load } from "../lab/load.ts";
import { usualMesh } from "../lab/manifests.ts";
import { anyFailed, type Counted, mostFailed } from "../lab/soak.ts";
import { apply } from "../processes/processes.ts";
import { answeredBy, envoyPidOf, killProxy, openStage, type Stage } from "./stage.ts";

const clients = 4;
type Keep = (t: TestContext, what: string, counted: Counted, times: number) => void;
const bounded: Keep = (t, what, counted, times) =>
  mostFailed(
    t,
    what,
    counted,
    times * clients,
    "what was under way there is lost with it, one for each client and kill",
  );
/** There is no other way for it. */
const untilBack: Keep = (t, what, counted) =>
  anyFailed(t, what, counted, "the application has no other way into the mesh until its Envoy is back");
const egresses = "kodiak:egress";
const all = ["backend-1", "backend-2", "backend-3"];

/** Requests that the client's Envoy has sent to this address, or connections, in all. */
async function sentTo({ proxies }: Stage, host: string, of = "backend"): Promise<number> {
  const clusters = (await proxies.get("frontend")?.admin(`/clusters?filter=^${of}$`)) ?? "";
  const counter = of === egresses ? "cx_total" : "rq_total";
  const counted = clusters.matchAll(new RegExp(`::${host}:\\d+::${counter}::(\\d+)`, "g"));
  return [...counted].reduce((sum, [, count]) => sum + Number(count), 0);
}

/** Without versions: a listener whose filter chains were changed in place is shown by Envoy with the version that it had first. */
const contentOf = async (stage: Stage): Promise<unknown> =>
  JSON.parse(JSON.stringify([...(await stage.held())]), (key, value) => (key === "version_info" ? undefined : value));

/** Resolves when requests go through this ingress, or egress (again). */
async function inUse(stage: Stage, host: string, of?: string): Promise<void> {
  const before = await sentTo(stage, host, of);
  await eventually(`requests through ${host}`, 30_000, async () => {
    await get(stage.url).catch(() => {});
    assert.ok((await sentTo(stage, host, of)) > before);
  });
}

test("what is killed, some times, costs what was under way there", async (t) => {
  // What could not connect is tried again elsewhere by the policies that come with a mesh.
  const stage = await openStage(t, usualMesh("default"));
  await stage.startIngress("ingress-b2", "127.0.2.9");
  await inUse(stage, "127.0.2.9");
  await stage.online();

  /** Resolves with how often. */
  const killed = async (what: string, once: (time: number) => Promise<void>, keep = bounded): Promise<number> => {
    let times = 0;
    await t.test(what, async (t) => {
      const calling = load(stage.url, clients);
      stage.of.atEnd(calling.stop);
      while (times < 2) await once(++times);
      keep(t, `${what}, ${times} times`, await calling.stop(), times);
    });
    return times;
  };

  /** Its agent starts another. `isUsed` resolves when that one has its part of the traffic. */
  const loseEnvoy = (name: string, isUsed: () => Promise<void>) => async (): Promise<void> => {
    const before = await contentOf(stage);
    const old = await envoyPidOf(stage, name);
    process.kill(old, "SIGKILL");
    await eventually(`another Envoy of ${name}`, 20_000, async () =>
      assert.notEqual(await envoyPidOf(stage, name), old),
    );
    await eventually("what was held before, and nothing else", 20_000, async () =>
      assert.deepEqual(await contentOf(stage), before),
    );
    await isUsed();
  };
  const allAnswer = (): Promise<void> => answeredBy(stage.url, all);
  await killed("the Envoy of an instance of the own zone is killed", loseEnvoy("backend-1", allAnswer));
  await killed("the Envoy of an instance of the other zone is killed", loseEnvoy("backend-2", allAnswer));
  const through = (): Promise<void> => inUse(stage, "127.0.2.1");
  await killed("the Envoy of one of the other zone's two ingresses is killed", loseEnvoy("ingress-b", through));
  const what = "one of the other zone's two ingresses is killed with its Envoy and another started";
  const times = await killed(what, async (time) => {
    await killProxy(stage, `ingress-b${time + 1}`);
    await stage.startIngress(`ingress-b${time + 2}`, `127.0.2.${9 + time}`);
    await inUse(stage, `127.0.2.${9 + time}`);
    await allAnswer();
  });
  // Until then the client holds the ingresses that are gone.
  await eventually("the killed ingresses are forgotten", 20_000, async () => {
    const clusters = (await stage.proxies.get("frontend")?.admin("/clusters?filter=^backend$")) ?? "";
    const ingresses = new Set([...clusters.matchAll(/::(127\.0\.2\.\d+):/g)].map(([, host]) => host));
    assert.deepEqual([...ingresses].sort(), ["127.0.2.1", `127.0.2.${9 + times}`].sort());
  });
  await killed("the client's own Envoy is killed", loseEnvoy("frontend", allAnswer), untilBack);

  await stage.startEgress("egress-1", "127.0.1.9");
  await stage.startEgress("egress-2", "127.0.1.10");
  await apply(stage.global, { ...usualMesh("default"), routing: { zoneEgress: true } });
  for (const host of ["127.0.1.9", "127.0.1.10"]) await inUse(stage, host, egresses);
  await killed("one of two egresses is killed with its Envoy and another started", async (time) => {
    await killProxy(stage, `egress-${time}`);
    await stage.startEgress(`egress-${time + 2}`, `127.0.1.${10 + time}`);
    await inUse(stage, `127.0.1.${10 + time}`, egresses);
    await allAnswer();
  });
});

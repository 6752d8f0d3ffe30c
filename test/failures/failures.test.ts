// What fails, and what goes on: an application calls a service of one zone, one of two and one of three, while something in these zones, or
// between them, is lost and comes back. No request fails for which there is an instance left; where there is none it is said with a 503, and
// the service is back with its zone. `npm test` has what it loses nowhere else (P1 kills proxies and control planes), with
// egresses and with redirection; soak has all, with both and with neither.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { RemoteLoad } from "../lab/insider.ts";
import { eventually, put } from "../lab/lab.ts";
import { noneFailed, times } from "../lab/soak.ts";
import { instancesOf, openStage, type Service, type Stage, type Variant } from "./stage.ts";

type Mend = () => Promise<unknown>;

interface Failure {
  readonly what: string;
  lose(stage: Stage): Promise<Mend>;
  /** Instances that do not answer meanwhile. */
  readonly lost?: readonly string[];
  /** A proxy on the way, which has connections before and after. */
  readonly on?: string;
  /** In `npm test` a test of P1 has it, or what differs from it has a row. */
  readonly isLeftToSoak?: true;
}

const inNetwork =
  (lose: (stage: Stage) => Promise<unknown>) =>
  async (stage: Stage): Promise<Mend> => {
    await lose(stage);
    return stage.net.mend;
  };
const killed =
  (...names: readonly string[]) =>
  async (stage: Stage): Promise<Mend> => {
    const again = await Promise.all(names.map((name) => stage.killProxy(name)));
    return () => Promise.all(again.map((start) => start()));
  };
const vanished = (name: string) => inNetwork(({ net, hostOf }) => net.vanish(hostOf(name)));
const without = (name: "global" | "zone-a" | "zone-b") => (stage: Stage) => stage.killControlPlane(name);

const zoneVanishes = async ({ net, hostsIn, killControlPlane }: Stage): Promise<Mend> => {
  const [again] = await Promise.all([killControlPlane("zone-b"), net.vanish(...hostsIn("zone-b"))]);
  return () => Promise.all([net.mend(), again()]);
};

/**
 * The answer where nobody is left. Attempts go on until MeshRetry has no more of them, or, behind an egress, where each has longer, until the
 * time of the request is over.
 */
const unavailable = /^(503 (upstream connect error|no healthy upstream)|504 upstream request timeout)/;

const ofZoneB = ["b1", "b2"];
const failures: readonly Failure[] = [
  { what: "an instance of another zone is killed", lose: killed("b1"), lost: ["b1"], isLeftToSoak: true },
  { what: "the host of an instance of another zone vanishes", lose: vanished("b1"), lost: ["b1"] },
  { what: "an instance of the own zone is killed", lose: killed("a1"), lost: ["a1"], isLeftToSoak: true },
  { what: "the host of an instance of the own zone vanishes", lose: vanished("a1"), lost: ["a1"] },
  {
    what: "one of another zone's two ingresses is killed",
    lose: killed("ingress-b1"),
    on: "ingress-b1",
    isLeftToSoak: true,
  },
  { what: "the host of one of another zone's two ingresses vanishes", lose: vanished("ingress-b1"), on: "ingress-b1" },
  { what: "all of another zone's ingresses are killed", lose: killed("ingress-b1", "ingress-b2"), lost: ofZoneB },
  { what: "another zone's control plane is killed", lose: without("zone-b"), isLeftToSoak: true },
  { what: "the own zone's control plane is killed", lose: without("zone-a"), isLeftToSoak: true },
  { what: "global is killed", lose: without("global"), isLeftToSoak: true },
  {
    what: "the link to another zone is cut",
    lose: inNetwork(({ net }) => net.cut("zone-a", "zone-b")),
    lost: ofZoneB,
    isLeftToSoak: true,
  },
  {
    what: "the link to another zone drops packets",
    lose: inNetwork(({ net }) => net.blackhole("zone-a", "zone-b")),
    lost: ofZoneB,
  },
  { what: "the link to another zone is slow", lose: inNetwork(({ net }) => net.slow("zone-b", 1_000)) },
  {
    what: "another zone vanishes: its control plane and all hosts",
    lose: zoneVanishes,
    lost: ofZoneB,
  },
];
const ofEgresses: readonly Failure[] = [
  { what: "one of two egresses is killed", lose: killed("egress-1"), on: "egress-1", isLeftToSoak: true },
  { what: "the host of one of two egresses vanishes", lose: vanished("egress-1"), on: "egress-1" },
];

/** With and without each: `npm test` has the two that soak has not, and half of what is lost in each. */
const variants = times<Readonly<Record<string, Variant>>>(
  {
    "over egresses": { hasEgress: true, isRedirected: false },
    redirected: { hasEgress: false, isRedirected: true },
  },
  {
    "over egresses, redirected": { hasEgress: true, isRedirected: true },
    "neither egresses nor redirection": { hasEgress: false, isRedirected: false },
  },
);

for (const [v, [named, variant]] of Object.entries(variants).entries())
  test(`what fails, and what goes on: ${named}`, async (t) => {
    const stage = await openStage(t, variant);
    const all = [...failures, ...(variant.hasEgress ? ofEgresses : [])];
    const daily = all.filter(({ isLeftToSoak }) => !isLeftToSoak);
    const half = daily.filter((one, i) => ofEgresses.includes(one) || i % 2 === v);
    for (const failure of times(half, all)) {
      const what = `${failure.what} (${named})`;
      await t.test(what, async (inner) => {
        const { counted, unanswered } = await lostAndMended(stage, failure);
        for (const one of unanswered) assert.match(one, unavailable);
        noneFailed(inner, what, counted);
      });
    }
    if (times(v === 0, true))
      await t.test(
        `a zone that has vanished is left out, also by a control plane that has just started (${named})`,
        () => leftOutOverARestart(stage),
      );
  });

/** What is lost is mended and the load is stopped, also where something else came than what must. */
async function lostAndMended(stage: Stage, { lose, lost = [], on }: Failure) {
  const calls = await stage.load(times(60, 200));
  const isAnswered = (service: Service): boolean => instancesOf(service, lost).length > 0;
  const each = <R>(of: (load: RemoteLoad, service: Service) => Promise<R>) =>
    Promise.all([...calls].map(([service, load]) => of(load, service)));
  const answering = (missing: readonly string[]) =>
    each((load, service) =>
      eventually(`what is left of ${service}`, 60_000, async () => {
        const left = instancesOf(service, missing);
        const heard = await load.next(left.length > 0 ? 40 : 1);
        if (left.length > 0) assert.deepEqual([...new Set(heard)].sort(), left);
        else assert.match(String(heard), unavailable);
      }),
    );
  const isUsed = async () => {
    if (on === undefined) return;
    const before = await connectionsOf(stage, on);
    await eventually(`connections through ${on}`, 60_000, async () =>
      assert.notEqual(await connectionsOf(stage, on), before),
    );
  };
  const stopped = () => each(async (load, service) => ({ isAnswered: isAnswered(service), ...(await load.stop()) }));
  try {
    for (let i = 0; i < times(1, 2); i++) {
      await answering([]);
      await isUsed();
      const mend = await lose(stage);
      try {
        await answering(lost);
        await each(async (load, service) => isAnswered(service) && load.next(times(50, 1_500)));
      } finally {
        await mend();
      }
      await answering([]);
      await isUsed();
    }
  } catch (error) {
    await stopped();
    throw error;
  }
  const ends = await stopped();
  const failuresOf = (wanted: boolean) => ends.flatMap((end) => (end.isAnswered === wanted ? end.failures : []));
  const sent = ends.reduce((sum, end) => sum + (end.isAnswered ? end.sent : 0), 0);
  return { counted: { sent, failures: failuresOf(true) }, unanswered: failuresOf(false) };
}

async function leftOutOverARestart(stage: Stage): Promise<void> {
  const { admin, api, killControlPlane } = stage;
  const updates = async () =>
    /update_success: \d+$/m.exec(await admin("web", "/stats?filter=^cluster.two.update_"))?.[0];
  const mend = await zoneVanishes(stage);
  await eventually("zone-b left out", 60_000, async () =>
    assert.match(await admin("web", "/clusters?filter=^two$"), /health_flags::.*failed_eds_health/),
  );
  try {
    const before = await updates();
    await (await killControlPlane("zone-a"))();
    await put(api, "/meshes/default/meshtimeouts/later", {
      ...{ type: "MeshTimeout", mesh: "default", name: "later" },
      spec: { to: [{ targetRef: { kind: "Mesh" }, default: { http: { streamIdleTimeout: "1234s" } } }] },
    });
    await eventually("news of it", 60_000, async () => assert.match(await admin("web", "/config_dump"), /"1234s"/));
    assert.equal(await updates(), before);
  } finally {
    await mend();
  }
}

/** That the Envoy of this ingress or egress has made for services. */
async function connectionsOf({ admin }: Stage, name: string): Promise<number> {
  const stats = await admin(name, "/stats?filter=upstream_cx_total");
  return [...stats.matchAll(/^cluster\.(?:kodiak_zone_|default_).*: (\d+)$/gm)].reduce(
    (sum, [, n]) => sum + Number(n),
    0,
  );
}

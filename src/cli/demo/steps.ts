// What the demo shows, each step measured at the client and checked: a step that does not hold makes the demo fail.
// The story is what the live screen plays; `--once` walks through all steps.

import { setTimeout as pause } from "node:timers/promises";
import { sharesOf, shareText, tallyOf } from "#cli/demo/client.ts";
import { bytesChanged, counters, encryption, held } from "#cli/demo/envoys.ts";
import { allowed, denied, killed, partsUp, started, startZone, stopped } from "#cli/demo/losses.ts";
import { route, timeout } from "#cli/demo/manifests.ts";
import {
  answersFrom,
  evenShares,
  expect,
  type Live,
  lossText,
  mostLost,
  timed,
  until,
  watching,
} from "#cli/demo/measure.ts";

export interface Step {
  readonly title: string;
  readonly isStory?: true;
  /** What was measured. Rejects if it does not hold. */
  run(live: Live): Promise<string>;
}

const three = ["backend-1", "backend-2", "backend-3"];
/** Long enough to see that nothing depends on global. */
const awayMs = 15_000;

const crossing = (live: Live): Promise<string> =>
  live.client.alone(async () => {
    const { client, stage } = live;
    await answersFrom(live, three);
    const before = await counters(stage);
    const tally = await client.callMany("/", 300);
    const inZoneB = (tally.byInstance.get("backend-2") ?? 0) + (tally.byInstance.get("backend-3") ?? 0);
    expect(tally.failed === 0 && inZoneB > 0, `${tally.failed} of ${tally.sent} failed, ${inZoneB} answered in zone-b`);
    const after = await counters(stage);
    const requests = after.requests - before.requests;
    expect(requests === inZoneB, `${inZoneB} answers came from zone-b, its proxies counted ${requests} requests`);
    expect(after.bytes > before.bytes, "nothing passed through zone-b's ingress");
    const caller = await client.call("/");
    const identity = /URI=(spiffe:[^;,]+)/.exec(caller.client)?.[1] ?? "";
    expect(identity === "spiffe://default/frontend", `the application saw the client as ${identity || "nobody"}`);
    const { versions, identities, refused } = await encryption(stage, "frontend", "backend");
    const [version, server] = [versions.join(", "), identities.join(", ")];
    expect(version === "TLS 1.3" && server === "spiffe://default/backend", `TLS: ${version}; servers: ${server}`);
    expect(refused === 0, `${refused} servers had another identity than ${server}`);
    return `${version}, ${server}`;
  });

async function split({ client, stage }: Live): Promise<string> {
  await stage.apply(route);
  await until("the route", async () => !(await client.callMany("/split", 100)).byInstance.has("backend-3"));
  // Each goes where chance says: five standard deviations.
  const tally = await client.callMany("/split", 5000);
  const local = sharesOf(tally).get("backend-1") ?? 0;
  expect(tally.failed === 0 && Math.abs(local - 90) <= 2, `${tally.failed} failed; ${shareText(tally)}`);
  await stage.remove("/meshes/default/meshhttproutes/split");
  const isGone = async () => (await client.callMany("/split", 200)).byInstance.has("backend-3");
  await until("the route to be gone", isGone);
  return shareText(tally);
}

/** What zone-a's proxies hold stays, and zone-b's ingress leads to the new instance: global has no part in either. */
async function globalKilled(live: Live): Promise<string> {
  // That backend-2 is gone for good comes a second after its connection ended, by way of global. And its end may have made
  // the client's Envoy leave all of zone-b out for three seconds: what it holds says so, and is another when they are over.
  await live.client.alone(() =>
    until("zone-a to know of one instance in zone-b", async () => {
      const shares = sharesOf(await live.client.callMany("/", 100));
      return Math.abs((shares.get("backend-1") ?? 0) - 50) <= 2;
    }),
  );
  return withoutGlobal(live);
}

const withoutGlobal = ({ client, stage }: Live): Promise<string> =>
  watching(client, async ({ calls }) => {
    const zoneA = ["frontend", "backend-1", "ingress-a"];
    const before = await held(stage, zoneA);
    await stage.kill(["global"], await stage.pids(["global"]));
    const start = performance.now();
    const from = calls.length;
    await stage.startBackend("backend-4", "zone-b");
    await until("an answer of backend-4", () => calls.slice(from).some(({ instance }) => instance === "backend-4"), 5);
    await pause(Math.max(0, awayMs - (performance.now() - start)));
    const bytes = bytesChanged(before, await held(stage, zoneA));
    const { failed, sent } = tallyOf(calls);
    const what = `${bytes} bytes changed in zone-a, ${failed} failed`;
    expect(bytes === 0 && failed === 0, `${what} of ${sent}`);
    return `${what} in ${((performance.now() - start) / 1000).toFixed(0)} s`;
  });

/** Requests over which a share is taken. */
const span = 60;

/**
 * Without global, zone-a gives zone-b as much as it did: half, as one instance was known there. With two known it is two thirds.
 * What shows it is the first request of the first span with that share.
 */
const globalBack = ({ client, stage }: Live): Promise<string> =>
  watching(client, async ({ calls }) => {
    const start = performance.now();
    await stage.start("global");
    const ready = performance.now();
    const local = (end: number): number =>
      calls.slice(end - span, end).filter(({ instance }) => instance === "backend-1").length / span;
    let end = span;
    await until(
      "zone-a to give zone-b two thirds",
      () => {
        while (end < calls.length && local(end) > 0.4) end++;
        return end < calls.length;
      },
      5,
    );
    const first = calls[end - span]?.endedMs ?? start;
    const { failed, sent } = tallyOf(calls);
    expect(failed === 0, `${failed} of ${sent} requests failed`);
    const startedMs = Math.round(ready - start);
    return `${Math.round(first - start)} ms, ${startedMs} of them to start   0 failed`;
  });

export const steps: readonly Step[] = [
  { title: "crossed two zones, encrypted, through the ingress", isStory: true, run: crossing },
  {
    title: "each zone gets its share of 3,000 requests",
    run: (live) => evenShares(live, three, 3000),
  },
  {
    title: "deny on global, 403 in zone-a after",
    isStory: true,
    async run(live) {
      const deniedMs = await denied(live);
      return `${deniedMs} ms   allowed again: 200 after ${await allowed(live)} ms`;
    },
  },
  {
    title: "MeshTimeout of 50 ms against a slow path, 504 after",
    async run(live) {
      const ms = await timed(live, () => live.stage.apply(timeout), "/slow", 504);
      await timed(live, () => live.stage.remove("/meshes/default/meshtimeouts/fast"), "/slow", 200);
      return `${ms} ms   and gone with the policy`;
    },
  },
  { title: "MeshHTTPRoute splits /split 90/10", run: (live) => live.client.alone(() => split(live)) },
  {
    title: "backend-1 stopped, zone-b has it all after",
    isStory: true,
    async run(live) {
      const loss = await stopped(live, "backend-1");
      const gain = await started(live, "backend-1");
      expect(loss.failed === 0, `${loss.failed} of ${loss.sent} requests failed`);
      expect(gain.failed === 0, `${gain.failed} of ${gain.sent} requests failed when it came back`);
      return lossText(loss);
    },
  },
  { title: "it is back, each zone gets its share", run: (live) => evenShares(live, three, 1500) },
  {
    title: "a third instance starts in zone-b, gets its share",
    async run(live) {
      await live.stage.startBackend("backend-5", "zone-b");
      const shares = await evenShares(live, [...three, "backend-5"], 3000);
      await stopped(live, "backend-5");
      return shares;
    },
  },
  {
    title: "backend-2 killed -9 with its Envoy, others have it all after",
    isStory: true,
    async run(live) {
      const loss = await killed(live, ["backend-2"], ["backend-2"], await live.stage.pids(["backend-2"]));
      expect(loss.failed <= mostLost, `${loss.failed} of ${loss.sent} requests failed`);
      return lossText(loss);
    },
  },
  { title: "global killed; backend-4 added in zone-b meanwhile", isStory: true, run: globalKilled },
  { title: "global back, zone-a gives backend-4 its share after", isStory: true, run: globalBack },
  {
    title: "all of zone-b killed -9, all local after",
    isStory: true,
    async run(live) {
      const names = partsUp(live.stage, "zone-b");
      const instances = names.filter((name) => name.startsWith("backend-"));
      const loss = await killed(live, instances, names, await live.stage.pids(names));
      expect(loss.failed <= mostLost, `${loss.failed} of ${loss.sent} requests failed`);
      return lossText(loss);
    },
  },
  {
    title: "zone-b started again, zone-a uses it after",
    isStory: true,
    run: ({ client, stage }) =>
      watching(client, async ({ calls }) => {
        const start = performance.now();
        await startZone(stage, "zone-b");
        const isRemote = ({ instance }: { readonly instance: string }): boolean => /backend-[^1]/.test(instance);
        await until("an answer of zone-b", () => calls.some(isRemote), 5);
        const { failed } = tallyOf(calls);
        expect(failed === 0, `${failed} of ${calls.length} requests failed`);
        return `${Math.round((calls.find(isRemote)?.endedMs ?? start) - start)} ms   0 failed`;
      }),
  },
];

// What the demo shows, each step measured at the client and checked: a step that does not hold makes the demo fail.

import { envoyAdmin } from "#agent/admin.ts";
import { call, callMany, keepCalling, sharesOf, shareText } from "#cli/demo/client.ts";
import { allowAll, type Stage } from "#cli/demo/stage.ts";

export interface Step {
  readonly title: string;
  /** The command that does the same from another terminal. */
  readonly command?: string;
  /** What was measured. Rejects if it does not hold. */
  run(stage: Stage): Promise<string>;
}

/** Deadline of each wait. */
const patienceMs = process.env.CI ? 30_000 : 10_000;

export const steps: readonly Step[] = [
  {
    title: "a request crosses two zones, encrypted, through the ingress",
    async run(stage) {
      await answersFrom(stage, ["backend-1", "backend-2", "backend-3"]);
      const before = await counters(stage);
      const tally = await callMany(`${stage.backendUrl}/`, 300);
      const inZoneB = (tally.byInstance.get("backend-2") ?? 0) + (tally.byInstance.get("backend-3") ?? 0);
      expect(
        tally.failed === 0 && inZoneB > 0,
        `${tally.failed} of ${tally.sent} failed, ${inZoneB} answered in zone-b`,
      );
      const after = await counters(stage);
      const requests = after.requests - before.requests;
      const connections = after.connections - before.connections;
      const bytes = after.bytes - before.bytes;
      expect(requests === inZoneB, `${inZoneB} answers came from zone-b, its proxies counted ${requests} requests`);
      expect(bytes > 0, "nothing passed through zone-b's ingress");
      const { client } = await call(`${stage.backendUrl}/`);
      const identity = /URI=(spiffe:[^;,]+)/.exec(client)?.[1] ?? "";
      expect(identity === "spiffe://default/frontend", `the application saw the client as ${identity || "nobody"}`);
      return `${inZoneB} of 300 answered in zone-b; its ingress: ${connections} connections, ${kib(bytes)} KiB; client ${identity}`;
    },
  },
  {
    title: "each zone gets its share of 3,000 requests",
    run: (stage) => evenShares(stage, ["backend-1", "backend-2", "backend-3"], 3000),
  },
  {
    title: "deny on global: 403; allow: 200",
    command: "kodiak apply -f deny.yaml",
    async run(stage) {
      const deny = { ...allowAll, name: "deny-backend", spec: denySpec };
      const denied = await timed(stage, () => stage.apply(deny), "/", 403);
      const removed = () => stage.remove("/meshes/default/meshtrafficpermissions/deny-backend");
      const allowed = await timed(stage, removed, "/", 200);
      return `403 after ${denied} ms, 200 again after ${allowed} ms`;
    },
  },
  {
    title: "MeshTimeout of 50 ms against a slow path: 504",
    command: "kodiak apply -f timeout.yaml",
    async run(stage) {
      const ms = await timed(stage, () => stage.apply(timeout), "/slow", 504);
      await timed(stage, () => stage.remove("/meshes/default/meshtimeouts/fast"), "/slow", 200);
      return `504 after ${ms} ms, and gone with the policy`;
    },
  },
  {
    title: "MeshHTTPRoute splits /split 90/10",
    command: "kodiak apply -f route.yaml",
    async run(stage) {
      await stage.apply(route);
      const url = `${stage.backendUrl}/split`;
      await until("the route", async () => !(await callMany(url, 100)).byInstance.has("backend-3"));
      const tally = await callMany(url, 2000);
      const local = sharesOf(tally).get("backend-1") ?? 0;
      expect(tally.failed === 0 && Math.abs(local - 90) <= 2, `${tally.failed} failed; ${shareText(tally)}`);
      await stage.remove("/meshes/default/meshhttproutes/split");
      await until("the route to be gone", async () => (await callMany(url, 200)).byInstance.has("backend-3"));
      return shareText(tally);
    },
  },
  {
    title: "SIGTERM to zone-a's backend: all traffic in zone-b",
    async run(stage) {
      const calling = keepCalling(`${stage.backendUrl}/`);
      await stage.stop("backend-1");
      const after = await callMany(`${stage.backendUrl}/`, 600);
      const during = await calling.stop();
      expect(during.failed + after.failed === 0, `${during.failed + after.failed} requests failed`);
      expect(!after.byInstance.has("backend-1"), `still answered by backend-1: ${shareText(after)}`);
      await stage.start("proxy", "backend-1", stage.zoneA);
      const back = await evenShares(stage, ["backend-1", "backend-2", "backend-3"], 1500);
      return `0 failed of ${during.sent + after.sent}; back: ${back}`;
    },
  },
  {
    title: "a third instance starts in zone-b and gets its share",
    async run(stage) {
      await stage.start("proxy", "backend-4", stage.zoneB);
      return evenShares(stage, ["backend-1", "backend-2", "backend-3", "backend-4"], 3000);
    },
  },
];

const denySpec = {
  targetRef: { kind: "MeshService", name: "backend" },
  from: [{ targetRef: { kind: "MeshService", name: "frontend" }, default: { action: "Deny" } }],
};
const timeout = {
  type: "MeshTimeout",
  mesh: "default",
  name: "fast",
  spec: {
    to: [{ targetRef: { kind: "MeshService", name: "backend" }, default: { http: { requestTimeout: "50ms" } } }],
  },
};
const subset = (instance: string, weight: number) => ({
  kind: "MeshServiceSubset",
  name: "backend",
  tags: { instance },
  weight,
});
const route = {
  type: "MeshHTTPRoute",
  mesh: "default",
  name: "split",
  spec: {
    to: [
      {
        targetRef: { kind: "MeshService", name: "backend" },
        rules: [
          {
            matches: [{ path: { type: "PathPrefix", value: "/split" } }],
            default: { backendRefs: [subset("backend-1", 90), subset("backend-2", 10)] },
          },
        ],
      },
    ],
  },
};

/** Each has answered at least once. A connection to another zone stays with one instance for a while, so this takes a few. */
async function answersFrom(stage: Stage, instances: readonly string[]): Promise<void> {
  const seen = new Set<string>();
  await until(`answers from ${instances.join(", ")}`, async () => {
    for (const name of (await callMany(`${stage.backendUrl}/`, 100)).byInstance.keys()) seen.add(name);
    return instances.every((name) => seen.has(name));
  });
}

/** Every instance within two percentage points of an equal share, as soon as the weights have settled. */
async function evenShares(stage: Stage, instances: readonly string[], count: number): Promise<string> {
  await answersFrom(stage, instances);
  const tally = await callMany(`${stage.backendUrl}/`, count);
  const shares = sharesOf(tally);
  const isEven = instances.every((name) => Math.abs((shares.get(name) ?? 0) - 100 / instances.length) <= 2);
  expect(tally.failed === 0 && isEven, `${tally.failed} failed; ${shareText(tally)}`);
  return shareText(tally);
}

/** Milliseconds from the action to the first request that shows it. */
async function timed(stage: Stage, act: () => Promise<void>, path: string, status: number): Promise<number> {
  const start = performance.now();
  await act();
  await until(`status ${status}`, async () => (await call(`${stage.backendUrl}${path}`)).status === status);
  return Math.round(performance.now() - start);
}

/** Each attempt is a request, so it is the mesh that is waited for. */
async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + patienceMs;
  let last = "";
  while (Date.now() < end) {
    try {
      if (await isSo()) return;
    } catch (error) {
      last = `: ${String(error)}`;
    }
    await new Promise((done) => setImmediate(done));
  }
  throw new Error(`waited ${patienceMs / 1000} s for ${what}${last}`);
}

function expect(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

const kib = (bytes: number): string => (bytes / 1024).toFixed(0);

/** What zone-b's proxies have counted: requests at the instances, connections and bytes at the ingress. */
async function counters(stage: Stage) {
  const sum = async (name: string, filter: string): Promise<number> => {
    const stats = await envoyAdmin({ socketPath: `${stage.workDir(name)}/kuma-envoy-admin.sock` }).stats(filter);
    return [...stats.values()].reduce((total, value) => total + value, 0);
  };
  const served = (name: string) => sum(name, "^http.localhost_\\d+.downstream_rq_2xx$");
  return {
    requests: (await served("backend-2")) + (await served("backend-3")),
    connections: await sum("ingress-b", "^cluster.default_backend.upstream_cx_total$"),
    bytes: await sum("ingress-b", "^cluster.default_backend.upstream_cx_(rx|tx)_bytes_total$"),
  };
}

// `npm run bench [-- --only NAME] [-- --json FILE]`: how long a change takes to where it is used. Each row is measured at the
// Envoy that uses it, by asking it again and again without a pause.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { envoyAdmin } from "#agent/admin.ts";
import { envoyVersion, findEnvoy } from "#agent/envoy-binary.ts";
import { call, closeClient } from "#cli/demo/client.ts";
import { type BenchStage, newServices, openBenchStage, send } from "./stage.ts";

interface Row {
  readonly name: string;
  readonly unit: "ms";
  readonly n: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const deadlineMs = 30_000;
const samples = newServices;

async function timed(act: () => Promise<unknown>, isSeen: () => Promise<boolean>): Promise<number> {
  const start = performance.now();
  const acting = act();
  while (!(await isSeen())) {
    if (performance.now() - start > deadlineMs) throw new Error(`not seen after ${deadlineMs} ms`);
  }
  const ms = performance.now() - start;
  await acting;
  return ms;
}

const permission = (action: string) => ({
  type: "MeshTrafficPermission",
  mesh: "default",
  name: "bench",
  spec: { from: [{ targetRef: { kind: "Mesh" }, default: { action } }] },
});

/** From the change on global until a request of zone-a, served in zone-b, shows it. */
async function policyToOtherZone(stage: BenchStage): Promise<number[]> {
  const put = (action: string) =>
    send("PUT", `${stage.globalApi}/meshes/default/meshtrafficpermissions/bench`, permission(action));
  const isNow = (status: number) => async () => (await call(stage.backendUrl)).status === status;
  await timed(() => put("Allow"), isNow(200));
  const times: number[] = [];
  for (let i = 0; i < samples; i++) {
    const action = i % 2 === 0 ? "Deny" : "Allow";
    times.push(await timed(() => put(action), isNow(action === "Deny" ? 403 : 200)));
  }
  return times;
}

const dataplane = (name: string, service: string, i: number) => ({
  type: "Dataplane",
  mesh: "default",
  name,
  networking: {
    address: `127.3.0.${i + 1}`,
    inbound: [
      { port: 8080, tags: { "kuma.io/service": service, "kuma.io/protocol": "http", "kuma.io/zone": "zone-b" } },
    ],
  },
});

const members = async (socketPath: string, cluster: string): Promise<number> => {
  const stats = await envoyAdmin({ socketPath }).stats(`^cluster.${cluster}.membership_total$`);
  return [...stats.values()][0] ?? 0;
};

/** From a service's first instance in zone-b until zone-a's client has an endpoint for it. */
async function serviceToOtherZone(stage: BenchStage): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < samples; i++) {
    const url = `${stage.zoneBApi}/meshes/default/dataplanes/new-${i}`;
    const put = () => send("PUT", url, dataplane(`new-${i}`, `new-${i}`, i));
    times.push(await timed(put, async () => (await members(stage.frontendAdmin, `new-${i}`)) === 1));
  }
  return times;
}

/** From a further instance in zone-b until zone-b's ingress has it. */
async function instanceToOwnIngress(stage: BenchStage): Promise<number[]> {
  const put = (i: number) =>
    send("PUT", `${stage.zoneBApi}/meshes/default/dataplanes/wide-${i}`, dataplane(`wide-${i}`, "wide", i));
  const times: number[] = [];
  for (let i = 0; i <= samples; i++) {
    const ms = await timed(
      () => put(i),
      async () => (await members(stage.ingressAdmin, "default_wide")) === i + 1,
    );
    // The first one makes the service.
    if (i > 0) times.push(ms);
  }
  return times;
}

const benches: Readonly<Record<string, (stage: BenchStage) => Promise<number[]>>> = {
  "policy-to-other-zone": policyToOtherZone,
  "service-to-other-zone": serviceToOtherZone,
  "instance-to-own-ingress": instanceToOwnIngress,
};

function rowOf(name: string, times: readonly number[]): Row {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) =>
    Number((sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1));
  return { name, unit: "ms", n: times.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

const { values } = parseArgs({ options: { only: { type: "string" }, json: { type: "string" } } });
const wanted = Object.entries(benches).filter(([name]) => values.only === undefined || name === values.only);
if (wanted.length === 0) throw new Error(`--only ${values.only}: there are ${Object.keys(benches).join(", ")}`);

const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
const envoy = await envoyVersion(await findEnvoy(process.env));
const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, Node.js ${process.version}, Envoy ${envoy.version}, commit ${commit}`;
const stage = await openBenchStage((what) => process.stderr.write(`starting ${what} …\n`));
const rows: Row[] = [];
try {
  for (const [name, run] of wanted) {
    process.stderr.write(`${name} …\n`);
    rows.push(rowOf(name, await run(stage)));
  }
} finally {
  closeClient();
  await stage.close();
}
const table = new Table({ head: ["name", "unit", "n", "p50", "p99", "max"], style: { head: [], border: [] } });
for (const { name, unit, n, p50, p99, max } of rows) table.push([name, unit, n, p50, p99, max]);
process.stdout.write(`${machine}\n${table.toString()}\n`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ machine, rows }, undefined, 2)}\n`);

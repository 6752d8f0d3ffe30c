// A thousand proxies at one zone's control plane, with mTLS: what a change costs, what connecting costs, what rest costs.
//
//   1,000 fake proxies, from two processes ──TLS, a connection each──► zone control plane, its store on disk
//   "1000": 50 services of 20 instances; each proxy calls five
//   "1000x1000": 1,000 services of one instance; each proxy calls all of them
//
// The processes share the machine, so every time holds their own work, too.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "#host/free-port.ts";
import { type Crowd, openCrowd } from "./crowd.ts";
import { type Processes, send } from "./processes.ts";
import type { Measured, Suite } from "./suite.ts";
import { nowMs, type Received } from "./tally.ts";

const proxies = 1_000;

interface Size {
  /** Names of rows end so. */
  readonly name: string;
  readonly services: number;
  /** Of each proxy. */
  readonly outbounds: number;
  readonly changes: number;
  readonly endpointChanges: number;
}
const fewServices: Size = { name: "1000", services: 50, outbounds: 5, changes: 20, endpointChanges: 30 };
const allServices: Size = { name: "1000x1000", services: 1_000, outbounds: 1_000, changes: 5, endpointChanges: 10 };

/** Records follow a change within a second. */
const restMs = 2_500;
const churnEveryMs = 50;

interface ScaleStage {
  readonly size: Size;
  readonly api: string;
  readonly crowd: Crowd;
  readonly connected: Received;
  readonly connectMs: number;
  readonly pid: () => number;
  readonly progress: (what: string) => void;
  /** Ends the control plane and starts it again; resolves when it has been started, with when that began. */
  restart(): Promise<number>;
}

async function openScaleStage(started: Processes, size: Size, progress: (what: string) => void): Promise<ScaleStage> {
  const zone = "zone-a";
  const dpPort = String(await freePort("127.0.0.1"));
  const apiPort = String(await freePort("127.0.0.1"));
  const run = () =>
    started.run(
      zone,
      [
        ...["run", "zone", "--name", zone, "--data", join(started.folder, zone), "--address", "127.0.0.1"],
        ...["--dp-port", dpPort, "--api-port", apiPort, "--api-https-port", "0"],
      ],
      /^zone control plane is ready/,
    );
  progress("starting a control plane");
  const { fingerprint } = await run();
  const api = `http://127.0.0.1:${apiPort}`;
  const mtls = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] };
  await send("PUT", `${api}/meshes/default`, { type: "Mesh", name: "default", mtls });
  const token = await firstToken(api);
  const where = { zone, host: "127.0.0.1", port: Number(dpPort), fingerprint: String(fingerprint), token };
  const { services, outbounds } = size;
  const crowd = await openCrowd(started, { ...where, count: proxies, services, outbounds }, 2);
  progress(`${proxies} proxies connect at once`);
  const start = nowMs();
  const connected = await crowd.connect();
  return {
    ...{ size, api, crowd, progress, connected, connectMs: connected.at - start },
    pid: () => started.pidOf(zone),
    async restart() {
      await started.end(zone);
      const start = nowMs();
      await run();
      return start;
    },
  };
}

/** The key that signs it is made when its mesh is new, which takes a moment. */
async function firstToken(api: string): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      return await send("POST", `${api}/tokens/dataplane`, { mesh: "default", validFor: "24h" });
    } catch (error) {
      if (tries === 100) throw error;
      await pause(50);
    }
  }
}

type Measure = (stage: ScaleStage) => Promise<readonly Measured[]>;

const one = (name: string, unit: Measured["unit"], value: number): Measured => ({ name, unit, values: [value] });
const mib = (bytes: number): number => bytes / 2 ** 20;

const connect: Measure = async ({ size, connected, connectMs }) => [
  one(`connect-${size.name}`, "ms", connectMs),
  one(`connect-${size.name}-lost`, "connections", connected.lost),
];

const memoryAtRest: Measure = async ({ size, pid }) => {
  await pause(30_000);
  return [one(`memory-${size.name}`, "MiB", await memoryMib(pid(), "VmRSS"))];
};
const memoryAtMost: Measure = async ({ size, pid }) => [
  one(`memory-${size.name}-peak`, "MiB", await memoryMib(pid(), "VmHWM")),
];

const idle: Measure = async ({ size, pid }) => {
  const seconds = 20;
  await pause(restMs);
  const before = await cpuMs(pid());
  await pause(seconds * 1_000);
  return [one(`idle-cpu-${size.name}`, "%", ((await cpuMs(pid())) - before) / seconds / 10)];
};

/** One mesh-wide change: a timeout, until every proxy has acknowledged its clusters and their endpoints. */
const fanOut: Measure = async ({ size, api, crowd, pid, progress }) => {
  const ms: number[] = [];
  const cpu: number[] = [];
  const bytes: number[] = [];
  for (let i = 0; i <= size.changes; i++) {
    await pause(restMs);
    const spec = { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: `${3 + i}s` } }] };
    const before = await cpuMs(pid());
    const start = nowMs();
    const { at } = await crowd.seen({ kind: "clusters" }, () =>
      send("PUT", `${api}/meshes/default/meshtimeouts/bench`, {
        type: "MeshTimeout",
        mesh: "default",
        name: "bench",
        spec,
      }),
    );
    await pause(restMs);
    const { bytes: sent, resources, lost } = await crowd.received();
    // The first one makes the policy, and with it other views.
    if (i === 0) continue;
    const { cluster, endpoint, secret, listener, route } = resources;
    const all = proxies * size.outbounds;
    if (cluster !== all || endpoint !== all || secret + listener + route > 0)
      throw new Error(
        `a timeout should change ${all} clusters and their endpoints: ${JSON.stringify(resources)}; ${lost} lost`,
      );
    progress(`change ${i} of ${size.changes}: ${Math.round(at - start)} ms`);
    ms.push(at - start);
    cpu.push((await cpuMs(pid())) - before);
    bytes.push(mib(sent));
  }
  return [
    { name: `fan-out-${size.name}`, unit: "ms", values: ms },
    { name: `cpu-per-change-${size.name}`, unit: "CPU ms", values: cpu },
    { name: `bytes-per-change-${size.name}`, unit: "MiB", values: bytes },
  ];
};

/** One instance moves, until the last that calls it knows. */
async function endpointTimes({ size, api, crowd }: ScaleStage): Promise<readonly number[]> {
  const ms: number[] = [];
  for (let i = 0; i <= size.endpointChanges; i++) {
    await pause(300 + Math.random() * 200);
    const address = `127.9.0.${i + 1}`;
    const start = nowMs();
    const seen = await crowd.seen({ kind: "endpoint", service: "s-7", address }, () =>
      putInstance(api, "moving", "s-7", address),
    );
    if (seen.waited !== (proxies * size.outbounds) / size.services) throw new Error(`${seen.waited} proxies call s-7`);
    if (i > 0) ms.push(seen.at - start);
  }
  return ms;
}

const endpoint: Measure = async (stage) => [
  { name: `endpoint-${stage.size.name}`, unit: "ms", values: await endpointTimes(stage) },
];

/** Meanwhile an instance of another service moves all the time. */
const endpointUnderChurn: Measure = async (stage) => {
  let isOver = false;
  const churn = (async () => {
    for (let i = 0; !isOver; i++) {
      const next = pause(churnEveryMs);
      await putInstance(stage.api, "restless", "s-30", `127.9.1.${(i % 200) + 1}`);
      await next;
    }
  })();
  try {
    return [{ name: `endpoint-${stage.size.name}-churn`, unit: "ms", values: await endpointTimes(stage) }];
  } finally {
    isOver = true;
    await churn;
  }
};

function putInstance(api: string, name: string, service: string, address: string): Promise<string> {
  const tags = { "kuma.io/service": service, "kuma.io/protocol": "http" };
  const body = { type: "Dataplane", mesh: "default", name, networking: { address, inbound: [{ port: 8080, tags }] } };
  return send("PUT", `${api}/meshes/default/dataplanes/${name}`, body);
}

/** From the start of the new control plane until every proxy is back. */
const reconnect: Measure = async ({ size, crowd, restart }) => {
  await pause(restMs);
  let start = 0;
  const { at } = await crowd.seen({ kind: "complete" }, async () => {
    start = await restart();
  });
  await pause(restMs);
  const { bytes, resources } = await crowd.received();
  const again = Object.values(resources).reduce((sum, n) => sum + n, 0);
  return [
    one(`reconnect-${size.name}`, "ms", at - start),
    one(`reconnect-${size.name}-bytes`, "KiB", bytes / 1024),
    one(`reconnect-${size.name}-resources`, "resources", again),
  ];
};

/** In the order in which they are measured; each with the rows that it makes. */
type Measures = readonly (readonly [readonly string[], Measure])[];

function suite(size: Size, measures: Measures): Suite {
  return {
    names: measures.flatMap(([names]) => names),
    async *measure(started, isWanted, progress) {
      const stage = await openScaleStage(started, size, progress);
      for (const [names, measure] of measures) {
        if (!names.some(isWanted)) continue;
        progress(names.join(", "));
        for (const row of await measure(stage)) if (isWanted(row.name)) yield row;
      }
    },
  };
}

export const scaleRows = suite(fewServices, [
  [["connect-1000", "connect-1000-lost"], connect],
  [["memory-1000"], memoryAtRest],
  [["idle-cpu-1000"], idle],
  [["fan-out-1000", "cpu-per-change-1000", "bytes-per-change-1000"], fanOut],
  [["endpoint-1000"], endpoint],
  [["endpoint-1000-churn"], endpointUnderChurn],
  [["memory-1000-peak"], memoryAtMost],
  [["reconnect-1000", "reconnect-1000-bytes", "reconnect-1000-resources"], reconnect],
]);

export const allReachableRows = suite(allServices, [
  [["connect-1000x1000", "connect-1000x1000-lost"], connect],
  [["memory-1000x1000"], memoryAtRest],
  [["fan-out-1000x1000", "cpu-per-change-1000x1000", "bytes-per-change-1000x1000"], fanOut],
  [["endpoint-1000x1000"], endpoint],
  [["memory-1000x1000-peak"], memoryAtMost],
]);

/** Of all threads, with the kernel's ticks of 10 ms. */
async function cpuMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // Fields 14 and 15; the second, in brackets, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function memoryMib(pid: number, what: "VmRSS" | "VmHWM"): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
}

// The rows: each makes a change again and again and asks the Envoy that uses it, every millisecond, until it shows there:
// asking without a pause would take a whole processor from what is measured.
// Between changes there is a pause of varying length: what is measured is one change to a mesh at rest, and the pause is not
// always the same so that the work that control planes do every second falls into some of the samples.

import { Agent, type RequestOptions, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { urlToHttpOptions } from "node:url";
import { send } from "./processes.ts";
import { type BenchStage, ingressAddress, newService, openStage, samples } from "./stage.ts";
import type { Suite } from "./suite.ts";

/** Milliseconds, one for each change. */
type Bench = (stage: BenchStage) => Promise<readonly number[]>;

const deadlineMs = 30_000;
const askEveryMs = 1;
const restMs = () => 300 + Math.random() * 200;

/** From just before the change is sent until the first question whose answer shows it; rejects if the change is refused. */
async function timed(change: () => Promise<unknown>, isSeen: () => Promise<boolean>): Promise<number> {
  await pause(restMs());
  const start = performance.now();
  const watching = (async () => {
    while (!(await isSeen())) {
      if (performance.now() - start > deadlineMs) throw new Error(`a change did not show within ${deadlineMs} ms`);
      await pause(askEveryMs);
    }
    return performance.now() - start;
  })();
  const [ms] = await Promise.all([watching, change()]);
  return ms;
}

async function repeated(count: number, sample: (i: number) => Promise<number>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) times.push(await sample(i));
  return times;
}

/** From a permission changed on global until zone-a's client, calling zone-b, gets the other answer. */
const policy =
  (targetRef: object): Bench =>
  async (stage) => {
    const url = `${stage.globalApi}/meshes/default/meshtrafficpermissions/bench`;
    const turnTo = (action: "Allow" | "Deny") => {
      const spec = { targetRef, from: [{ targetRef: { kind: "Mesh" }, default: { action } }] };
      const body = { type: "MeshTrafficPermission", mesh: "default", name: "bench", spec };
      const status = action === "Allow" ? 200 : 403;
      return timed(
        () => send("PUT", url, body),
        async () => (await get(stage.backendUrl)).status === status,
      );
    };
    // Connects the client to zone-b, too.
    await turnTo("Allow");
    const times = await repeated(samples, (i) => turnTo(i % 2 === 0 ? "Deny" : "Allow"));
    await send("DELETE", url);
    return times;
  };

/** From a further instance in zone-b until zone-b's ingress has it as an endpoint. */
const instance: Bench = async (stage) => {
  const add = (i: number) =>
    timed(
      () => putInstance(stage, `wide-${i}`, "wide", i),
      async () => (await endpoints(stage.ingressAdmin, "default.wide")).includes(`::${instanceAddress(i)}:`),
    );
  // The first one makes the service.
  await add(0);
  return repeated(samples, (i) => add(i + 1));
};

/** From a service's first instance in zone-b until zone-a's client has zone-b's ingress as an endpoint of it. */
const service: Bench = (stage) =>
  repeated(samples, (i) => {
    const name = newService(i);
    return timed(
      () => putInstance(stage, name, name, i),
      async () => (await endpoints(stage.clientAdmin, name)).includes(`::${ingressAddress}:`),
    );
  });

/** Envoy's list of a cluster's endpoints; the cheapest that it can be asked, as its main thread answers. */
const endpoints = async (socketPath: string, cluster: string): Promise<string> =>
  (await get({ socketPath, path: `/clusters?filter=${encodeURIComponent(`^${cluster}$`)}` })).text;

const instanceAddress = (i: number): string => `127.3.0.${i + 1}`;

function putInstance(stage: BenchStage, name: string, service: string, i: number): Promise<string> {
  const tags = { "kuma.io/service": service, "kuma.io/protocol": "http", "kuma.io/zone": "zone-b" };
  const networking = { address: instanceAddress(i), inbound: [{ port: 8080, tags }] };
  const body = { type: "Dataplane", mesh: "default", name, networking };
  return send("PUT", `${stage.zoneBApi}/meshes/default/dataplanes/${name}`, body);
}

const agent = new Agent({ keepAlive: true });

/** Rejects only where there is no HTTP answer. */
function get(to: RequestOptions | string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const options = typeof to === "string" ? urlToHttpOptions(new URL(to)) : to;
    const sent = request({ ...options, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

const benches: Readonly<Record<string, Bench>> = {
  "policy-to-other-zone": policy({ kind: "MeshService", name: "backend" }),
  "mesh-policy-to-other-zone": policy({ kind: "Mesh" }),
  "instance-to-own-ingress": instance,
  "service-to-other-zone": service,
};

export const zoneRows: Suite = {
  names: Object.keys(benches),
  async *measure(started, isWanted, progress) {
    const stage = await openStage(started, (what) => progress(`starting ${what}`));
    for (const [name, bench] of Object.entries(benches)) {
      if (!isWanted(name)) continue;
      progress(name);
      yield { name, unit: "ms", values: await bench(stage) };
    }
  },
};

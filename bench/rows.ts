// The rows: each makes a change again and again and asks the Envoy that uses it, without a pause, until it shows there.
// Between changes there is a pause of varying length: what is measured is one change to a mesh at rest, and the pause is not
// always the same so that the work that control planes do every second falls into some of the samples.

import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { envoyAdmin } from "#agent/admin.ts";
import { type BenchStage, newService, samples, send } from "./stage.ts";

/** Milliseconds, one for each change. */
export type Bench = (stage: BenchStage) => Promise<readonly number[]>;

const deadlineMs = 30_000;
const restMs = () => 300 + Math.random() * 200;

/** From just before the change is sent until the first question whose answer shows it; rejects if the change is refused. */
async function timed(change: () => Promise<unknown>, isSeen: () => Promise<boolean>): Promise<number> {
  await pause(restMs());
  const start = performance.now();
  const watching = (async () => {
    while (!(await isSeen())) {
      if (performance.now() - start > deadlineMs) throw new Error(`a change did not show within ${deadlineMs} ms`);
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
        async () => (await call(stage.backendUrl)).status === status,
      );
    };
    // Connects the client to zone-b, too.
    await turnTo("Allow");
    const times = await repeated(samples, (i) => turnTo(i % 2 === 0 ? "Deny" : "Allow"));
    await send("DELETE", url);
    return times;
  };

/**
 * From a service's first instance in zone-b until a request of zone-a's client is sent to zone-b's ingress. Nobody listens at
 * the instance, so no request succeeds: before, the connection is closed or the text of the 503 is another; this text says
 * that the request was sent to an endpoint.
 */
const service: Bench = (stage) =>
  repeated(samples, (i) => {
    const name = newService(i);
    return timed(
      () => putInstance(stage, name, name, i),
      () =>
        call(stage.newServiceUrls[i] ?? "").then(
          ({ text }) => text.startsWith("upstream connect error"),
          () => false,
        ),
    );
  });

/** From a further instance in zone-b until zone-b's ingress counts it. */
const instance: Bench = async (stage) => {
  const admin = envoyAdmin({ socketPath: stage.ingressAdmin });
  const membership = "cluster.default_wide.membership_total";
  const add = (i: number) =>
    timed(
      () => putInstance(stage, `wide-${i}`, "wide", i),
      async () => (await admin.stats(`^${membership}$`)).get(membership) === i + 1,
    );
  // The first one makes the service.
  await add(0);
  return repeated(samples, (i) => add(i + 1));
};

function putInstance(stage: BenchStage, name: string, service: string, i: number): Promise<string> {
  const tags = { "kuma.io/service": service, "kuma.io/protocol": "http", "kuma.io/zone": "zone-b" };
  const networking = { address: `127.3.0.${i + 1}`, inbound: [{ port: 8080, tags }] };
  const body = { type: "Dataplane", mesh: "default", name, networking };
  return send("PUT", `${stage.zoneBApi}/meshes/default/dataplanes/${name}`, body);
}

const agent = new Agent({ keepAlive: true });

/** As an application calls its own proxy. Rejects only where there is no HTTP answer. */
function call(url: string): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
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

export const benches: Readonly<Record<string, Bench>> = {
  "policy-to-other-zone": policy({ kind: "MeshService", name: "backend" }),
  "mesh-policy-to-other-zone": policy({ kind: "Mesh" }),
  "service-to-other-zone": service,
  "instance-to-own-ingress": instance,
};

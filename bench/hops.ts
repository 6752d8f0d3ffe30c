// What the ways between zones cost a request: the application asked directly, then by a client's proxy over the other zone's ingress and the
// application's proxy, then over an egress as well.

import { Agent, request } from "node:http";
import { loaded, rateOf } from "./load.ts";
import { send } from "./processes.ts";
import { type BenchStage, openStage } from "./stage.ts";
import type { Suite } from "./suite.ts";

const agent = new Agent({ keepAlive: true });

/** Rejects on what is not a 200. */
const ask = (url: string): Promise<void> =>
  new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
      response.resume();
      response.on("error", reject);
      response.on("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`)),
      );
    });
    sent.on("error", reject);
    sent.end();
  });

/** The client's Envoy answers, and goes the way that is meant. */
async function until(stage: BenchStage, way: RegExp): Promise<void> {
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const sent = request({ socketPath: stage.clientAdmin, path: "/clusters?filter=%5Ebackend%24" }, (response) => {
        let text = "";
        response.on("data", (piece) => {
          text += piece;
        });
        response.on("error", reject);
        response.on("end", () => resolve(text));
      });
      sent.on("error", reject);
      sent.end();
    });
  const end = performance.now() + 30_000;
  while (
    !way.test(await shown()) ||
    !(await ask(stage.backendUrl).then(
      () => true,
      () => false,
    ))
  )
    if (performance.now() > end) throw new Error(`the client does not come to ${way}`);
}

const rows = ["request-direct", "request-over-ingress", "request-over-egress"] as const;

export const hopRows: Suite = {
  names: rows.flatMap((name) => [name, rateOf(name)]),
  async *measure(started, isWanted, progress) {
    const stage = await openStage(started, (what) => progress(`starting ${what}`), 0);
    const mesh = `${stage.globalApi}/meshes/default`;
    const spec = { from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }] };
    const permission = { type: "MeshTrafficPermission", mesh: "default", name: "bench", spec };
    await send("PUT", `${mesh}/meshtrafficpermissions/bench`, permission);
    const ways: Readonly<Record<(typeof rows)[number], () => Promise<string>>> = {
      "request-direct": async () => stage.applicationUrl,
      async "request-over-ingress"() {
        await until(stage, /::\d+\.\d+\.\d+\.\d+:\d+::/);
        return stage.backendUrl;
      },
      async "request-over-egress"() {
        await stage.startEgress();
        const mtls = { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] };
        await send("PUT", mesh, { type: "Mesh", name: "default", mtls, routing: { zoneEgress: true } });
        await until(stage, /::envoy:\/\/kodiak:egress\/zone-b/);
        return stage.backendUrl;
      },
    };
    for (const name of rows) {
      if (![name, rateOf(name)].some(isWanted)) continue;
      progress(name);
      const url = await ways[name]();
      for await (const one of loaded(name, "requests/s", () => ask(url))) if (isWanted(one.name)) yield one;
    }
  },
};

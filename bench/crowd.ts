// Fake proxies of several processes as one: what the bench tells them, and what they saw together.

import { fileURLToPath } from "node:url";
import { request } from "#host/https.ts";
import type { FakeProxies, Order } from "./fake-proxies.ts";
import { longestMs, type Processes } from "./processes.ts";
import { type Received, together, type Watched } from "./tally.ts";

const fakeProgram = fileURLToPath(new URL("fake-proxies.ts", import.meta.url));

export interface Crowd {
  /** All connect, at once. Resolves with what came until each had everything. */
  connect(): Promise<Received>;
  /** Resolves with what came until the last that waits for it has seen it. `change` is what makes it come. */
  seen(what: Watched, change: () => Promise<unknown>): Promise<Received>;
  /** What has come since what was watched last. */
  received(): Promise<Received>;
}

export type CrowdOptions = Omit<FakeProxies, "first">;

/** Each process has a part of them. */
export async function openCrowd({ run }: Processes, options: CrowdOptions, processes: number): Promise<Crowd> {
  const count = Math.ceil(options.count / processes);
  const ports: number[] = [];
  for (let first = 0; first < options.count; first += count) {
    const fakes: FakeProxies = { ...options, first, count: Math.min(count, options.count - first) };
    const name = `fake proxies of ${options.zone} from ${first}`;
    const { port } = await run(name, [JSON.stringify(fakes)], /^fake proxies are there/, fakeProgram);
    ports.push(Number(port));
  }

  async function told(order: Order): Promise<Received> {
    const answers = ports.map(async (port): Promise<Received> => {
      const call = { url: `http://127.0.0.1:${port}/`, method: "POST", body: JSON.stringify(order) };
      const { body } = await request({ ...call, timeoutMs: longestMs });
      return JSON.parse(Buffer.from(body).toString());
    });
    return together(await Promise.all(answers));
  }

  async function seen(what: Watched, change: () => Promise<unknown>): Promise<Received> {
    await told({ kind: "watch", what });
    const [all] = await Promise.all([told({ kind: "seen" }), change()]);
    return all;
  }

  return {
    connect: () => seen({ kind: "complete" }, () => told({ kind: "connect" })),
    seen,
    received: () => told({ kind: "received" }),
  };
}

// The client of the demo: it calls its own proxy, as the application `frontend` would, and counts what came back.

import { Agent, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly instance: string;
  /** `x-forwarded-client-cert` as the application saw it. */
  readonly client: string;
}

export interface Tally {
  readonly sent: number;
  readonly failed: number;
  readonly byInstance: ReadonlyMap<string, number>;
  readonly byStatus: ReadonlyMap<number, number>;
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 });

/** Rejects only where there is no HTTP answer. */
export function call(url: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        body += chunk;
      });
      response.on("error", reject);
      response.on("end", () => {
        const status = response.statusCode ?? 0;
        if (status !== 200) return resolve({ status, instance: "", client: "" });
        const { instance = "", client = "" } = JSON.parse(body);
        resolve({ status, instance, client });
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** `count` requests, `inFlight` at a time. A request fails that has no answer, or another than 200. */
export async function callMany(url: string, count: number, inFlight = 4): Promise<Tally> {
  const tally = newTally();
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) await callOnce(url, tally);
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return tally;
}

/** Goes on calling, one at a time, until it is stopped. */
export function keepCalling(url: string): { stop(): Promise<Tally> } {
  const tally = newTally();
  let isStopped = false;
  const done = (async () => {
    while (!isStopped) await callOnce(url, tally);
  })();
  return {
    async stop() {
      isStopped = true;
      await done;
      return tally;
    },
  };
}

interface Counting extends Tally {
  sent: number;
  failed: number;
  readonly byInstance: Map<string, number>;
  readonly byStatus: Map<number, number>;
}
const newTally = (): Counting => ({ sent: 0, failed: 0, byInstance: new Map(), byStatus: new Map() });

async function callOnce(url: string, tally: Counting): Promise<void> {
  tally.sent++;
  const { status, instance } = await call(url).catch(() => ({ status: 0, instance: "" }));
  if (status !== 200) tally.failed++;
  tally.byStatus.set(status, (tally.byStatus.get(status) ?? 0) + 1);
  if (instance) tally.byInstance.set(instance, (tally.byInstance.get(instance) ?? 0) + 1);
}

export const closeClient = (): void => agent.destroy();

/** Percent of all requests that each instance answered. */
export const sharesOf = ({ sent, byInstance }: Tally): ReadonlyMap<string, number> =>
  new Map([...byInstance].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => [name, (100 * n) / sent]));

export const shareText = (tally: Tally): string =>
  [...sharesOf(tally)].map(([name, share]) => `${name} ${share.toFixed(1)} %`).join("  ");

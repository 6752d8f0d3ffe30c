// The client of the demo: it calls its own proxy, as the application `frontend` would, and keeps what came back and when.
// In the background four requests are always under way, until they are paused: what counts exactly wants to be alone.

import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

export interface Answer {
  readonly status: number;
  readonly instance: string;
  /** `x-forwarded-client-cert` as the application saw it. */
  readonly client: string;
}

/** A request that has ended. `status` 0: without an answer. */
export interface Call {
  readonly status: number;
  readonly instance: string;
  readonly endedMs: number;
  readonly tookMs: number;
}

export interface Tally {
  readonly sent: number;
  readonly failed: number;
  readonly byInstance: ReadonlyMap<string, number>;
}

/** Of all requests, and of those of the last two seconds. */
export interface Figures {
  readonly sent: number;
  readonly failed: number;
  /** Answered with 403: that is a policy's will. */
  readonly denied: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Percent by instance. */
  readonly shares: ReadonlyMap<string, number>;
}

/** What ended since it was begun, in that order. */
export interface Watch {
  readonly calls: readonly Call[];
  end(): void;
}

export interface Client {
  /** Not counted. Rejects only where there is no HTTP answer. */
  call(path: string): Promise<Answer>;
  /** `count` requests, four at a time. A request fails that has no answer, or another than 200. */
  callMany(path: string, count: number): Promise<Tally>;
  watch(): Watch;
  figures(): Figures;
  /** Runs it while nothing is called in the background. */
  alone<T>(run: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** In flight, for what is called in the background and for `callMany`. */
export const atOnce = 4;
/** Between an answer and the next request in the background: two cores have more to do. */
const restMs = 4;
const recentMs = 2000;

export const isFailed = ({ status }: Call): boolean => status !== 200;

export function openClient(url: string): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 2 * atOnce });
  const watches = new Set<Call[]>();
  const recent: Call[] = [];
  let [sent, failed, denied] = [0, 0, 0];
  let isClosed = false;
  /** The workers in the background, while there are some. */
  let workers: Promise<unknown> | undefined;

  async function record(path: string): Promise<Call> {
    const start = performance.now();
    const { status, instance } = await call(path).catch(() => ({ status: 0, instance: "" }));
    const endedMs = performance.now();
    const ended = { status, instance, endedMs, tookMs: endedMs - start };
    sent++;
    if (status === 403) denied++;
    else if (status !== 200) failed++;
    recent.push(ended);
    while (recent[0] && recent[0].endedMs < endedMs - recentMs) recent.shift();
    for (const calls of watches) calls.push(ended);
    return ended;
  }

  let isPaused = false;
  const worker = async (): Promise<void> => {
    while (!isPaused) {
      await record("/");
      await pause(restMs);
    }
  };
  const resume = (): void => {
    isPaused = false;
    workers = Promise.all(Array.from({ length: atOnce }, worker));
  };
  const rest = async (): Promise<void> => {
    isPaused = true;
    await workers;
  };

  function call(path: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request(`${url}${path}`, { agent }, (response) => {
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
      asked.on("error", reject);
      asked.end();
    });
  }

  resume();
  return {
    call,
    async callMany(path, count) {
      const calls: Call[] = [];
      let left = count;
      const caller = async (): Promise<void> => {
        while (left-- > 0) calls.push(await record(path));
      };
      await Promise.all(Array.from({ length: atOnce }, caller));
      return tallyOf(calls);
    },
    watch() {
      const calls: Call[] = [];
      watches.add(calls);
      return { calls, end: () => void watches.delete(calls) };
    },
    figures() {
      const since = performance.now() - recentMs;
      const now = recent.filter(({ endedMs }) => endedMs >= since);
      const took = now.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
      const at = (share: number): number => took[Math.floor(share * took.length)] ?? 0;
      const shares = sharesOf(tallyOf(now));
      return {
        ...{ sent, failed, denied, shares },
        ...{ perSecond: (now.length * 1000) / recentMs, p50Ms: at(0.5), p99Ms: at(0.99) },
      };
    },
    async alone(run) {
      await rest();
      try {
        return await run();
      } finally {
        if (!isClosed) resume();
      }
    },
    async close() {
      isClosed = true;
      await rest();
      agent.destroy();
    },
  };
}

export function tallyOf(calls: readonly Call[]): Tally {
  const byInstance = new Map<string, number>();
  for (const { instance } of calls) if (instance) byInstance.set(instance, (byInstance.get(instance) ?? 0) + 1);
  return { sent: calls.length, failed: calls.filter(isFailed).length, byInstance };
}

/** Percent of all requests that each instance answered. */
export const sharesOf = ({ sent, byInstance }: Tally): ReadonlyMap<string, number> =>
  new Map([...byInstance].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => [name, (100 * n) / sent]));

export const shareText = (tally: Tally): string =>
  [...sharesOf(tally)].map(([name, share]) => `${name} ${share.toFixed(1)} %`).join("  ");

// Requests without a pause, several at a time on connections that are kept, until they are stopped. After one that failed there
// is a short pause: where all fail at once, only their rate would be counted.

import { setTimeout as pause } from "node:timers/promises";
import { get } from "./http.ts";

const afterFailureMs = 10;

export interface Load {
  /** So far. */
  sent(): number;
  /** Resolves when the last request is answered. `failures`: what was not a 200. */
  stop(): Promise<{ readonly sent: number; readonly failures: readonly string[] }>;
}

/** `renews`: each request has a connection of its own. */
export function load(url: string, atOnce = 4, renews = false): Load {
  const failures: string[] = [];
  let isStopped = false;
  let sent = 0;
  const worker = async () => {
    while (!isStopped) {
      sent++;
      const answer = await get(url, renews ? { connection: "close" } : {}).catch((error: unknown) => ({
        status: 0,
        text: String(error),
      }));
      if (answer.status === 200) continue;
      failures.push(`${answer.status} ${answer.text}`);
      await pause(afterFailureMs);
    }
  };
  const done = Promise.all(Array.from({ length: atOnce }, worker));
  return {
    sent: () => sent,
    async stop() {
      isStopped = true;
      await done;
      return { sent, failures };
    },
  };
}

// A port for a program that is told where to listen. Who listens itself takes port 0 and asks.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { KodiakError } from "#lib/failure.ts";

/** Below those that Linux gives to connections by itself (32768 and up): one of these could take it before the program does. */
const [lowest, end] = [10_000, 32_000];
const attempts = 100;

/** Free now. Rejects with `unavailable` where there is none, as on an address that is not this machine's. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  let cause: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = randomInt(lowest, end);
    const server = createServer();
    try {
      await once(server.listen(port, host), "listening");
    } catch (error) {
      cause = error;
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
  throw new KodiakError({ kind: "unavailable", what: `${host} gave no free port` }, { cause });
}

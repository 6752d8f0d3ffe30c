// A port for a program that is told where to listen. Who listens itself takes port 0 and asks.

import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer } from "node:net";
import { takeAlone } from "#host/sole.ts";
import { KodiakError } from "#lib/failure.ts";

/** Below those that Linux gives to connections by itself (32768 and up): one of these could take it before the program does. */
const [lowest, end] = [10_000, 32_000];
const attempts = 100;

/** Under which a port is given, whatever the host. */
export const givenName = (port: number): string => `port ${port}, given`;

/**
 * Free now, and given to nobody else, in this program or another, until this one ends: whoever it is for may close it and open it
 * again. Rejects with `unavailable` where there is none, as on an address that is not this machine's.
 */
export async function freePort(host = "127.0.0.1", protocol: keyof typeof tryAt = "tcp"): Promise<number> {
  let cause: unknown;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = randomInt(lowest, end);
    const giveBack = await takeAlone(givenName(port));
    if (!giveBack) continue;
    try {
      await tryAt[protocol](port, host);
    } catch (error) {
      giveBack();
      cause = error;
      continue;
    }
    return port;
  }
  throw new KodiakError({ kind: "unavailable", what: `${host} gave no free port` }, { cause });
}

/** Rejects where somebody listens. */
const tryAt = {
  async tcp(port: number, host: string): Promise<void> {
    const server = createServer();
    await once(server.listen(port, host), "listening");
    server.close();
    await once(server, "close");
  },
  async udp(port: number, host: string): Promise<void> {
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    await once(socket.bind(port, host), "listening");
    socket.close();
    await once(socket, "close");
  },
};

// Whether this proxy is ready, for who starts it: GET /ready on a loopback port (interop 6.8). 200 LIVE when Envoy has its
// configuration, else 503 with why. From the moment it leaves it says 503 TERMINATING.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { whyNotListening } from "#host/connection-failure.ts";
import { KodiakError } from "#lib/failure.ts";

export interface ReadinessState {
  readonly status: number;
  readonly state: string;
}
export interface Readiness {
  readonly port: number;
  close(): void;
}

const host = "127.0.0.1";

/** Port 0: a free one. `stateNow` is asked with each request. Rejects with `unavailable` where the port is taken. */
export async function serveReadiness(port: number, stateNow: () => Promise<ReadinessState>): Promise<Readiness> {
  const server = createServer(async (request, response) => {
    const isReady = request.url?.split("?")[0] === "/ready";
    const { status, state } = isReady ? await stateNow() : { status: 404, state: "not found" };
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(`${state}\n`);
  });
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    throw new KodiakError(
      {
        kind: "unavailable",
        what: `readiness cannot be served on ${host}:${port}: ${whyNotListening(error)} with --readiness-port, 0 for any free one`,
      },
      { cause: error },
    );
  }
  const { port: bound } = server.address() as AddressInfo;
  return {
    port: bound,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

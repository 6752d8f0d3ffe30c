// A TCP relay between two ends of a test, which can hold back what passes, and cut.

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { freePort } from "#host/free-port.ts";

export interface Relay {
  readonly port: number;
  /** Nothing more passes, in either direction, and nobody is told. */
  hold(): void;
  release(): void;
  /** Cuts all connections. */
  cut(): void;
  close(): Promise<void>;
}

/** `at`: its own port; absent: a free one, which stays free for it while it is closed. `host`: its own address. */
export async function relayTo(port: number, at?: number, host = "127.0.0.1"): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.once("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  const own = at ?? (await freePort(host));
  await once(server.listen(own, host), "listening");
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: own,
    hold() {
      for (const socket of sockets) socket.pause();
    },
    release() {
      for (const socket of sockets) socket.resume();
    },
    cut,
    async close() {
      const closed = once(server, "close");
      server.close();
      cut();
      await closed;
    },
  };
}

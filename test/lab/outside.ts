// Servers outside the mesh.

import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import type { Lab } from "./lab.ts";

/** On a free port, until the lab ends. */
export async function listening(own: Lab, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  own.atEnd(async () => {
    server.close();
    if ("closeAllConnections" in server) (server as unknown as { closeAllConnections(): void }).closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

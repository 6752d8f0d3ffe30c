// A name that one program of this machine has at a time: an abstract Unix socket, which the kernel takes back however the program
// ends. Like a port, it is known to the programs that share a network.

import { createHash } from "node:crypto";
import { createServer } from "node:net";

/** Resolves with what gives the name back; `undefined`: somebody has it. It keeps no program from ending. */
export function takeAlone(name: string): Promise<(() => void) | undefined> {
  // Such a socket's name has 107 bytes at most.
  const path = `\0kodiak-${createHash("sha256").update(name).digest("hex")}`;
  const server = createServer((socket) => socket.destroy());
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => {
      server.unref();
      resolve(() => void server.close());
    });
  });
}

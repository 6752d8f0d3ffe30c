// gRPC on a unix socket, for a program on this machine: without TLS, who may connect is a matter of the folder.

import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";
import { serveGrpc } from "#host/grpc-server.ts";
import { headersOf } from "#host/http-server.ts";
import { sessionOptions } from "#host/http2-session.ts";
import type { Log } from "#host/log.ts";
import type { ServerStream } from "#host/world.ts";

export interface GrpcSocket {
  /** Cuts the connections and removes the socket. */
  close(): Promise<void>;
}

/** `streams`: by full method path, as in `ListenOptions`. Rejects where there is something under this path already. */
export async function serveGrpcOnSocket(
  path: string,
  streams: Readonly<Record<string, (stream: ServerStream) => void>>,
  log: Log,
): Promise<GrpcSocket> {
  const server = createServer(sessionOptions);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.on("sessionError", (error) => log.debug({ err: error }, "a connection failed"));
  server.on("stream", (http2, headers, _flags, ...[rawHeaders = []]: string[][]) => {
    const call = { path: headers[":path"] ?? "", headers: headersOf(rawHeaders), peer: path, client: undefined };
    serveGrpc(http2, call, { streams }, log);
  });
  const bound = once(server, "listening");
  server.listen(path);
  await bound;
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

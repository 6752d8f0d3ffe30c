// One TLS port for gRPC and HTTP side by side: over HTTP/2, `content-type: application/grpc` tells them apart;
// what speaks HTTP/1.1 is never gRPC.

import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from "node:http2";
import {
  type AddressInfo,
  createServer,
  type ListenOptions as NetListenOptions,
  type Server,
  type Socket,
} from "node:net";
import type { TLSSocket } from "node:tls";
import { hostPort, inUse, messageOf, silenceError, whyNotListening } from "#host/connection-failure.ts";
import { serveGrpc } from "#host/grpc-server.ts";
import { defaultMaxHeldBytes, heldShares } from "#host/held.ts";
import { headersOf, serveHttp1, serveHttp2 } from "#host/http-server.ts";
import { connectionWindowBytes, sessionOptions } from "#host/http2-session.ts";
import { endWhenIdle } from "#host/idle.ts";
import { kernelKeepAlive, watchOver } from "#host/keepalive.ts";
import type { Log } from "#host/log.ts";
import { takeAlone } from "#host/sole.ts";
import {
  type ClientCertificate,
  type Clock,
  grpcCode,
  type Listening,
  type ListenOptions,
  type Status,
} from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

/** What a peer has to read its last status, before its connection is cut. */
const closeWithinMs = 2_000;

/**
 * All proxies of a zone may come at once. What the kernel can't keep until it is accepted it drops, and the peer tries again
 * after 1, 3, 7 … seconds. The kernel takes the lower of this and `net.core.somaxconn`.
 */
const backlog = 4_096;

/**
 * Node accepts one connection of a socket in each turn of its event loop, and with a thousand proxies a turn takes long: they
 * would wait for each other until they give up. The kernel deals connections out to sockets that share a port.
 */
const doors = 16;

export async function listen(options: ListenOptions, clock: Clock, log: Log): Promise<Listening> {
  const server = openServer(options);
  const sockets = new Set<Socket>();
  const calls = new Set<(status: Status) => void>();
  const share = heldShares(options.maxHeldBytes ?? defaultMaxHeldBytes, clock, log);
  const watch = watchOver(clock, (session, why) => session.destroy(silenceError(why)));

  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.on("session", (session) => {
    session.setLocalWindowSize(connectionWindowBytes);
    watch(session);
    endWhenIdle(session, clock);
  });
  server.on("sessionError", (error) => log.debug({ err: error }, "a connection failed"));
  server.on("tlsClientError", (error, socket) => log.debug({ err: error, peer: socket.remoteAddress }, "TLS failed"));

  // Node serves HTTP/1.1 through `request`, and a listener for it makes Node wrap every HTTP/2 stream for it, too. Streams
  // are ours alone, so that wrapper goes.
  server.on("request", (request, response) => {
    if (request instanceof IncomingMessage && response instanceof ServerResponse) {
      void serveHttp1(request, response, options.http, share(), clock, log);
    }
  });
  server.removeAllListeners("stream");
  server.on("stream", (http2, headers, _flags, ...[rawHeaders = []]: string[][]) => {
    if (!isGrpc(headers["content-type"])) {
      void serveHttp2(http2, headers, headersOf(rawHeaders), peerOf(http2), options.http, share(), clock, log);
      return;
    }
    const call = {
      path: headers[":path"] ?? "",
      headers: headersOf(rawHeaders),
      peer: peerOf(http2),
      client: options.clientAuthorities === undefined ? undefined : clientOf(http2),
    };
    const end = serveGrpc(http2, call, options, log, share());
    calls.add(end);
    http2.once("close", () => calls.delete(end));
  });

  const release = await takePort(options);
  const others = await bind(server, options).catch((error) => {
    release();
    throw error;
  });
  server.on("error", (error) => log.error({ err: error, port: options.port }, "a connection could not be accepted"));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server without a port");

  return {
    port: address.port,
    close(reason) {
      const all = Promise.all([server, ...others].map(closed));
      for (const end of calls) end({ code: grpcCode.unavailable, message: reason });
      const cancel = clock.alarm(clock.now() + closeWithinMs, () => {
        for (const socket of sockets) socket.destroy();
      });
      return all.then(cancel).finally(release);
    },
  };
}

function openServer(options: ListenOptions): Http2SecureServer {
  try {
    return createSecureServer({
      ...sessionOptions,
      cert: options.certificate,
      key: options.privateKey,
      // Who shows nothing usable is told so in its own language, by whoever serves its call.
      ...(options.clientAuthorities !== undefined && {
        requestCert: true,
        rejectUnauthorized: false,
        ca: options.clientAuthorities,
      }),
      allowHTTP1: true,
      minVersion: "TLSv1.2",
      handshakeTimeout: 10_000,
      noDelay: true,
      ...kernelKeepAlive,
    });
  } catch (error) {
    throw cannotListen(options, `its certificate or private key is not usable (${messageOf(error)})`, error);
  }
}

/** Two that begin in the same instant could both find the port unshared: each must have its name as long as it listens. */
async function takePort({ host, port }: ListenOptions): Promise<() => void> {
  if (port === 0) return () => {};
  const release = await takeAlone(portName(host, port));
  if (!release) throw cannotListen({ host, port }, inUse, undefined);
  return release;
}

export const portName = (host: string, port: number): string => `port ${hostPort(host, port)}`;

/** Resolves with the other doors, which hand to the server what they accept. */
async function bind(server: Http2SecureServer, { port, host }: ListenOptions): Promise<readonly Server[]> {
  const options = { host, backlog, reusePort: true };
  const others = Array.from({ length: doors - 1 }, () =>
    createServer({ noDelay: true, ...kernelKeepAlive }, (socket) => server.emit("connection", socket)).on(
      "error",
      (error) => server.emit("error", error),
    ),
  );
  try {
    // A port is shared with whoever asks to share it: another control plane must not.
    if (port !== 0) await listening(server, { host, port }).then(() => closed(server));
    await listening(server, { ...options, port });
    const { port: bound } = server.address() as AddressInfo;
    for (const other of others) await listening(other, { ...options, port: bound });
    return others;
  } catch (error) {
    for (const one of [server, ...others]) one.close();
    throw cannotListen({ host, port }, whyNotListening(error), error);
  }
}

async function listening(server: Server, options: NetListenOptions): Promise<void> {
  const bound = once(server, "listening");
  server.listen(options);
  await bound;
}

/** Once for each connection: a certificate does not change on it. */
const clients = new WeakMap<object, ClientCertificate>();

function clientOf({ session }: ServerHttp2Stream): ClientCertificate | undefined {
  if (!session) return undefined;
  const known = clients.get(session);
  if (known) return known;
  const socket = session.socket as TLSSocket;
  const shown = socket.getPeerX509Certificate();
  if (!shown) return undefined;
  const client = {
    uris: (shown.subjectAltName ?? "").split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice(4)] : [])),
    serial: shown.serialNumber,
    notBefore: shown.validFromDate.getTime(),
    notAfter: shown.validToDate.getTime(),
    ...(!socket.authorized && { problem: String(socket.authorizationError) }),
  };
  clients.set(session, client);
  return client;
}

const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

function cannotListen(options: Pick<ListenOptions, "host" | "port">, why: string, cause: unknown): KodiakError {
  const what = `cannot listen on ${hostPort(options.host, options.port)}: ${why}`;
  return new KodiakError({ kind: "unavailable", what }, { cause });
}

const isGrpc = (contentType: string | undefined): boolean => /^application\/grpc(?:[+;]|$)/.test(contentType ?? "");

function peerOf(http2: ServerHttp2Stream): string {
  const socket = http2.session?.socket;
  return hostPort(socket?.remoteAddress ?? "", socket?.remotePort ?? 0);
}

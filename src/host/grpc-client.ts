// The calling end of gRPC: one HTTP/2 connection over TLS, with any number of streams and unary calls. Calls may be made
// before the connection stands; they wait for it, and nothing is sent before the server's certificate was checked.

import {
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { hostPort, messageOf, whyNotConnected } from "#host/connection-failure.ts";
import { defaultMaxMessageBytes } from "#host/grpc-frame.ts";
import { statusIn, statusOfError, statusOfHttp, statusOfReset } from "#host/grpc-status.ts";
import { GrpcStream } from "#host/grpc-stream.ts";
import { connectionWindowBytes, sessionOptions } from "#host/http2-session.ts";
import { keepAlive } from "#host/keepalive.ts";
import type { Log } from "#host/log.ts";
import { refusalOf, tlsOptions } from "#host/trust.ts";
import {
  type CallOptions,
  type ClientStream,
  type Clock,
  type Connection,
  GrpcError,
  grpcCode,
  type Status,
  type Target,
} from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

const connectWithinMs = 10_000;

/** Throws `invalid` when the trust of the target is not usable; everything later is told by `ready` and `onClose`. */
export function dial(target: Target, clock: Clock, log: Log): Connection {
  const address = hostPort(target.host, target.port);
  const standing = Promise.withResolvers<void>();
  // Who does not wait for `ready` learns the same reason from `onClose` and from the calls.
  standing.promise.catch(() => {});
  const closed = Promise.withResolvers<string>();
  let stands = false;
  let reason: string | undefined;

  const socket = openSocket(target);
  socket.setNoDelay(true);
  socket.once("error", (error) => {
    reason ??= stands
      ? `the connection to ${address} was lost: ${messageOf(error)}`
      : `cannot connect to ${address}: ${whyNotConnected(error)}`;
  });
  // Set before HTTP/2 sets its own: a refused server must not see a single frame.
  socket.once("secureConnect", () => {
    const refusal = refusalOf(socket, target);
    if (refusal !== undefined) {
      const what = `cannot connect to ${address}: ${refusal}`;
      standing.reject(new KodiakError({ kind: "untrusted", what }));
      lose(what);
    } else if (socket.alpnProtocol !== "h2") lose(`cannot connect to ${address}: ${noHttp2}`);
  });
  const session = connectHttp2(`https://${address}`, { ...sessionOptions, createConnection: () => socket });
  const cancelTimeout = clock.alarm(clock.now() + connectWithinMs, () =>
    lose(`cannot connect to ${address}: no answer for ${connectWithinMs / 1000} s; check the address and firewalls`),
  );

  session.once("connect", () => {
    // Also emitted for a session that was destroyed meanwhile.
    if (session.destroyed) return;
    cancelTimeout();
    stands = true;
    session.setLocalWindowSize(connectionWindowBytes);
    if (target.pings !== false)
      keepAlive(session, clock, (why) => lose(`the connection to ${address} was lost: ${why}`));
    standing.resolve();
  });
  session.on("goaway", (code, _lastStream, detail) => {
    if (code === constants.NGHTTP2_NO_ERROR) return;
    const text = detail === undefined ? "" : ` (${Buffer.from(detail).toString()})`;
    reason ??= `${address} ended the connection with HTTP/2 error ${code}${text}`;
  });
  session.on("error", (error) => {
    reason ??= `the connection to ${address} was lost: ${messageOf(error)}`;
  });
  session.once("close", () => {
    cancelTimeout();
    const why = reason ?? `${address} closed the connection`;
    standing.reject(new KodiakError({ kind: "unavailable", what: why }));
    closed.resolve(why);
  });

  function lose(why: string): void {
    reason ??= why;
    session.destroy();
  }

  const lost = (): Status | undefined =>
    session.destroyed || socket.destroyed
      ? { code: grpcCode.unavailable, message: reason ?? `${address} closed the connection` }
      : undefined;

  const streams = new Set<ClientStream>();
  function open(path: string, options: CallOptions): ClientStream {
    if (session.closed || session.destroyed) {
      return overStream({ code: grpcCode.unavailable, message: reason ?? `the connection to ${address} is closed` });
    }
    const abort = new AbortController();
    const http2 = session.request(requestHeaders(path, options), { signal: abort.signal });
    const stream = new ClientEnd(http2, abort, path, options, lost, log);
    streams.add(stream);
    stream.onEnd(() => streams.delete(stream));
    return stream;
  }

  return {
    ready: standing.promise,
    stream: (path, options = {}) => open(path, options),
    unary: (path, request, options = {}) => answerOf(open(path, options), request),
    onClose(handle) {
      void closed.promise.then(handle);
    },
    close() {
      reason ??= `the connection to ${address} was closed here`;
      for (const stream of streams) stream.cancel();
      if (stands) session.close();
      else session.destroy();
    },
  };
}

const noHttp2 = "the server does not speak HTTP/2 there; check that the port is the right one";

function openSocket(target: Target): TLSSocket {
  const { identity } = target;
  return connectTls({
    ...tlsOptions(target),
    ...(identity && { cert: identity.certificate, key: identity.privateKey }),
    ALPNProtocols: ["h2"],
  });
}

function requestHeaders(path: string, options: CallOptions): OutgoingHttpHeaders {
  return {
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    "user-agent": "kodiak",
    "grpc-accept-encoding": "identity,gzip",
    ...(options.gzip === true ? { "grpc-encoding": "gzip" } : {}),
    ...options.headers,
  };
}

function answerOf(stream: ClientStream, request: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let answer: Uint8Array | undefined;
    stream.onMessage((message) => {
      answer = message;
    });
    stream.onEnd((status) => {
      if (status.code !== grpcCode.ok) reject(new GrpcError(status));
      else if (answer !== undefined) resolve(answer);
      else reject(new GrpcError({ code: grpcCode.internal, message: "the server answered OK without a message" }));
    });
    stream.send([request]);
    stream.halfClose();
  });
}

/** For a call on a connection that is closed already. */
function overStream(status: Status): ClientStream {
  return {
    send: () => false,
    halfClose: () => {},
    cancel: () => {},
    onMessage: () => {},
    onDrained: () => {},
    onEnd(handle) {
      queueMicrotask(() => handle(status));
    },
  };
}

class ClientEnd extends GrpcStream implements ClientStream {
  readonly #http2: ClientHttp2Stream;
  /** Resets the stream at once. `close` would half-close first, and the server would take that for a regular end. */
  readonly #abort: AbortController;
  readonly #path: string;
  readonly #gzip: boolean;
  readonly #lost: () => Status | undefined;
  readonly #log: Log;
  #received: Status | undefined;

  constructor(
    http2: ClientHttp2Stream,
    abort: AbortController,
    path: string,
    options: CallOptions,
    lost: () => Status | undefined,
    log: Log,
  ) {
    super(http2, options.maxMessageBytes ?? defaultMaxMessageBytes);
    this.#http2 = http2;
    this.#abort = abort;
    this.#path = path;
    this.#gzip = options.gzip === true;
    this.#lost = lost;
    this.#log = log;
    http2.on("response", (headers) => this.#receiveHeaders(headers));
    http2.on("trailers", (trailers) => this.#receiveStatus(trailers));
  }

  halfClose(): void {
    if (!this.isOver) this.#http2.end();
  }

  cancel(): void {
    this.#giveUp({ code: grpcCode.cancelled, message: "cancelled here" });
  }

  protected sendsGzip(): boolean {
    return this.#gzip;
  }

  /** All messages are read; the trailers may come before this or after it. */
  protected halfClosed(): void {
    this.#finish();
  }

  protected fail(error: unknown): void {
    this.#giveUp(statusOfError(error, this.#path, this.#log));
  }

  protected statusOnClose(): Status {
    return this.#received ?? this.#lost() ?? statusOfReset(this.#http2.rstCode ?? constants.NGHTTP2_NO_ERROR);
  }

  #receiveHeaders(headers: IncomingHttpHeaders & IncomingHttpStatusHeader): void {
    const httpStatus = headers[":status"] ?? 0;
    const status = statusIn(headers);
    if (status !== undefined) {
      this.#received = status;
    } else if (httpStatus !== 200 || !/^application\/grpc(?:[+;]|$)/.test(headers["content-type"] ?? "")) {
      this.#giveUp(statusOfHttp(httpStatus));
    } else {
      const encoding = headers["grpc-encoding"];
      this.incomingEncoding = encoding === undefined ? undefined : String(encoding);
    }
  }

  #receiveStatus(trailers: IncomingHttpHeaders): void {
    this.#received = statusIn(trailers) ?? {
      code: grpcCode.internal,
      message: "the server ended the stream without a status",
    };
    this.#finish();
  }

  #finish(): void {
    if (this.#received === undefined || !this.#http2.readableEnded) return;
    if (this.settle(this.#received)) this.#http2.close(constants.NGHTTP2_NO_ERROR);
  }

  #giveUp(status: Status): void {
    if (this.settle(status)) this.#abort.abort();
  }
}

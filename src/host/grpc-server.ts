// The serving end of gRPC: one HTTP/2 stream becomes a `ServerStream` or a unary call.
// Response headers go with the first message or when asked for; a call that fails before has trailers only.
// A peer that half-closes has nothing more to ask: its stream ends with OK.

import { constants, type Http2Session, type ServerHttp2Stream } from "node:http2";
import { isSilence } from "#host/connection-failure.ts";
import { defaultMaxMessageBytes } from "#host/grpc-frame.ts";
import { statusHeaders, statusOfError, statusOfReset } from "#host/grpc-status.ts";
import { GrpcStream } from "#host/grpc-stream.ts";
import type { HeldShare } from "#host/held.ts";
import type { Log } from "#host/log.ts";
import {
  type CallInfo,
  type ClientCertificate,
  GrpcError,
  grpcCode,
  type Headers,
  type ListenOptions,
  type ServerStream,
  type Status,
} from "#host/world.ts";

export type GrpcServices = Pick<ListenOptions, "streams" | "unary" | "maxMessageBytes">;
type Unary = NonNullable<GrpcServices["unary"]>[string];

/** Serves one call. What it returns ends the call, whatever it is doing. */
export function serveGrpc(
  http2: ServerHttp2Stream,
  call: CallInfo,
  services: GrpcServices,
  log: Log,
  held?: HeldShare,
): (status: Status) => void {
  const stream = new ServerEnd(http2, call, services.maxMessageBytes ?? defaultMaxMessageBytes, log, held);
  const serve = services.streams[call.path];
  const answer = services.unary?.[call.path];
  const encoding = stream.requestEncoding;
  if (encoding !== undefined && encoding !== "gzip" && encoding !== "identity") {
    stream.end({
      code: grpcCode.unimplemented,
      message: `grpc-encoding "${encoding}" is not known here; use gzip or identity`,
    });
  } else if (serve !== undefined) {
    void stream.attempt(() => serve(stream));
  } else if (answer !== undefined) {
    serveUnary(stream, answer);
  } else {
    stream.end({ code: grpcCode.unimplemented, message: `there is no method ${call.path} here` });
  }
  return (status) => stream.end(status);
}

function serveUnary(stream: ServerEnd, answer: Unary): void {
  let request: Uint8Array | undefined;
  stream.onMessage((message) => {
    if (request !== undefined) throw internal("a unary call with two messages");
    request = message;
    stream.waitingBytes = message.length;
  });
  stream.onEnd(() => {
    request = undefined;
  });
  stream.onHalfClose(async () => {
    if (request === undefined) throw internal("a unary call without a message");
    stream.send([await answer(request, stream)]);
    stream.end({ code: grpcCode.ok, message: "" });
  });
}

const internal = (message: string): GrpcError => new GrpcError({ code: grpcCode.internal, message });

const responseHeaders = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-accept-encoding": "identity,gzip",
};

class ServerEnd extends GrpcStream implements ServerStream {
  readonly path: string;
  readonly headers: Headers;
  readonly peer: string;
  readonly client: ClientCertificate | undefined;
  readonly requestEncoding: string | undefined;
  override waitingBytes = 0;
  readonly #http2: ServerHttp2Stream;
  /** Kept here because a closed stream does not know its session any more. */
  readonly #session: Http2Session | undefined;
  readonly #log: Log;
  #handleHalfClose: () => Promise<void> | void = () => this.end({ code: grpcCode.ok, message: "" });

  constructor(
    http2: ServerHttp2Stream,
    call: CallInfo,
    maxMessageBytes: number,
    log: Log,
    held: HeldShare | undefined,
  ) {
    super(http2, maxMessageBytes, held);
    this.#http2 = http2;
    this.#session = http2.session;
    this.#log = log;
    this.path = call.path;
    this.headers = call.headers;
    this.peer = call.peer;
    this.client = call.client;
    this.requestEncoding = call.headers["grpc-encoding"]?.[0];
    this.incomingEncoding = this.requestEncoding;
  }

  sendHeaders(): void {
    const http2 = this.#http2;
    if (this.isOver || http2.headersSent || http2.destroyed) return;
    http2.respond(
      { ...responseHeaders, ...(this.#gzip ? { "grpc-encoding": "gzip" } : {}) },
      { waitForTrailers: true },
    );
  }

  end(status: Status): void {
    const http2 = this.#http2;
    if (!this.settle(status) || http2.destroyed || http2.closed) return;
    if (http2.headersSent) {
      http2.once("wantTrailers", () => http2.sendTrailers(statusHeaders(status)));
      http2.end();
    } else {
      http2.respond({ ...responseHeaders, ...statusHeaders(status) }, { endStream: true });
    }
  }

  /** Instead of ending the stream. What it throws is the status. */
  onHalfClose(handle: () => Promise<void> | void): void {
    this.#handleHalfClose = handle;
  }

  /** What is thrown becomes the status. */
  async attempt(action: () => Promise<void> | void): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.fail(error);
    }
  }

  protected sendsGzip(): boolean {
    this.sendHeaders();
    return this.#gzip;
  }

  protected halfClosed(): void {
    void this.attempt(this.#handleHalfClose);
  }

  protected fail(error: unknown): void {
    this.end(statusOfError(error, this.path, this.#log));
  }

  protected statusOnClose(): Status {
    // A stream of a lost connection looks like one that the peer cancelled.
    if (this.#session?.destroyed !== false) {
      const lost = { code: grpcCode.unavailable, message: "the connection to the peer was lost" };
      return isSilence(this.failure) ? { ...lost, isSilent: true } : lost;
    }
    return statusOfReset(this.#http2.rstCode ?? constants.NGHTTP2_NO_ERROR);
  }

  /** The answer is compressed when the request is. */
  get #gzip(): boolean {
    return this.requestEncoding === "gzip";
  }
}

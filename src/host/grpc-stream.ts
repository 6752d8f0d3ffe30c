// What both ends of a gRPC stream have in common: messages over one HTTP/2 stream, flow control, and one end.
// `grpc-server.ts` and `grpc-client.ts` add how a stream begins and how its status travels.

import { constants, type Http2Stream } from "node:http2";
import { type FrameParser, framed, frameParser, messageOf } from "#host/grpc-frame.ts";
import type { HeldShare } from "#host/held.ts";
import { GrpcError, grpcCode, type Status, type Stream } from "#host/world.ts";

const tooMuchHeld = (): GrpcError =>
  new GrpcError({
    code: grpcCode.resourceExhausted,
    message: "too many messages that are not complete are held here; try again later",
  });

export abstract class GrpcStream implements Stream {
  protected readonly http2: Http2Stream;
  /** The peer's `grpc-encoding`, when it is known. */
  protected incomingEncoding: string | undefined;
  readonly #maxMessageBytes: number;
  /** Until something is sent here. */
  readonly #held: HeldShare | undefined;
  /** Of whole messages that wait for the rest of their call. */
  protected waitingBytes = 0;
  readonly #end = Promise.withResolvers<Status>();
  #isOver = false;
  /** Of the HTTP/2 stream, or of its connection. */
  protected failure: unknown;
  /** What it has gathered goes with the end, though the peer may keep the HTTP/2 stream open. */
  #parser: FrameParser | undefined;
  #handleMessage: ((message: Uint8Array) => void) | undefined;

  constructor(http2: Http2Stream, maxMessageBytes: number, held?: HeldShare) {
    this.http2 = http2;
    this.#maxMessageBytes = maxMessageBytes;
    this.#held = held;
    // Without a listener an error would end the process. What it means is read on `close`, from the reset code or from this.
    http2.on("error", (error) => {
      this.failure = error;
    });
    http2.on("close", () => this.settle(this.statusOnClose()));
    // Handlers may be set until the turn ends; what arrives before waits in HTTP/2's buffer.
    setImmediate(() => this.#read());
  }

  send(pieces: readonly Uint8Array[]): boolean {
    const http2 = this.http2;
    if (this.#isOver || http2.destroyed || http2.writableEnded) return false;
    this.#held?.release();
    http2.cork();
    for (const part of framed(pieces, this.sendsGzip())) http2.write(part);
    http2.uncork();
    return !http2.writableNeedDrain;
  }

  onMessage(handle: (message: Uint8Array) => void): void {
    this.#handleMessage = handle;
  }

  onDrained(handle: () => void): void {
    this.http2.on("drain", () => {
      if (!this.#isOver) handle();
    });
  }

  onEnd(handle: (status: Status) => void): void {
    void this.#end.promise.then(handle);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Called before each message: may send headers first. */
  protected abstract sendsGzip(): boolean;
  /** The status when HTTP/2 closed the stream and no status had been sent or received. */
  protected abstract statusOnClose(): Status;
  /** The peer sends no more messages. */
  protected abstract halfClosed(): void;
  /** A message could not be read, or its handler threw. */
  protected abstract fail(error: unknown): void;

  /** The first status counts. False: there was one already. */
  protected settle(status: Status): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#parser = undefined;
    this.#held?.release();
    this.#end.resolve(status);
    return true;
  }

  #read(): void {
    if (!this.#isOver) this.#parser = frameParser(this.#maxMessageBytes);
    const receive = (chunk: Uint8Array): void => {
      // After the end data is still taken from the connection, or its window would shrink for the other streams.
      const parser = this.#parser;
      if (!parser) return;
      try {
        parser.push(chunk, (frame) => {
          if (this.#isOver) return;
          this.#handleMessage?.(messageOf(frame, this.incomingEncoding, this.#maxMessageBytes));
        });
        if (this.#held?.hold(parser.heldBytes + this.waitingBytes) === false) throw tooMuchHeld();
      } catch (error) {
        this.fail(error);
      }
    };
    const end = (): void => {
      // Also emitted for a stream that was reset; `close` follows and knows more.
      if (this.#isOver || this.http2.rstCode !== constants.NGHTTP2_NO_ERROR) return;
      if (this.#parser?.isInside) {
        this.fail(new GrpcError({ code: grpcCode.internal, message: "the peer ended the stream within a message" }));
      } else {
        this.halfClosed();
      }
    };
    this.http2.on("data", receive);
    // Node tells the end of a stream without any data at once, whether somebody listens or not.
    if (this.http2.readableEnded) end();
    else this.http2.on("end", end);
  }
}

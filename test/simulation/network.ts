// The network of `host/world.ts` without sockets: gRPC streams, calls and HTTP requests as frames over simulated wires. TLS
// is left out: it is tested where it is, and says nothing about order. Who calls is known by its host.

import {
  type CallInfo,
  type CallOptions,
  type ClientCertificate,
  type ClientStream,
  type Connection,
  GrpcError,
  grpcCode,
  type Headers,
  type HttpRequest,
  type HttpResponse,
  type ListenOptions,
  type Network,
  type ServerStream,
  type Status,
  type Stream,
} from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Program } from "./program.ts";
import type { Links, Wire } from "./wire.ts";

/** What travels over a wire. */
export type Frame =
  | { readonly kind: "accepted"; readonly id: 0 }
  | { readonly kind: "open"; readonly id: number; readonly path: string; readonly headers: Headers }
  | { readonly kind: "message"; readonly id: number; readonly bytes: Uint8Array }
  | { readonly kind: "half-close"; readonly id: number }
  | { readonly kind: "end"; readonly id: number; readonly status: Status }
  | { readonly kind: "read"; readonly id: number; readonly bytes: number }
  | {
      readonly kind: "call";
      readonly id: number;
      readonly path: string;
      readonly headers: Headers;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "answer"; readonly id: number; readonly result: Uint8Array | Status }
  | { readonly kind: "request"; readonly id: number; readonly request: HttpRequest }
  | { readonly kind: "response"; readonly id: number; readonly response: HttpResponse };

export interface SimulatedNetwork {
  /** As this program sees it. */
  of(
    program: Program,
  ): Network & { dial(target: { readonly host: string; readonly port: number }): SimulatedConnection };
}
export interface SimulatedConnection extends Connection {
  /** Rejects with `unavailable` when the connection is lost before the answer: whether it was served is not known. */
  request(request: HttpRequest): Promise<HttpResponse>;
}

/** Of one stream, unread; a program that sends more is told to wait. */
const windowBytes = 4_096;

export function simulatedNetwork(links: Links): SimulatedNetwork {
  const listeners = new Map<string, { readonly program: Program; serve(wire: Wire<Frame>, from: string): void }>();
  return {
    of: (program) => ({
      dial: ({ host, port }) => dial(program, host, port),
      listen: (options) => Promise.resolve(listen(program, options)),
      lookup: (name) => Promise.reject(new Error(`no host is called ${name} here`)),
    }),
  };

  function listen(program: Program, options: ListenOptions) {
    const name = `${program.host}:${options.port}`;
    const served = new Set<Served>();
    listeners.set(name, { program, serve: (wire, from) => void served.add(serve(program, options, wire, from)) });
    return {
      port: options.port,
      close: (reason: string) => {
        listeners.delete(name);
        for (const one of served) one.close(reason);
        return Promise.resolve();
      },
    };
  }

  function dial(program: Program, host: string, port: number): SimulatedConnection {
    const name = `${host}:${port}`;
    const standing = Promise.withResolvers<void>();
    standing.promise.catch(() => {});
    const closed = Promise.withResolvers<string>();
    const streams = new Map<number, Half>();
    const waiting = new Map<number, { resolve(frame: Frame): void; reject(error: unknown): void }>();
    let isOpen = true;
    let lastId = 0;

    const wire: Wire<Frame> = links.wire<Frame>(
      { program, receive: (frames) => frames.forEach(receive), lost: over },
      host,
      () => {
        const listener = listeners.get(name);
        if (!listener?.program.isAlive) return wire.close(1, `cannot connect to ${name}: connection refused`);
        listener.serve(wire, program.host);
        wire.send(1, { kind: "accepted", id: 0 });
      },
    );

    function receive(frame: Frame): void {
      if (frame.kind === "accepted") standing.resolve();
      else if (frame.kind === "answer" || frame.kind === "response") {
        waiting.get(frame.id)?.resolve(frame);
        waiting.delete(frame.id);
      } else streams.get(frame.id)?.receive(frame);
    }

    function over(reason: string): void {
      if (!isOpen) return;
      isOpen = false;
      const status = { code: grpcCode.unavailable, message: reason };
      standing.reject(new KodiakError({ kind: "unavailable", what: reason }));
      closed.resolve(reason);
      for (const stream of streams.values()) stream.over(status);
      for (const { reject } of waiting.values()) reject(new GrpcError(status));
      waiting.clear();
    }

    function answerTo(frame: Frame): Promise<Frame> {
      return new Promise((resolve, reject) => {
        if (!isOpen) return reject(new GrpcError({ code: grpcCode.unavailable, message: "the connection is closed" }));
        waiting.set(frame.id, { resolve, reject });
        wire.send(0, frame);
      });
    }

    return {
      ready: standing.promise,
      onClose: (handle) => void closed.promise.then(handle),
      close() {
        if (!isOpen) return;
        wire.close(0, "the connection to the peer was lost");
        over("closed here");
      },
      stream(path, options) {
        const id = ++lastId;
        const half = halfOf(id, (frame) => wire.send(0, frame));
        streams.set(id, half);
        wire.send(0, { kind: "open", id, path, headers: headersIn(options) });
        if (!isOpen) half.over({ code: grpcCode.unavailable, message: "the connection is closed" });
        return {
          ...half.stream,
          halfClose: () => wire.send(0, { kind: "half-close", id }),
          cancel: () => half.end({ code: grpcCode.cancelled, message: "cancelled" }),
        } satisfies ClientStream;
      },
      async unary(path, bytes, options) {
        const frame = await answerTo({ kind: "call", id: ++lastId, path, headers: headersIn(options), bytes });
        if (frame.kind !== "answer") throw new TypeError(`a ${frame.kind} for a call`);
        if (frame.result instanceof Uint8Array) return frame.result;
        throw new GrpcError(frame.result);
      },
      async request(request) {
        const frame = await answerTo({ kind: "request", id: ++lastId, request });
        if (frame.kind !== "response") throw new TypeError(`a ${frame.kind} for a request`);
        return frame.response;
      },
    };
  }
}

const headersIn = (options: CallOptions | undefined): Headers =>
  Object.fromEntries(
    Object.entries(options?.headers ?? {}).map(([name, value]) => [name, typeof value === "string" ? [value] : value]),
  );

/** Of a zone's control plane, as global would have given it. */
const certificateFor = (zone: string): ClientCertificate => ({
  ...{ uris: [`spiffe://kodiak/zone/${zone}`], serial: "1" },
  ...{ notBefore: 0, notAfter: Number.POSITIVE_INFINITY },
});

interface Served {
  close(reason: string): void;
}

function serve(program: Program, options: ListenOptions, wire: Wire<Frame>, from: string): Served {
  const client = options.clientAuthorities === undefined ? undefined : certificateFor(from);
  const streams = new Map<number, Half>();
  const send = (frame: Frame): void => wire.send(1, frame);
  const peer = `${program.host}-client:1`;
  wire.accept({
    program,
    // Handlers are set in the turn in which a stream is handed over; what comes with it is read in the next.
    receive(frames) {
      for (const frame of frames) if (frame.kind === "open") open(frame);
      setImmediate(() => frames.forEach(receive));
    },
    lost: over,
  });

  function open({ id, path, headers }: Extract<Frame, { kind: "open" }>): void {
    const half = halfOf(id, send);
    const handle = options.streams[path];
    const call: CallInfo = { path, headers, peer, client };
    const stream: ServerStream = { ...half.stream, ...call, sendHeaders: () => {}, end: half.end };
    streams.set(id, half);
    if (handle) handle(stream);
    else half.end({ code: grpcCode.unimplemented, message: `there is no method ${path} here` });
  }

  function receive(frame: Frame): void {
    if (!program.isAlive) return;
    switch (frame.kind) {
      case "call":
        void answer(frame);
        return;
      case "request":
        void respond(frame);
        return;
      case "half-close":
        streams.get(frame.id)?.end({ code: grpcCode.ok, message: "" });
        return;
      case "message":
      case "end":
      case "read":
        streams.get(frame.id)?.receive(frame);
        return;
      case "open":
      case "accepted":
      case "answer":
      case "response":
    }
  }

  async function answer({ id, path, headers, bytes }: Extract<Frame, { kind: "call" }>): Promise<void> {
    try {
      const handle = options.unary?.[path];
      if (!handle) throw new GrpcError({ code: grpcCode.unimplemented, message: `there is no method ${path} here` });
      send({ kind: "answer", id, result: await handle(bytes, { path, headers, peer, client }) });
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      send({ kind: "answer", id, result: error.status });
    }
  }

  async function respond({ id, request }: Extract<Frame, { kind: "request" }>): Promise<void> {
    const response = (await options.http?.(request)) ?? { status: 404 };
    send({ kind: "response", id, response });
  }

  function over(reason: string, isSilent: boolean): void {
    const status = { code: grpcCode.unavailable, message: reason };
    for (const stream of streams.values()) stream.over(isSilent ? { ...status, isSilent } : status);
  }

  return {
    close(reason) {
      for (const stream of streams.values()) stream.end({ code: grpcCode.unavailable, message: reason });
      wire.close(1, reason);
    },
  };
}

/** One end of a stream. */
interface Half {
  readonly stream: Stream;
  receive(frame: Frame): void;
  /** Ended from here: the other end is told. */
  end(status: Status): void;
  /** Ended, whoever did it. */
  over(status: Status): void;
}

function halfOf(id: number, send: (frame: Frame) => void): Half {
  const ended = Promise.withResolvers<Status>();
  let isOver = false;
  let unread = 0;
  let isFull = false;
  /** Read here since the other end was told. */
  let readBytes = 0;
  let handleMessage: (message: Uint8Array) => void = () => {};
  let handleDrained: () => void = () => {};

  function over(status: Status): void {
    isOver = true;
    ended.resolve(status);
  }

  return {
    stream: {
      send(pieces) {
        if (isOver) return false;
        const bytes = new Uint8Array(Buffer.concat(pieces));
        send({ kind: "message", id, bytes });
        unread += bytes.length;
        isFull = unread > windowBytes;
        return !isFull;
      },
      onMessage: (handle) => {
        handleMessage = handle;
      },
      onDrained: (handle) => {
        handleDrained = handle;
      },
      onEnd: (handle) => void ended.promise.then(handle),
    },
    receive(frame) {
      if (isOver) return;
      if (frame.kind === "message") {
        readBytes += frame.bytes.length;
        if (readBytes > windowBytes / 2) {
          send({ kind: "read", id, bytes: readBytes });
          readBytes = 0;
        }
        handleMessage(frame.bytes);
      } else if (frame.kind === "end") over(frame.status);
      else if (frame.kind === "read") {
        unread -= frame.bytes;
        if (!isFull || unread > windowBytes) return;
        isFull = false;
        handleDrained();
      }
    },
    end(status) {
      if (isOver) return;
      send({ kind: "end", id, status });
      over(status);
    },
    over,
  };
}

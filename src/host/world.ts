// What a control plane needs from the machine, as interfaces: the real one is made in `cli/`, a simulated one in tests.

import type { Log } from "#host/log.ts";

export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly log: Log;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Calls back once, at or soon after `atMs`; the returned function cancels. One timer serves all alarms (`alarm.ts`). */
  alarm(atMs: number, ring: () => void): () => void;
}

export interface Random {
  uuid(): string;
  /** 0 ≤ x < 1, for jitter. */
  fraction(): number;
}

export interface Network {
  /** A TLS port for gRPC and HTTP side by side; resolves when it accepts. Rejects with `unavailable` naming address and reason. */
  listen(options: ListenOptions): Promise<Listening>;
  /** Begins to connect. Throws `invalid` when `trust` itself is not usable, which no second try would change. */
  dial(target: Target): Connection;
  /** The IP addresses of a host, sorted, IPv4 alone where there is any. Rejects where nothing is known of it. */
  lookup(name: string): Promise<readonly string[]>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** PEM. */
  readonly certificate: string;
  readonly privateKey: string;
  /**
   * PEM. Clients are asked for a certificate that one of these authorities has signed. Who shows none, or another, is let in all the
   * same: each call says what was shown.
   */
  readonly clientAuthorities?: string;
  /** Bidirectional streams by full method path: `/package.Service/Method`. Unknown paths answer UNIMPLEMENTED. */
  readonly streams: Readonly<Record<string, (stream: ServerStream) => void>>;
  /** Unary calls: bytes in, bytes out; a thrown `GrpcError` is the status. */
  readonly unary?: Readonly<Record<string, (request: Uint8Array, call: CallInfo) => Promise<Uint8Array> | Uint8Array>>;
  /** Of one gRPC message, as sent and decompressed; a larger one ends its call with RESOURCE_EXHAUSTED. Absent: 10 MiB. */
  readonly maxMessageBytes?: number;
  /** Of messages and bodies that are not complete, of all callers that have not been answered; see `held.ts`. Absent: 128 MiB. */
  readonly maxHeldBytes?: number;
  /** Everything that is not gRPC, over HTTP/1.1 or HTTP/2. Absent: 404. */
  readonly http?: (request: HttpRequest) => Promise<HttpResponse>;
}

export interface HttpRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Headers;
  /** The `Host` or `:authority` header. */
  readonly authority: string;
  /** `address:port` of who asks. */
  readonly peer: string;
  /** At most 4 MiB; a larger one is answered with 413 before this is called. */
  readonly body: Uint8Array;
}
export interface HttpResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

export interface Listening {
  readonly port: number;
  /** Ends streams with UNAVAILABLE `reason`, then the port. */
  close(reason: string): Promise<void>;
}

export type Headers = Readonly<Record<string, readonly string[]>>;
export interface CallInfo {
  readonly path: string;
  readonly headers: Headers;
  /** `address:port` of the peer. */
  readonly peer: string;
  /** `undefined`: it showed none, or was not asked. */
  readonly client: ClientCertificate | undefined;
}

/** What a client showed in TLS; it has its private key. */
export interface ClientCertificate {
  /** Subject alternative names that are URIs. */
  readonly uris: readonly string[];
  /** Upper-case hex. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Why it does not prove anything: OpenSSL's code, like `CERT_HAS_EXPIRED`; absent: an authority has signed it, and it is valid. */
  readonly problem?: string;
}

/** gRPC status codes that are used here: https://grpc.io/docs/guides/status-codes/ */
export const grpcCode = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;
export interface Status {
  readonly code: number;
  readonly message: string;
  /** The peer did not say so: no answer came from it any more (decision 24). Never sent. */
  readonly isSilent?: true;
}
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  readonly status: Status;
  constructor(status: Status) {
    super(status.message);
    this.status = status;
  }
}

/** One end of a bidirectional stream. Messages arrive whole, decompressed, at most `maxMessageBytes`. */
export interface Stream {
  /**
   * One message, in pieces that are written one after the other without being joined. `false`: the peer reads slowly; send
   * no more until `drained`, keep the newest state instead. Nothing is sent after the end.
   */
  send(pieces: readonly Uint8Array[]): boolean;
  /** Handlers are set once, before the turn of the event loop in which the stream was handed over ends. */
  onMessage(handle: (message: Uint8Array) => void): void;
  onDrained(handle: () => void): void;
  /** Called exactly once, with how it ended, whoever ended it. */
  onEnd(handle: (status: Status) => void): void;
}
export interface ServerStream extends Stream, CallInfo {
  /** Sends response headers at once, before the first message (interop 4.1.1). */
  sendHeaders(): void;
  end(status: Status): void;
}
export interface ClientStream extends Stream {
  /** No more messages from here. */
  halfClose(): void;
  cancel(): void;
}

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly trust: Trust;
  /** Shown where the server asks for one; PEM. */
  readonly identity?: Identity;
  /** `false`: no HTTP/2 PINGs at rest, as Envoys send none. */
  readonly pings?: false;
}
export interface Identity {
  /** A certificate, and those between it and its authority. */
  readonly certificate: string;
  readonly privateKey: string;
}
/** How the server's certificate is checked. */
export type Trust =
  | { readonly kind: "ca" /** PEM, one or more. */; readonly ca: string }
  | {
      readonly kind: "fingerprint" /** SHA-256 over the DER of the leaf: 64 hex digits, colons allowed. */;
      readonly sha256: string;
    }
  | { readonly kind: "skip-verify" };

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Compress what is sent with gzip. */
  readonly gzip?: boolean;
  /** Of one received message, as in `ListenOptions`. */
  readonly maxMessageBytes?: number;
}
/** One HTTP/2 connection; it is not re-made by itself. */
export interface Connection {
  stream(path: string, options?: CallOptions): ClientStream;
  unary(path: string, request: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Resolves when TLS stands; rejects with `untrusted` or `unavailable` and a reason that says what to do. */
  readonly ready: Promise<void>;
  onClose(handle: (reason: string) => void): void;
  close(): void;
}

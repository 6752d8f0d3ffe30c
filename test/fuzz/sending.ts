// Sends inputs over real sockets, in lanes side by side. Streams and requests share connections, and a connection that the server
// gave up is opened again; what no client library would send goes as bytes over a connection of its own.

import { Agent, request as httpRequest } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { request as httpsRequest, Agent as TlsAgent } from "node:https";
import { connect as connectTcp } from "node:net";
import { type ConnectionOptions, connect as connectTls, createSecureContext, type TLSSocket } from "node:tls";
import type { Identity } from "#host/world.ts";
import type { GrpcInput, HttpInput, Input, RawInput } from "./inputs.ts";
import { namedBytes, namedText } from "./lanes.ts";

/** Of a stream or request; 0 and empty of what had none, or of a connection. */
export interface Answered {
  /** HTTP's. */
  readonly status: number;
  readonly grpcStatus: string;
  readonly message: string;
  /** Of answers' bodies. */
  readonly bytes: number;
}

export interface Sender {
  /** `undefined`: no client could send it. Rejects only if nothing comes of it for a while: no answer, no end. */
  send(input: Input, lane: number): Promise<Answered | undefined>;
  close(): void;
}

/** Side by side, where there is no reason for fewer: some wait for what does not come. */
export const usualLanes = 128;
/** Lanes of a connection. */
const lanesTogether = 32;

const nothing: Answered = { status: 0, grpcStatus: "", message: "", bytes: 0 };
/**
 * For an answer; a server that reads no more is let go of by then. In two halves: where a machine stood still, all that was due meanwhile
 * is due at once, here and there.
 */
const halfPatienceMs = 10_000;
/** A half-sent request may rightly wait for the rest of it. */
const rawMs = 300;
const fullHandshakeEach = 8;
/**
 * A server ends a connection on which more than 1,000 streams are reset in short time (`src/host/listen.test.ts` has one who does that), and
 * Node's client misses some such ends: its streams have neither an answer nor an end, while its kernel knows no such connection any more.
 */
const mostResets = 500;
/** So may a stream for the rest of a message. */
const quietMs = 200;

/** What a port speaks. */
export type Protocol = "http" | "https" | "h2";

/** `identities`: the certificate that a lane shows; lanes without one share connections. */
export function sender(port: number, protocol: Protocol, identities: readonly Identity[] = []): Sender {
  const pool = { keepAlive: true, maxSockets: usualLanes };
  const agent = protocol === "https" ? new TlsAgent({ ...pool, rejectUnauthorized: false }) : new Agent(pool);
  const sessions = new Map<Identity | number, { readonly session: ClientHttp2Session; resets: number }>();
  const secureContext = createSecureContext();
  /** By protocol, of an earlier connection: to resume one costs less than a handshake. */
  const resumed = new Map<string, Buffer>();
  let connections = 0;

  function sessionFor(lane: number, isReset: boolean): ClientHttp2Session {
    const identity = identities[lane];
    const which = identity ?? Math.floor(lane / lanesTogether);
    const known = sessions.get(which);
    if (known && !known.session.closed && !known.session.destroyed) {
      if (!isReset || known.resets++ < mostResets) return known.session;
      // When its streams have ended.
      known.session.close();
    }
    const shown = identity && { cert: identity.certificate, key: identity.privateKey };
    const opened = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, ...shown });
    opened.on("error", () => {});
    opened.setMaxListeners(0);
    sessions.set(which, { session: opened, resets: 0 });
    return opened;
  }

  function overHttp2(
    lane: number,
    headers: Readonly<Record<string, string>>,
    body: Buffer,
    ending: GrpcInput["ending"],
  ): Promise<Answered | undefined> {
    return settled("a stream", (done) => {
      const stream = sessionFor(lane, ending === "reset").request(headers, { endStream: false });
      let answered = nothing;
      const take = (head: Readonly<Record<string, unknown>>): void => {
        const status = Number(head[":status"] ?? answered.status);
        const grpcStatus = String(head["grpc-status"] ?? answered.grpcStatus);
        const message = decodeURIComponent(String(head["grpc-message"] ?? answered.message));
        answered = { ...answered, status, grpcStatus, message };
      };
      stream.on("response", take);
      stream.on("trailers", take);
      stream.on("error", () => {});
      const quiet = setTimeout(() => stream.end(), quietMs);
      stream.on("data", (chunk: Buffer) => {
        answered = { ...answered, bytes: answered.bytes + chunk.length };
        if (typeof ending === "object" && chunk.includes(ending.answered)) stream.end();
        else quiet.refresh();
      });
      stream.on("end", () => stream.end());
      stream.on("close", () => {
        clearTimeout(quiet);
        done(answered);
      });
      if (ending === "half-close") stream.end(body);
      else stream.write(body, () => ending === "reset" && stream.close(constants.NGHTTP2_CANCEL));
    });
  }

  function overHttp1({ method, path, body, ...input }: HttpInput): Promise<Answered | undefined> {
    // Node says no length of what GET, HEAD and DELETE bring: it would be read as the next request, and end the connection.
    const headers = { ...input.headers, "content-length": String(body.length) };
    return settled("a request", (done) => {
      const request = protocol === "https" ? httpsRequest : httpRequest;
      const sent = request({ host: "127.0.0.1", port, agent, method, path, headers }, (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on("close", () => done({ ...nothing, status: response.statusCode ?? 0, bytes }));
      });
      sent.on("error", () => done(nothing));
      sent.end(body);
    });
  }

  function overTls(options: ConnectionOptions & { readonly ALPNProtocols: readonly [string] }): TLSSocket {
    const [protocol] = options.ALPNProtocols;
    const session = connections++ % fullHandshakeEach === 0 ? undefined : resumed.get(protocol);
    return connectTls({ ...options, session }).on("session", (session: Buffer) => resumed.set(protocol, session));
  }

  function bytes({ protocol, bytes }: RawInput): Promise<Answered | undefined> {
    return settled("a connection", (done) => {
      const at = { host: "127.0.0.1", port };
      const socket =
        protocol === "tcp"
          ? connectTcp(at)
          : overTls({ ...at, secureContext, rejectUnauthorized: false, ALPNProtocols: [protocol] });
      socket.on("error", () => {});
      socket.on("close", () => done(nothing));
      socket.once(protocol === "tcp" ? "connect" : "secureConnect", () => socket.end(bytes));
      socket.setTimeout(rawMs, () => socket.destroy());
      socket.resume();
    });
  }

  return {
    send(input, lane) {
      switch (input.kind) {
        case "raw":
          return bytes(input);
        case "grpc":
          return overHttp2(lane, grpcHeaders(input, lane), namedBytes(input.bytes, lane), input.ending);
        case "http":
          return protocol === "h2"
            ? overHttp2(
                lane,
                { ...input.headers, ":method": input.method, ":path": input.path },
                namedBytes(input.body, lane),
                "half-close",
              )
            : overHttp1({ ...input, body: namedBytes(input.body, lane) });
      }
    },
    close() {
      agent.destroy();
      for (const { session } of sessions.values()) session.destroy();
    },
  };
}

const grpcHeaders = ({ path, headers }: GrpcInput, lane: number) => ({
  ...{ ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" },
  ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, namedText(value, lane)])),
});

function settled(what: string, begin: (done: (answered: Answered) => void) => void): Promise<Answered | undefined> {
  return new Promise((resolve, reject) => {
    const lost = (): void => reject(new Error(`${what} without an answer or an end`));
    let timer = setTimeout(() => {
      timer = setTimeout(lost, halfPatienceMs);
    }, halfPatienceMs);
    const done = (answered: Answered | undefined): void => {
      clearTimeout(timer);
      resolve(answered);
    };
    try {
      begin(done);
    } catch {
      // A header or a path that the library does not write.
      done(undefined);
    }
  });
}

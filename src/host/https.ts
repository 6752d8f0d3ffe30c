// One HTTP request from a program of ours to a server: https with the same trust as gRPC, or plain http. It is sent, with
// the token in its headers, only when the server's certificate has been checked.

import { type IncomingMessage, request as openRequest, type RequestOptions } from "node:http";
import { connect as connectTls } from "node:tls";
import { whyNotConnected } from "#host/connection-failure.ts";
import { headersOf } from "#host/http-server.ts";
import { refusalOf, tlsOptions } from "#host/trust.ts";
import type { Headers, Target, Trust } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

export interface HttpCall {
  /** `http://…` or `https://…` */
  readonly url: string;
  /** Absent: GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Needed for https, without use for http. */
  readonly trust?: Trust;
  /** For the whole exchange; absent: 10 s. */
  readonly timeoutMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

const maxAnswerBytes = 64 * 1024 * 1024;

/** Resolves with any answer, whatever its status; rejects with `untrusted` or `unavailable` when there is none. */
export async function request(call: HttpCall): Promise<HttpAnswer> {
  const url = new URL(call.url);
  const isTls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (isTls ? 443 : 80) : Number(url.port);
  const timeoutMs = call.timeoutMs ?? 10_000;
  const signal = AbortSignal.timeout(timeoutMs);
  const target = isTls ? { host, port, trust: trustOf(call, url) } : undefined;
  const options: RequestOptions = {
    host,
    port,
    method: call.method ?? "GET",
    path: url.pathname + url.search,
    headers: { host: url.host, ...call.headers },
    signal,
    // No connection is kept for a next request: between two of them a server may have been restarted.
    ...(target === undefined ? { agent: false } : { createConnection: connectionTo(target, signal) }),
  };
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      openRequest(options, resolve).on("error", reject).end(call.body);
    });
    return { status: response.statusCode ?? 0, headers: headersOf(response.rawHeaders), body: await bodyOf(response) };
  } catch (error) {
    const why = signal.aborted ? `no answer for ${timeoutMs / 1000} s` : whyNotConnected(error);
    const kind = error instanceof KodiakError && error.failure.kind === "untrusted" ? "untrusted" : "unavailable";
    throw new KodiakError({ kind, what: `cannot reach ${url.origin}: ${why}` }, { cause: error });
  }
}

function trustOf(call: HttpCall, url: URL): Trust {
  if (call.trust !== undefined) return call.trust;
  const issue = { path: "trust", message: "must be given for https: a CA, a fingerprint, or not to verify" };
  throw new KodiakError({ kind: "invalid", what: `the request to ${url.origin}`, issues: [issue] });
}

/** Hands over the connection when TLS stands and the server is the expected one. */
function connectionTo(target: Target, signal: AbortSignal): NonNullable<RequestOptions["createConnection"]> {
  const options = tlsOptions(target);
  return (_request, done) => {
    const socket = connectTls({ ...options, ALPNProtocols: ["http/1.1"] });
    const fail = (error: Error): void => done(error, socket);
    // Until it is handed over, the time limit of the request does not reach it.
    const giveUp = (): void => void socket.destroy(new Error("too late"));
    signal.addEventListener("abort", giveUp);
    socket.once("error", fail);
    socket.once("secureConnect", () => {
      signal.removeEventListener("abort", giveUp);
      socket.off("error", fail);
      const refusal = refusalOf(socket, target);
      if (refusal !== undefined) socket.destroy();
      done(refusal === undefined ? null : new KodiakError({ kind: "untrusted", what: refusal }), socket);
    });
    return undefined;
  };
}

async function bodyOf(response: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response) {
    size += chunk.length;
    if (size > maxAnswerBytes) throw new Error(`the answer is larger than the limit of ${maxAnswerBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

// Requests that are not gRPC, over HTTP/1.1 and HTTP/2, as one shape: headers and whole body in, whole answer out.
// Bodies are bounded; what a handler throws is logged and answered with 500, without details.

import type { IncomingMessage, ServerResponse } from "node:http";
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Readable } from "node:stream";
import { hostPort } from "#host/connection-failure.ts";
import type { HeldShare } from "#host/held.ts";
import type { Log } from "#host/log.ts";
import type { Clock, Headers, HttpRequest, HttpResponse } from "#host/world.ts";

export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;

const maxBodyBytes = 4 * 1024 * 1024;
/** Who sends it slowly could hold many. */
const bodyWithinMs = 10_000;

export async function serveHttp1(
  request: IncomingMessage,
  response: ServerResponse,
  handle: HttpHandler | undefined,
  held: HeldShare,
  clock: Clock,
  log: Log,
): Promise<void> {
  const headers = headersOf(request.rawHeaders);
  const answer = await answerTo(
    {
      method: request.method ?? "GET",
      url: request.url ?? "/",
      headers,
      authority: headers.host?.[0] ?? "",
      peer: hostPort(request.socket.remoteAddress ?? "", request.socket.remotePort ?? 0),
    },
    request,
    handle,
    held,
    clock,
    log,
  );
  if (answer === undefined || response.destroyed) return;
  // What is left of a body that was too large would be taken for the next request.
  if (!request.readableEnded) response.shouldKeepAlive = false;
  response.writeHead(answer.status, answer.headers).end(answer.body);
  request.resume();
}

export async function serveHttp2(
  http2: ServerHttp2Stream,
  head: IncomingHttpHeaders,
  headers: Headers,
  peer: string,
  handle: HttpHandler | undefined,
  held: HeldShare,
  clock: Clock,
  log: Log,
): Promise<void> {
  http2.on("error", (error) => log.debug({ err: error }, "an HTTP/2 request ended early"));
  const answer = await answerTo(
    {
      method: head[":method"] ?? "GET",
      url: head[":path"] ?? "/",
      headers,
      authority: head[":authority"] ?? head.host ?? "",
      peer,
    },
    http2,
    handle,
    held,
    clock,
    log,
  );
  if (answer === undefined || http2.destroyed || http2.closed) return;
  http2.respond({ ...headersForHttp2(answer.headers ?? {}), ":status": answer.status });
  // `respond` has ended the stream where there can be no body: HEAD, 204, 304.
  if (!http2.writableEnded) http2.end(answer.body);
  // What is left of a body that was too large is not wanted.
  if (!http2.readableEnded) http2.close(constants.NGHTTP2_NO_ERROR);
}

/** Every header with all its values, names in lower case, without HTTP/2's `:method` and so on. `raw`: name, value, … */
export function headersOf(raw: readonly string[]): Headers {
  const headers: Record<string, string[]> = {};
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = (raw[at] ?? "").toLowerCase();
    const value = raw[at + 1] ?? "";
    if (name.startsWith(":")) continue;
    const values = headers[name];
    if (values === undefined) headers[name] = [value];
    else values.push(value);
  }
  return headers;
}

/** `undefined` when the peer has gone before its request was complete. */
async function answerTo(
  head: Omit<HttpRequest, "body">,
  source: Readable,
  handle: HttpHandler | undefined,
  held: HeldShare,
  clock: Clock,
  log: Log,
): Promise<HttpResponse | undefined> {
  let body: Uint8Array | "late" | "unheld" | undefined;
  const late = Promise.withResolvers<"late">();
  const cancel = clock.alarm(clock.now() + bodyWithinMs, () => late.resolve("late"));
  try {
    body = await Promise.race([bodyOf(source, held), late.promise]);
  } catch (error) {
    log.debug({ err: error, method: head.method, url: head.url }, "an HTTP request ended early");
    return undefined;
  } finally {
    cancel();
    held.release();
  }
  if (body === "late") return text(408, `the body did not come within ${bodyWithinMs / 1000} s`);
  if (body === "unheld") return text(503, "too many bodies that are not complete are held here; try again later");
  if (body === undefined) return text(413, `the body is larger than the limit of ${maxBodyBytes} bytes`);
  if (handle === undefined) return text(404, `there is nothing at ${head.url}`);
  try {
    return await handle({ ...head, body });
  } catch (error) {
    log.error({ err: error, method: head.method, url: head.url }, "an HTTP request failed unexpectedly");
    return text(500, "internal error; see the server's log");
  }
}

/** `undefined` when it is too large; the rest is then not read. `unheld`: nor when all callers together send too much. */
async function bodyOf(source: Readable, held: HeldShare): Promise<Uint8Array | "unheld" | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of source.iterator({ destroyOnReturn: false })) {
    size += chunk.length;
    if (size > maxBodyBytes) return undefined;
    if (!held.hold(size)) return "unheld";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

const text = (status: number, message: string): HttpResponse => ({
  status,
  headers: { "content-type": "text/plain; charset=utf-8" },
  body: `${message}\n`,
});

/** HTTP/2 has no headers about the connection (RFC 9113, 8.2.2), but handlers written for HTTP/1.1 set them. */
const aboutTheConnection: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

function headersForHttp2(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !aboutTheConnection.has(name.toLowerCase())));
}

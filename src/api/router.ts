// The HTTP dialect of Kuma's API over fastify (interop 9): JSON indented by one space with a final newline, what the router
// refuses as plain text, and a path known for one method answering 405 to all others.

import { STATUS_CODES } from "node:http";
import { TLSSocket } from "node:tls";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { problemJson, problemOf } from "#api/problem.ts";
import { type Authenticate, anonymous, requireAdmin, type User, userOf } from "#api/user.ts";
import type { Log } from "#host/log.ts";

export interface Call {
  readonly user: User;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** `http://host:port` as the client sees it. */
  readonly origin: string;
  readonly path: string;
  readonly body: string;
}
export type Answer =
  | { readonly status?: number; readonly json: unknown; readonly isCompact?: boolean }
  | { readonly status?: number; readonly text: string };
export type Handler = (call: Call) => Answer | Promise<Answer>;

export type Method = "GET" | "PUT" | "POST" | "DELETE";
export interface Route {
  readonly path: string;
  readonly methods: Readonly<Partial<Record<Method, Handler>>>;
  readonly access: Access;
}
/** `open`: not even a token is looked at. `user`: whoever it is. Else the administrator; the text is what a refusal calls it. */
export type Access = "open" | "user" | { readonly admin: string };

/** Room for an `apply` of some ten thousand documents. */
const maxBodyBytes = 16 * 1024 * 1024;
const allMethods = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"];

export function router(routes: readonly Route[], authenticate: Authenticate, log: Log): FastifyInstance {
  const app = fastify({
    bodyLimit: maxBodyBytes,
    exposeHeadRoutes: false,
    // Names have up to 253 characters.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 },
  });
  // Bodies are read as text: a malformed one is answered by the handler, in its own words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((_request, reply) => plain(reply, 404));
  app.setErrorHandler((error, request, reply) => {
    const refusedByFastify = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    if (refusedByFastify < 500) return plain(reply, refusedByFastify);
    const problem = problemOf(error);
    if (problem.status === 500) log.error({ err: error, method: request.method, path: request.url }, "request failed");
    return json(reply, problem.status, problemJson(problem));
  });
  for (const route of routes) addRoute(app, route, authenticate, log);
  return app;
}

function addRoute(app: FastifyInstance, route: Route, authenticate: Authenticate, log: Log): void {
  const allowed = Object.keys(route.methods).sort().join(", ");
  app.route({
    method: allMethods,
    url: route.path,
    handler: async (request, reply) => {
      const handler = isMethod(request.method) ? route.methods[request.method] : undefined;
      if (!handler) return plain(reply.header("allow", allowed), 405);
      const refusal = mediaRefusal(request);
      if (refusal !== undefined) return plain(reply, refusal);
      const call = await callOf(request, route.access, authenticate);
      const answer = await handler(call);
      if (request.method !== "GET")
        log.info({ user: call.user.name, method: request.method, path: call.path }, "changed through the API");
      if ("text" in answer)
        return reply
          .header("content-type", "text/plain")
          .code(answer.status ?? 200)
          .send(exactly(answer.text));
      return json(reply, answer.status ?? 200, answer.json, answer.isCompact);
    },
  });
}

async function callOf(request: FastifyRequest, access: Access, authenticate: Authenticate): Promise<Call> {
  const isTls = request.raw.socket instanceof TLSSocket;
  const asking = { isTls, peer: request.socket.remoteAddress ?? "", headers: request.headers };
  const user = access === "open" ? anonymous : await userOf(asking, authenticate);
  if (typeof access === "object") requireAdmin(user, access.admin);
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  return {
    user,
    params: request.params as Record<string, string>,
    query: searchParams,
    origin: `${isTls ? "https" : "http"}://${request.headers.host ?? ""}`,
    path: pathname,
    body: typeof request.body === "string" ? request.body : "",
  };
}

const isMethod = (method: string): method is Method => ["GET", "PUT", "POST", "DELETE"].includes(method);

/** 415 and 406 of interop 9. */
function mediaRefusal({ method, headers }: FastifyRequest): number | undefined {
  const mediaTypes = (header: string): string[] => header.split(",").map((item) => item.split(";")[0]!.trim());
  if (method === "PUT" || method === "POST")
    return mediaTypes(headers["content-type"] ?? "").includes("application/json") ? undefined : 415;
  const acceptable = ["*/*", "application/*", "application/json"];
  return mediaTypes(headers.accept ?? "*/*").some((type) => acceptable.includes(type)) ? undefined : 406;
}

function json(reply: FastifyReply, status: number, value: unknown, isCompact = false): FastifyReply {
  const text = JSON.stringify(value, undefined, isCompact ? 0 : 1);
  return reply
    .code(status)
    .header("content-type", "application/json")
    .send(exactly(`${text}\n`));
}

/** As bytes: to texts fastify adds a charset, which Kuma's content types don't have. */
const exactly = (text: string): Buffer => Buffer.from(text);

function plain(reply: FastifyReply, status: number): FastifyReply {
  const phrase = status === 404 ? "Page Not Found" : STATUS_CODES[status];
  const more = status === 406 ? "\n\nAvailable representations: application/json" : "";
  return reply.code(status).header("content-type", "text/plain; charset=utf-8").send(`${status}: ${phrase}${more}`);
}

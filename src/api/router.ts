// The HTTP dialect of Kuma's API over fastify (interop 9): JSON indented by one space with a final newline, what the router
// refuses as plain text, and a path known for one method answering 405 to all others.

import { STATUS_CODES } from "node:http";
import { finished } from "node:stream/promises";
import { TLSSocket } from "node:tls";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { problemJson, problemOf } from "#api/problem.ts";
import { meshIn, type Rights, rightsOf } from "#api/rights.ts";
import { type Asking, type Authenticate, anonymous, type User, userOf } from "#api/user.ts";
import type { AuditEntry, AuditLog } from "#host/audit-log.ts";
import { hostPort, messageOf } from "#host/connection-failure.ts";
import type { Log } from "#host/log.ts";
import { isObject } from "#lib/json.ts";
import type { Right } from "#policies/role.ts";
import type { Kind } from "#resources/kind.ts";
import type { Resource } from "#resources/resource.ts";

export interface Call {
  readonly user: User;
  readonly rights: Rights;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** `http://host:port` as the client sees it. */
  readonly origin: string;
  readonly path: string;
  readonly body: string;
  readonly record: CallRecord;
}
/** One thing that a request does. */
export type Action = Pick<AuditEntry, "verb" | "what" | "changes">;
/** The audit log, for what one request does; see `AuditLog`. A request that writes and has not said what is recorded by its path. */
export interface CallRecord {
  accepted(actions: readonly Action[]): Promise<void>;
  /** What was accepted last is not done after all. The router says so itself of a request that ends with an error. */
  failed(why: string): Promise<void>;
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
/**
 * `open`: not even a token is looked at. `user`: whoever it is. `known`: whoever has a token; the handler asks for more.
 * `kind`: read by GET, else written, in the mesh of the path, or in any if that names none. `right`: in any mesh.
 * Else the administrator. Texts are what a refusal calls it.
 */
export type Access =
  | "open"
  | "user"
  | "known"
  | { readonly kind: Kind }
  | { readonly right: Right; readonly what: string }
  | { readonly admin: string };

/** Room for an `apply` of some ten thousand documents. */
const maxBodyBytes = 16 * 1024 * 1024;
const requestWithinMs = 60_000;
const allMethods = ["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"];

export interface RouterOptions {
  readonly authenticate: Authenticate;
  /** Processes of this machine are administrators on the plain port. */
  readonly hasLocalAdmin: boolean;
  readonly roles: () => readonly Resource[];
  readonly audit: AuditLog;
  readonly log: Log;
}

export function router(routes: readonly Route[], options: RouterOptions): FastifyInstance {
  const { audit, log } = options;
  const app = fastify({
    bodyLimit: maxBodyBytes,
    requestTimeout: requestWithinMs,
    genReqId: () => crypto.randomUUID(),
    exposeHeadRoutes: false,
    // Names have up to 253 characters.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 },
  });
  // Bodies are read as text: a malformed one is answered by the handler, in its own words.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  const refuse = async (request: FastifyRequest, reply: FastifyReply, status: number): Promise<FastifyReply> => {
    // Whoever it is: a token that is none is no other refusal here.
    const user = await userOf(askingOf(request), options.authenticate, options.hasLocalAdmin).catch(() => anonymous);
    await audit.refused({ ...asked(request, user), ...byPath(request), status, why: phraseOf(status) });
    // What is left of too large a body is read and dropped: who still sends when the connection is closed may lose the answer. Who
    // gives up gets none.
    if (status === 413) await finished(request.raw.resume()).catch(() => {});
    return plain(reply, status);
  };
  app.setNotFoundHandler((request, reply) => refuse(request, reply, 404));
  app.setErrorHandler((error, request, reply) => {
    const refusedByFastify = error instanceof Error && "statusCode" in error ? Number(error.statusCode) : 500;
    if (refusedByFastify < 500) return refuse(request, reply, refusedByFastify);
    const problem = problemOf(error);
    if (problem.status === 500) log.error({ err: error, method: request.method, path: request.url }, "request failed");
    return json(reply, problem.status, problemJson(problem));
  });
  for (const route of routes) addRoute(app, route, options, refuse);
  return app;
}

type Refuse = (request: FastifyRequest, reply: FastifyReply, status: number) => Promise<FastifyReply>;

function addRoute(app: FastifyInstance, route: Route, options: RouterOptions, refuse: Refuse): void {
  const { audit, log } = options;
  const allowed = Object.keys(route.methods).sort().join(", ");
  app.route({
    method: allMethods,
    url: route.path,
    handler: async (request, reply) => {
      const handler = isMethod(request.method) ? route.methods[request.method] : undefined;
      if (!handler) return refuse(request, reply.header("allow", allowed), 405);
      const refusal = mediaRefusal(request);
      if (refusal !== undefined) return refuse(request, reply, refusal);
      const writes = request.method !== "GET";
      let user = anonymous;
      let record: ReturnType<typeof recordOf> | undefined;
      const refused = (status: number, why: string): Promise<void> =>
        audit.refused({ ...asked(request, user), ...byPath(request), status, why });
      try {
        if (route.access !== "open")
          user = await userOf(askingOf(request), options.authenticate, options.hasLocalAdmin);
        const rights = rightsOf(user, options.roles());
        demand(route.access, request, user, rights);
        record = recordOf(audit, asked(request, user));
        const answer = await handler(callOf(request, user, rights, record));
        const status = answer.status ?? 200;
        if (writes && status >= 400) await refused(status, "json" in answer ? detailIn(answer.json) : answer.text);
        else if (writes && !record.isUsed) await record.accepted([byPath(request)]);
        if (writes) log.info({ user: user.name, method: request.method, path: request.url }, "changed through the API");
        if ("text" in answer) return text(reply, status, answer.text);
        return json(reply, status, answer.json, answer.isCompact);
      } catch (error) {
        const { status, message } = problemOf(error);
        await record?.failed(messageOf(error));
        if (status === 401 || status === 403 || (writes && status < 500)) await refused(status, message);
        throw error;
      }
    },
  });
}

const askingOf = (request: FastifyRequest): Asking => ({
  isTls: request.raw.socket instanceof TLSSocket,
  peer: request.socket.remoteAddress ?? "",
  headers: request.headers,
});

/** What every line of a request says. */
function asked({ socket, id }: FastifyRequest, { name, groups, tokenId }: User) {
  const from = hostPort(socket.remoteAddress ?? "", socket.remotePort ?? 0);
  return { who: { name, groups, ...(tokenId !== undefined && { token: tokenId }) }, from, request: id };
}

/** A stranger's path may be long. */
const byPath = ({ method, url }: FastifyRequest): Action => ({ verb: method, what: { path: url.slice(0, 1024) } });

function recordOf(audit: AuditLog, by: ReturnType<typeof asked>): CallRecord & { readonly isUsed: boolean } {
  let isUsed = false;
  let last: readonly AuditEntry[] = [];
  return {
    get isUsed() {
      return isUsed;
    },
    async accepted(actions) {
      const entries = actions.map((action) => ({ ...by, ...action }));
      if (entries.length > 0) await audit.accepted(entries);
      last = entries;
      isUsed = true;
    },
    async failed(why) {
      const entries = last.map((entry) => ({ ...entry, why }));
      last = [];
      if (entries.length > 0) await audit.failed(entries);
    },
  };
}

const detailIn = (answer: unknown): string => (isObject(answer) ? String(answer.detail ?? "") : "");

function demand(access: Access, { method, params }: FastifyRequest, user: User, rights: Rights): void {
  if (access === "open" || access === "user") return;
  if (access === "known") {
    if (user === anonymous) rights.requireAdmin("what is known users' only");
  } else if ("admin" in access) rights.requireAdmin(access.admin);
  else if ("right" in access) {
    rights.require(access.right, access.right === "dataplane-tokens" ? undefined : "", access.what);
  } else {
    const mesh = meshIn(access.kind, params as Record<string, string>);
    if (method === "GET") rights.requireRead(access.kind, mesh);
    else rights.requireWrite(access.kind, mesh);
  }
}

function callOf(request: FastifyRequest, user: User, rights: Rights, record: CallRecord): Call {
  const [path = "", query = ""] = request.url.split(/\?(.*)/s);
  return {
    user,
    rights,
    params: request.params as Record<string, string>,
    query: new URLSearchParams(query),
    origin: `${askingOf(request).isTls ? "https" : "http"}://${request.headers.host ?? ""}`,
    path,
    body: typeof request.body === "string" ? request.body : "",
    record,
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

/** What is empty has no type. */
const text = (reply: FastifyReply, status: number, content: string): FastifyReply =>
  content === ""
    ? reply.code(status).send()
    : reply.code(status).header("content-type", "text/plain").send(exactly(content));

function json(reply: FastifyReply, status: number, value: unknown, isCompact = false): FastifyReply {
  const text = JSON.stringify(value, undefined, isCompact ? 0 : 1);
  return reply
    .code(status)
    .header("content-type", "application/json")
    .send(exactly(`${text}\n`));
}

/** As bytes: to texts fastify adds a charset, which Kuma's content types don't have. */
const exactly = (text: string): Buffer => Buffer.from(text);

const phraseOf = (status: number): string => (status === 404 ? "Page Not Found" : (STATUS_CODES[status] ?? ""));

function plain(reply: FastifyReply, status: number): FastifyReply {
  const more = status === 406 ? "\n\nAvailable representations: application/json" : "";
  const content = `${status}: ${phraseOf(status)}${more}`;
  return reply.code(status).header("content-type", "text/plain; charset=utf-8").send(content);
}

// The diagnostics port (interop 9.5): whether the process lives and is ready, what Prometheus scrapes, and which log levels
// there are. It is plain HTTP, for probes and scrapers of the network; log levels are for this machine's administrator only.

import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { z } from "zod";
import { isLocalAdmin } from "#api/user.ts";
import { hostPort, whyNotListening } from "#host/connection-failure.ts";
import { isLogLevel, type Log, type LogLevels, logLevels } from "#host/log.ts";
import type { Metrics } from "#host/metrics.ts";
import { KodiakError } from "#lib/failure.ts";

export interface DiagnosticsOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** Why it is not ready; `undefined`: it is. */
  readonly readiness: { readonly notReady: string | undefined };
  readonly metrics: Pick<Metrics, "scrape">;
  readonly levels: LogLevels;
  /** `false`: log levels are nobody's. */
  readonly hasLocalAdmin: boolean;
  readonly log: Log;
}

export interface Diagnostics {
  readonly port: number;
  close(): Promise<void>;
}

const maxBodyBytes = 64 * 1024;

/** Resolves when the port accepts; rejects with `unavailable` where it can't be listened on. */
export async function serveDiagnostics(options: DiagnosticsOptions): Promise<Diagnostics> {
  const { host, port } = options;
  const app = routes(options);
  try {
    await app.listen({ host, port });
  } catch (error) {
    const what = `cannot listen on ${hostPort(host, port)} for diagnostics (--diagnostics-port): ${whyNotListening(error)}`;
    throw new KodiakError({ kind: "unavailable", what }, { cause: error });
  }
  const address = app.server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server without a port");
  return { port: address.port, close: () => app.close() };
}

function routes({ readiness, metrics, levels, hasLocalAdmin, log }: DiagnosticsOptions): FastifyInstance {
  const app = fastify({ bodyLimit: maxBodyBytes, requestTimeout: 10_000, forceCloseConnections: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.setNotFoundHandler((_request, reply) => text(reply, 404, "404 page not found"));

  app.get("/healthy", (_request, reply) => reply.send());
  app.get("/ready", (_request, reply) => {
    const why = readiness.notReady;
    return why === undefined ? reply.send() : text(reply, 503, `not ready: ${why}`);
  });
  app.get("/metrics", async (_request, reply) => {
    const scraped = await metrics.scrape();
    return reply.header("content-type", scraped.contentType).send(scraped.text);
  });

  app.all<{ Params: { component?: string } }>("/logging", logging);
  app.all<{ Params: { component?: string } }>("/logging/:component", logging);
  return app;

  function logging(request: FastifyRequest<{ Params: { component?: string } }>, reply: FastifyReply): FastifyReply {
    const { component } = request.params;
    const asking = { peer: request.socket.remoteAddress ?? "", headers: request.headers };
    if (!hasLocalAdmin) return text(reply, 403, "log levels are local administrators', and --local-admin is off");
    if (!isLocalAdmin(asking)) return text(reply, 403, "log levels are shown and changed from this machine only");
    switch (`${request.method}${component === undefined ? "" : " one"}`) {
      case "GET":
        return shown(reply);
      case "PUT": {
        const wanted = changeIn(request.body, levels.components);
        if (typeof wanted === "string") return text(reply, 400, wanted);
        levels.change(wanted.component, wanted.level);
        log.info({ changed: wanted }, "changed a log level");
        return reply.send();
      }
      case "DELETE":
        levels.reset();
        log.info({}, "log levels are as at the start");
        return shown(reply);
      case "DELETE one":
        levels.reset(component);
        log.info({ component }, "a log level is as at the start");
        return reply.send();
      default:
        return text(reply, 405, "method not allowed");
    }
  }

  function shown(reply: FastifyReply): FastifyReply {
    const json = JSON.stringify({ components: Object.fromEntries(levels.set) });
    return reply.header("content-type", "application/json").send(Buffer.from(`${json}\n`));
  }
}

const changeSchema = z.object({ component: z.string().default(""), level: z.string().default("") });

/** What a PUT asks for; a text says what is wrong with it. */
function changeIn(body: unknown, components: readonly string[]) {
  const parsed = changeSchema.safeParse(jsonOf(body));
  if (!parsed.success) return "invalid request body";
  const { component, level } = parsed.data;
  if (component === "") return "component name must not be empty";
  if (!components.includes(component))
    return `there is no component ${JSON.stringify(component)}; use one of ${components.join(", ")}`;
  if (!isLogLevel(level))
    return `invalid log level: unknown log level ${JSON.stringify(level)}; use one of ${logLevels.join(", ")}`;
  return { component, level };
}

function jsonOf(body: unknown): unknown {
  try {
    return typeof body === "string" ? JSON.parse(body) : undefined;
  } catch {
    return undefined;
  }
}

const text = (reply: FastifyReply, status: number, message: string): FastifyReply =>
  reply.code(status).header("content-type", "text/plain; charset=utf-8").send(`${message}\n`);

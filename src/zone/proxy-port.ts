// Port 5678 of a zone's control plane: bootstrap and leaving over HTTP, discovery over gRPC (interop 6.1).

import type { HttpRequest, HttpResponse, ListenOptions, World } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";
import { isObject, type JsonObject, parseJson } from "#lib/json.ts";
import { keyOf, type ResourceId } from "#resources/resource.ts";
import { type BootstrapContext, prepareBootstrap } from "#xds/bootstrap-answer.ts";
import { refusal } from "#xds/bootstrap-refusal.ts";
import { type HealthServer, hdsPath } from "#xds/health-server.ts";
import { adsPath, type XdsServer } from "#xds/server.ts";
import type { RefusedProxies } from "#zone/refused-proxies.ts";
import type { TokenCheck } from "#zone/token-check.ts";

export interface ProxyPortOptions {
  readonly bootstrap: () => BootstrapContext;
  readonly xds: XdsServer;
  readonly hds: HealthServer;
  readonly tokens: TokenCheck;
  readonly refusedProxies: RefusedProxies;
  /** A proxy starts: it asks for its bootstrap. */
  readonly begin: (id: ResourceId) => void;
  readonly leave: (id: ResourceId, token: string) => Promise<void>;
  /** Resolves when the proxies of other zones know. */
  readonly heard: () => Promise<void>;
  readonly clock: World["clock"];
}

/** A proxy that leaves waits no longer than this for the others to know, unless it says how long it can. */
const usualWaitMs = 5_000;
const longestWaitMs = 600_000;

export function proxyPort({
  bootstrap,
  xds,
  hds,
  tokens,
  refusedProxies,
  begin,
  leave,
  heard,
  clock,
}: ProxyPortOptions): Pick<ListenOptions, "streams" | "http"> {
  async function left(request: HttpRequest): Promise<HttpResponse> {
    const id = proxyNamedIn(request);
    if (!id)
      return text(
        400,
        "the body must be JSON with name, proxyType (dataplane, ingress or egress) and, of a dataplane, mesh",
      );
    const since = clock.now();
    await leave(id, request.headers.authorization?.[0] ?? "");
    const isKnown = await new Promise<boolean>((resolve) => {
      const cancel = clock.alarm(clock.now() + waitMsIn(request), () => resolve(false));
      void Promise.all([xds.acknowledged(since), heard()]).then(() => {
        cancel();
        resolve(true);
      });
    });
    return text(200, isKnown ? "" : "not all proxies have acknowledged it");
  }

  async function started(request: HttpRequest): Promise<HttpResponse> {
    const { response, to } = prepareBootstrap(request, bootstrap());
    if (!to) {
      // What is not known yet is asked for again and again, and refused nothing.
      if (response.status !== 404 && response.status !== 503)
        noteRefusal(request, new KodiakError({ kind: "forbidden", why: String(response.body), cause: "definition" }));
      return response;
    }
    const { resource, token } = to;
    if (token === "") return response;
    try {
      await tokens.checkBrought(resource, token);
    } catch (error) {
      if (!(error instanceof KodiakError)) throw error;
      noteRefusal(request, error);
      return refusal(isKeyMissing(error) ? 503 : 403, error.message);
    }
    begin(resource);
    return response;
  }

  function noteRefusal(request: HttpRequest, error: KodiakError): void {
    const id = proxyNamedIn(request);
    const at = request.url.startsWith("/leave") ? "leave" : "bootstrap";
    refusedProxies.record({ at, proxy: id && keyOf(id), peer: request.peer }, error);
  }

  return {
    streams: { [adsPath]: xds.serve, [hdsPath]: hds.serve },
    async http(request) {
      const [path] = request.url.split("?");
      if (path === "/bootstrap") return started(request);
      if (path !== "/leave" || request.method !== "POST") return text(404, "404 page not found\n");
      try {
        return await left(request);
      } catch (error) {
        if (!(error instanceof KodiakError)) throw error;
        noteRefusal(request, error);
        return text(error.failure.kind === "not-found" ? 404 : 403, error.message);
      }
    },
  };
}

/** It may be on the way from global: the proxy is told to ask again, while other faults are final. */
const isKeyMissing = ({ failure }: KodiakError): boolean => failure.kind === "forbidden" && failure.cause === "key";

const text = (status: number, body: string): HttpResponse => ({
  status,
  body,
  headers: { "content-type": "text/plain; charset=utf-8" },
});

function waitMsIn(request: HttpRequest): number {
  const wait = bodyOf(request)?.waitMs;
  return typeof wait === "number" && wait >= 0 ? Math.min(wait, longestWaitMs) : usualWaitMs;
}

function bodyOf({ body }: HttpRequest): JsonObject | undefined {
  try {
    const json: unknown = parseJson(Buffer.from(body).toString("utf8"));
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}

/** Both requests name the proxy in the same way. */
function proxyNamedIn(request: HttpRequest): ResourceId | undefined {
  const json = bodyOf(request);
  if (!json) return undefined;
  const { mesh = "", name, proxyType } = json;
  if (typeof mesh !== "string" || typeof name !== "string") return undefined;
  if (proxyType === "dataplane") return { kind: "Dataplane", mesh, name };
  if (proxyType === "egress") return { kind: "ZoneEgress", mesh: "", name };
  return proxyType === "ingress" ? { kind: "ZoneIngress", mesh: "", name } : undefined;
}

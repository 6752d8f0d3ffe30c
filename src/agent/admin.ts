// A client of Envoy's admin interface (https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin), which listens on a unix
// socket in the proxy's work folder. Envoy tells nothing by itself: who waits for something asks again.

import { request } from "node:http";
import { hostPort } from "#host/connection-failure.ts";
import { KodiakError } from "#lib/failure.ts";
import { isObject, type JsonObject } from "#lib/json.ts";

export type AdminAddress = { readonly socketPath: string } | { readonly host: string; readonly port: number };

export interface EnvoyAdmin {
  /** `LIVE`, `PRE_INITIALIZING`, `INITIALIZING` or `DRAINING`, with the status that Envoy gave; `undefined`: no answer. */
  ready(): Promise<{ readonly status: number; readonly state: string } | undefined>;
  /** Counters and gauges by name whose names match (RE2). */
  stats(filter: string): Promise<ReadonlyMap<string, number>>;
  /** One part of the configuration: `dynamic_listeners`, `static_clusters`, … */
  configs(part: string): Promise<readonly JsonObject[]>;
  /** Addresses that Envoy listens on, by listener. */
  listeners(): Promise<ReadonlyMap<string, string>>;
  /** Health checks fail from here, and HTTP connections are asked to go: GOAWAY or `connection: close` with their next response. */
  failHealthChecks(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}
const timeoutMs = 2000;

export function envoyAdmin(address: AdminAddress): EnvoyAdmin {
  return {
    ready: () =>
      ask("GET", "/ready").then(
        ({ status, body }) => ({ status, state: body.trim() }),
        () => undefined,
      ),
    stats: async (filter) =>
      new Map(
        listIn(await json(`/stats?format=json&filter=${encodeURIComponent(filter)}`), "stats").flatMap((stat) =>
          typeof stat.name === "string" && typeof stat.value === "number" ? [[stat.name, stat.value]] : [],
        ),
      ),
    configs: async (part) => listIn(await json(`/config_dump?resource=${part}`), "configs"),
    listeners: async () =>
      new Map(
        listIn(await json("/listeners?format=json"), "listener_statuses").map((status) => [
          String(status.name),
          addressText(status.local_address),
        ]),
      ),
    failHealthChecks: async () => {
      await ask("POST", "/healthcheck/fail");
    },
  };

  async function json(path: string): Promise<JsonObject> {
    const { status, body } = await ask("GET", path);
    if (status !== 200) throw unavailable(`Envoy's admin answers GET ${path} with ${status}: ${body.trim()}`);
    const value: unknown = JSON.parse(body);
    return isObject(value) ? value : {};
  }

  function ask(method: string, path: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const call = request({ ...address, method, path, agent: false, timeout: timeoutMs }, (response) => {
        const pieces: Buffer[] = [];
        response.on("data", (piece: Buffer) => pieces.push(piece));
        response.on("error", fail);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces).toString() }));
      });
      call.on("timeout", () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      call.on("error", fail);
      call.end();
      function fail(error: Error): void {
        reject(unavailable(`Envoy's admin does not answer ${method} ${path}: ${error.message}`));
      }
    });
  }
}

const unavailable = (what: string): KodiakError => new KodiakError({ kind: "unavailable", what });

const listIn = (value: JsonObject, member: string): readonly JsonObject[] => {
  const list = value[member];
  return Array.isArray(list) ? list.filter(isObject) : [];
};

/** `127.0.0.1:80`, `[::1]:80` or a path, as Envoy writes addresses. */
export function addressText(value: unknown): string {
  if (!isObject(value)) return "";
  const { socket_address: socket, pipe } = value;
  if (isObject(socket)) return hostPort(String(socket.address), Number(socket.port_value));
  return isObject(pipe) ? String(pipe.path) : "";
}

// The stage on which policies are proven: `frontend` calls `backend` over HTTP, in versions v1 and v2, and `echo` over TCP.
// Applications note what reaches them, as a policy's effect is often only seen there.

import assert from "node:assert/strict";
import { createServer, type Server as HttpServer, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import type { TestContext } from "node:test";
import { freePort } from "#host/free-port.ts";
import { kindNamed } from "#resources/kinds.ts";
import { type Answer, get } from "../lab/http.ts";
import {
  eventually,
  type Lab,
  type LabProxy,
  type LabZone,
  lab,
  patience,
  put,
  startProxy,
  startZone,
} from "../lab/lab.ts";
import { type DataplaneOptions, dataplane, mesh } from "../lab/manifests.ts";

export interface SeenRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Numbers the connections to this application. */
  readonly connection: number;
}

/** An application, and the proxy before it. */
export interface Instance extends RecordingApp {
  readonly proxy: LabProxy;
  readonly address: string;
  readonly inboundPort: number;
}

export interface RecordingApp {
  readonly port: number;
  readonly seen: SeenRequest[];
  /** Connections that are open now. */
  openConnections(): number;
}

export interface Stage {
  readonly own: Lab;
  readonly zone: LabZone;
  readonly token: string;
  /** Where `frontend` calls `backend`. */
  readonly url: string;
  /** Where `frontend` calls `echo`. */
  readonly echoPort: number;
  readonly v1: Instance;
  readonly v2: Instance;
  /** Another proxy of mesh `default`. */
  start(options: Omit<DataplaneOptions, "mesh" | "port">): Promise<Omit<Instance, keyof RecordingApp>>;
  /** Another instance of `backend`, in this version. */
  addBackend(version: string, name: string, address: string): Promise<Instance>;
  /** The inbound of `echo`. */
  readonly echoAt: { readonly host: string; readonly port: number };
  readonly echoProxy: LabProxy;
  /** A policy of this kind in mesh `default`. */
  apply(kind: string, name: string, spec: object): Promise<void>;
  remove(kind: string, name: string): Promise<void>;
  /** A number that `frontend` counts. */
  counted(statistic: string): Promise<number>;
}

export async function policyStage(t: TestContext, meshSpec: object = mesh("default")): Promise<Stage> {
  const own = await lab(t);
  const zone = await startZone(own, "zone-a");
  await put(zone.api, "/meshes/default", meshSpec);
  await withoutDefaults(zone);
  const token = await zone.tokenFor("default");
  const start = async (options: Omit<DataplaneOptions, "mesh" | "port">) => {
    const inboundPort = await freePort(options.address);
    const manifest = dataplane({ mesh: "default", port: inboundPort, ...options });
    return { proxy: await startProxy(own, zone, manifest, token), address: options.address, inboundPort };
  };
  const addBackend = async (version: string, name: string, address: string) => {
    const app = await recordingApp(own, version);
    const service = { name, service: "backend", tags: { version } };
    return { ...app, ...(await start({ ...service, address, appPort: app.port })) };
  };
  const v1 = await addBackend("v1", "backend-v1", "127.0.0.2");
  const v2 = await addBackend("v2", "backend-v2", "127.0.0.3");
  const echo = await listening(
    own,
    createTcpServer((socket) => socket.on("error", () => {}).pipe(socket)),
  );
  const host = "127.0.0.5";
  const echoOptions = { name: "echo", service: "echo", address: host, appPort: echo, protocol: "tcp" };
  const { inboundPort, proxy: echoProxy } = await start(echoOptions);
  const out = await freePort();
  const echoPort = await freePort();
  const { proxy: frontend } = await start({
    name: "frontend",
    service: "frontend",
    address: "127.0.0.4",
    appPort: v1.port,
    tags: { team: "shop" },
    outbounds: { [out]: "backend", [echoPort]: "echo" },
  });
  const pathOf = (kind: string, name: string): string => `/meshes/default/${kindNamed(kind).plural}/${name}`;
  return {
    own,
    zone,
    token,
    url: `http://127.0.0.1:${out}`,
    echoPort,
    v1,
    v2,
    start,
    addBackend,
    echoAt: { host, port: inboundPort },
    echoProxy,
    apply: (kind, name, spec) => put(zone.api, pathOf(kind, name), { type: kind, mesh: "default", name, spec }),
    async remove(kind, name) {
      const response = await fetch(zone.api + pathOf(kind, name), { method: "DELETE" });
      assert.ok(response.ok, `DELETE ${kind} ${name}: ${response.status}`);
    },
    async counted(statistic) {
      const text = await frontend.admin(`/stats?filter=^${statistic.replaceAll(".", "\\.")}$`);
      return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
    },
  };
}

/** A test says itself which policies are in force: those that come with the mesh, once they are there, go. */
async function withoutDefaults({ api }: LabZone): Promise<void> {
  for (const [kind, prefix] of [
    ["meshtimeouts", "mesh-timeout-all"],
    ["meshtimeouts", "mesh-gateways-timeout-all"],
    ["meshretries", "mesh-retry-all"],
    ["meshcircuitbreakers", "mesh-circuit-breaker-all"],
  ])
    await soon(`${prefix} goes`, async () => {
      const response = await fetch(`${api}/meshes/default/${kind}/${prefix}-default`, { method: "DELETE" });
      assert.ok(response.ok, `${response.status}`);
    });
}

/**
 * Answers `{ "instance", "path", "headers" }` after `?ms=`, with the status of `?status=`, if its instance is the one of
 * `?only=`, and the header of `?header=`, where a value follows a colon; `/trickle?ms=100&times=10` sends that many bytes, one each
 * 100 ms, the first at once.
 */
async function recordingApp(own: Lab, instance: string): Promise<RecordingApp> {
  const seen: SeenRequest[] = [];
  const connections = new Map<object, number>();
  let open = 0;
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://app");
    const connection = connections.get(request.socket) ?? connections.size;
    connections.set(request.socket, connection);
    seen.push({ path: request.url ?? "", headers: request.headers, connection });
    const ms = Number(searchParams.get("ms") ?? 0);
    if (pathname === "/trickle") {
      let left = Number(searchParams.get("times"));
      const send = () => {
        response.write(".");
        if (--left > 0) return;
        clearInterval(timer);
        response.end();
      };
      const timer = setInterval(send, ms);
      response.on("close", () => clearInterval(timer));
      return send();
    }
    const answer = () => {
      const only = searchParams.get("only") ?? instance;
      if (only === instance) response.statusCode = Number(searchParams.get("status") ?? 200);
      const [header = "", value = ""] = (searchParams.get("header") ?? "").split(":");
      if (header) response.setHeader(header, value);
      response.setHeader("content-type", "application/json");
      response.setHeader("x-app", instance);
      response.end(JSON.stringify({ instance, path: request.url, headers: request.headers }));
    };
    if (ms > 0) setTimeout(answer, ms);
    else answer();
  });
  // Whoever closes a connection, it is not the application.
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => {
    open++;
    socket.on("close", () => open--);
  });
  return { port: await listening(own, server), seen, openConnections: () => open };
}

export async function listening(own: Lab, server: HttpServer | TcpServer, host = "127.0.0.1"): Promise<number> {
  const sockets = new Set<{ destroy(): unknown }>();
  server.on("connection", (socket: { destroy(): unknown; on(event: "close", then: () => void): unknown }) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, host, done));
  own.atEnd(
    () =>
      new Promise((done) => {
        server.close(done);
        for (const socket of sockets) socket.destroy();
      }),
  );
  return (server.address() as AddressInfo).port;
}

/** Sends this text, and resolves when the peer has closed the connection, when `isEnough` of what it said, or after 0.8 s. */
export function exchange(
  at: { readonly port: number; readonly host?: string },
  text: string,
  isEnough: (received: string) => boolean = () => false,
): Promise<{ readonly received: string; readonly isClosed: boolean; readonly ms: number }> {
  return new Promise((resolve) => {
    const start = performance.now();
    let received = "";
    let isClosed = true;
    const socket = connect({ host: "127.0.0.1", ...at }, () => socket.write(text));
    const end = () => {
      isClosed = false;
      socket.destroy();
    };
    socket.setTimeout(800 * patience, end);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString();
      if (isEnough(received)) end();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve({ received, isClosed, ms: performance.now() - start }));
  });
}

/** What Envoy needs to hear of a change, on a machine that does other things too. */
const inForceMs = 20_000;

export const soon = <T>(what: string, attempt: () => Promise<T>): Promise<T> => eventually(what, inForceMs, attempt);

/** Repeats the request until it is answered so. */
export const answers = (url: string, status: number): Promise<Answer> =>
  soon(`${url} answers ${status}`, async () => {
    const found = await get(url);
    assert.equal(found.status, status, found.text);
    return found;
  });

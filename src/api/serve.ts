// The HTTP API of a control plane (interop 9): plain on loopback, where local processes are administrators, and over TLS,
// where a user token says who asks. One set of routes behind both ports.

import { createServer, type Server, STATUS_CODES } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Rules } from "#api/admission.ts";
import { applyRoute } from "#api/apply-route.ts";
import { policyCatalog, resourceCatalog } from "#api/catalog.ts";
import { linkRoutes, noLinks } from "#api/link-routes.ts";
import { overviewRoutes } from "#api/overview-routes.ts";
import { resourceRoutes } from "#api/resource-routes.ts";
import { rotationRoute } from "#api/rotation-route.ts";
import { type Route, router } from "#api/router.ts";
import { type TokenIssuer, tokenRoutes } from "#api/token-routes.ts";
import { type Authenticate, anonymous, isLoopback } from "#api/user.ts";
import { type ZonesOfGlobal, zoneRoutes } from "#api/zone-routes.ts";
import type { AuditLog } from "#host/audit-log.ts";
import { hostPort } from "#host/connection-failure.ts";
import type { Log } from "#host/log.ts";
import { KodiakError } from "#lib/failure.ts";
import { ingressesAway } from "#owned/ingresses-away.ts";
import { type WithoutEgress, zonesWithoutEgress } from "#owned/without-egress.ts";
import type { Links } from "#resources/links.ts";
import type { Store } from "#resources/store.ts";

export interface ApiOptions {
  readonly store: Store;
  readonly rules: Rules;
  readonly authenticate: Authenticate;
  /** Processes of this machine are administrators on the plain port. */
  readonly hasLocalAdmin: boolean;
  readonly tokens: TokenIssuer;
  /** Absent: this control plane is linked to no other. */
  readonly links?: Links;
  /** Of global. */
  readonly zones?: ZonesOfGlobal;
  /** Of a zone: nothing is concluded of its proxies since then (milliseconds since the epoch). */
  readonly frozenSince?: () => number | undefined;
  /** Of a zone: others that do not answer its ingresses, and since when. */
  readonly silentZones?: () => ReadonlyMap<string, number>;
  readonly about: About;
  /** What `/config` answers: settings without secrets. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly http: { readonly host: string; readonly port: number };
  /** Absent: no TLS port. PEM. */
  readonly https?: {
    readonly host: string;
    readonly port: number;
    readonly certificate: string;
    readonly privateKey: string;
  };
  readonly audit: AuditLog;
  readonly log: Log;
}
export interface About {
  readonly clusterId: string;
  readonly instanceId: string;
  readonly hostname: string;
  /** Of Kodiak. */
  readonly version: string;
}
export interface ServedApi {
  readonly httpPort: number;
  readonly httpsPort: number | undefined;
  close(): Promise<void>;
}

/** kumactl talks to no other product than this, and warns about another version than its own. */
const stands = { product: "Kuma", version: "2.14.3" };
const readTimeoutMs = 10_000;

/** Resolves when both ports accept. Rejects with `unavailable` (a port is taken) or `invalid` (plain HTTP beyond loopback). */
export async function serveApi(options: ApiOptions): Promise<ServedApi> {
  const { http, https } = options;
  if (!isLoopback(http.host)) throw notLoopback(http.host);
  const app = router(routesOf(options), { ...options, roles: () => options.store.list("Role") });
  await app.ready();
  const servers: Server[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(servers.map(closed));
    await app.close();
  };
  try {
    const plain = createServer((request, response) => app.routing(request, response));
    servers.push(plain);
    recordMalformed(plain, options.audit);
    const httpPort = await listening(plain, http, "--api-port");
    if (!https) return { httpPort, httpsPort: undefined, close };
    const tls = createTlsServer({ cert: https.certificate, key: https.privateKey, minVersion: "TLSv1.2" }, (q, a) =>
      app.routing(q, a),
    );
    servers.push(tls);
    recordMalformed(tls, options.audit);
    return { httpPort, httpsPort: await listening(tls, https, "--api-https-port"), close };
  } catch (error) {
    await close();
    throw error;
  }
}

const routesOf = (options: ApiOptions): Route[] => [
  ...resourceRoutes(options.store, options.rules),
  ...overviewRoutes(options.store),
  rotationRoute(options.store, options.rules),
  applyRoute(options.store, options.rules),
  ...tokenRoutes(options.tokens),
  ...linkRoutes(options.links ?? noLinks, {
    ...options,
    withoutEgress: () => withoutEgress(options),
    ingressesAway: () => ingressesAway(options.store, "this zone"),
  }),
  ...(options.zones ? zoneRoutes(options.store, options.zones) : []),
  ...metaRoutes(options),
];

/** On global of all zones that it knows, on a zone of this one. */
function withoutEgress({ store, rules: { place } }: ApiOptions): readonly WithoutEgress[] {
  const zones = place.kind === "zone" ? [place.zone] : store.list("Zone").map(({ name }) => name);
  return zonesWithoutEgress(store, zones, place.kind === "zone" ? place.zone : undefined);
}

function metaRoutes({ rules, about, config }: ApiOptions): Route[] {
  const { clusterId, instanceId, hostname, version } = about;
  const gui = "";
  const index = { clusterId, gui, hostname, instanceId, kodiak: version, ...stands };
  const { place } = rules;
  return [
    { path: "/", access: "open", methods: { GET: () => ({ json: index }) } },
    {
      path: "/who-am-i",
      access: "user",
      methods: { GET: ({ user }) => ({ json: { name: user.name, groups: user.groups } }) },
    },
    {
      path: "/config",
      access: { admin: "the configuration" },
      methods: { GET: () => ({ json: config, isCompact: true }) },
    },
    { path: "/policies", access: "known", methods: { GET: () => ({ json: policyCatalog(place) }) } },
    { path: "/_resources", access: "known", methods: { GET: () => ({ json: resourceCatalog(place) }) } },
  ];
}

/** What is no HTTP is no request either: Node's parser gives it up. */
function recordMalformed(server: Server, audit: AuditLog): void {
  const told = new WeakSet<Socket>();
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Socket) => {
    const { remoteAddress = "", remotePort = 0 } = socket;
    const status = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 }[error.code ?? ""] ?? 400;
    // The parser goes on with what comes until the socket is closed.
    if (told.has(socket)) return;
    told.add(socket);
    if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
    const { name, groups } = anonymous;
    const from = hostPort(remoteAddress, remotePort);
    const why = `not HTTP/1.1: ${error.message}`;
    const answer = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`;
    void audit
      .refused({ who: { name, groups }, from, verb: "?", what: {}, status, why })
      .then(() => socket.end(answer));
  });
}

function listening(server: Server, { host, port }: { host: string; port: number }, flag: string): Promise<number> {
  server.requestTimeout = readTimeoutMs;
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      const why =
        error.code === "EADDRINUSE"
          ? `is in use; stop what listens there or give another port with ${flag}`
          : `can't be listened on: ${error.message}`;
      reject(
        new KodiakError({ kind: "unavailable", what: `the API's address ${host}:${port} ${why}` }, { cause: error }),
      );
    });
    server.listen({ host, port }, () => resolve((server.address() as AddressInfo).port));
  });
}

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });

const notLoopback = (host: string): KodiakError =>
  new KodiakError({
    kind: "invalid",
    what: "HTTP API",
    issues: [
      {
        path: "host",
        message: `${host} is not a loopback address; plain HTTP is served to this machine only, others use the TLS port`,
      },
    ],
  });

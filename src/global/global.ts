// The global control plane: everything it is made of, wired in plain sight.
//
//   API ─► store ─► graph ─► what zones get ─► KDS ─► zone control planes
//            ▲        └─► owned ─► writer ─┐            │
//            └──────────── KDS ◄───────────┴────────────┘

import { hostname } from "node:os";
import { serveDiagnostics } from "#api/diagnostics.ts";
import { serveApi } from "#api/serve.ts";
import { auditedMembers } from "#global/audited-members.ts";
import { type AuditLog, noAuditLog } from "#host/audit-log.ts";
import type { LogLevels } from "#host/log.ts";
import type { Metrics } from "#host/metrics.ts";
import { refusalRecord } from "#host/refusal-record.ts";
import { grpcCode, type ServerStream, type World } from "#host/world.ts";
import { providedAuthorityIssues } from "#identity/authority.ts";
import type { Credentials } from "#identity/credentials.ts";
import { clusterIdOf, firstStart } from "#identity/first-start.ts";
import { keyMaker } from "#identity/key-maker.ts";
import { rotationKeeper } from "#identity/rotation-keeper.ts";
import { tokenIssuer } from "#identity/token-issuer.ts";
import { zoneAuthorityOf } from "#identity/zone-certificate.ts";
import { zoneMembers } from "#identity/zone-members.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { kdsMetrics } from "#kds/counts.ts";
import { kdsServer } from "#kds/global-server.ts";
import { downwardResources } from "#kds/outgoing.ts";
import { refusalsOfLinks, troubleMetrics } from "#kds/trouble-metrics.ts";
import { defaultPolicies } from "#owned/default-policies.ts";
import { missingKeys } from "#owned/defaults.ts";
import { globalOwned } from "#owned/global-owned.ts";
import { vipExceptions, wantedVips } from "#owned/names.ts";
import { openGates } from "#owned/rotation.ts";
import { isZoneOnline, type ZoneStatus } from "#owned/zone-insight.ts";
import { isActedOn, unknownMembers, validateResource } from "#policies/kinds.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { live, resourceSources } from "#store/live.ts";
import { storeMetrics } from "#store/metrics.ts";
import { vipKeeper } from "#store/vip-keeper.ts";
import { ownedWriter } from "#store/writer.ts";
import { bootstrapOnGlobal } from "#xds/bootstrap-answer.ts";
import { adsPath } from "#xds/server.ts";

export interface GlobalSettings {
  readonly store: Store;
  /** Where zones and users connect; a port may be 0. */
  readonly address: string;
  readonly kdsPort: number;
  /** Answers proxies that come here by mistake. */
  readonly dpPort: number;
  readonly apiPort: number;
  readonly apiHttpsPort: number;
  /** Absent: no port for probes, Prometheus and log levels. */
  readonly diagnostics?: { readonly port: number; readonly metrics: Metrics; readonly levels: LogLevels };
  /** PEM, for all TLS ports. */
  readonly certificate: { readonly certificate: string; readonly privateKey: string };
  /** Zones that may come without a certificate, as those of a Kuma must. */
  readonly unauthenticatedZones: readonly string[];
  /** Zones that are given private keys of authorities and of dataplane tokens, as those of a Kuma need them. */
  readonly exportKeysTo: readonly string[];
  readonly version: string;
  /** Absent: with real keys. */
  readonly credentials?: Pick<Credentials, "signIntermediate">;
  /** As `/config` shows them. */
  readonly shown: Readonly<Record<string, unknown>>;
  /** Whether processes of this machine are administrators of the plain API and of log levels; absent: yes. */
  readonly hasLocalAdmin?: boolean;
  /** Called with the first user token of the administrator, before it is stored. */
  readonly keepAdminToken?: (token: string) => Promise<void>;
  /** Absent: nobody asks afterwards who changed what. Closed with the control plane. */
  readonly audit?: AuditLog;
  /** Absent: over sockets of this machine. */
  readonly serveApi?: typeof serveApi;
}

export interface RunningGlobal {
  readonly kdsPort: number;
  readonly dpPort: number;
  readonly apiPort: number;
  readonly apiHttpsPort: number | undefined;
  readonly diagnosticsPort: number | undefined;
  close(): Promise<void>;
}

export async function global(settings: GlobalSettings, { clock, random, network, log }: World): Promise<RunningGlobal> {
  const { store, certificate, address, version, audit = noAuditLog, hasLocalAdmin = true } = settings;
  const instanceId = `${hostname()}-${random.uuid().slice(0, 4)}`;
  const logOf = (component: string) => log.child({ component });

  // What is computed.
  const graph = incrementalGraph();
  const sources = resourceSources(graph, store);
  const statuses = graph.source<ZoneStatus>("zone statuses");
  const outgoing = downwardResources(graph, sources.of);
  const owned = globalOwned(graph, { of: sources.of, statuses });
  const missing = missingKeys(graph, sources.of);
  const defaults = defaultPolicies(graph, sources.of, { kind: "global" });
  const connected = graph.derive("zones that are there", statuses, (status) => isZoneOnline(status) || undefined);
  const open = openGates(graph, { of: sources.of, connected });
  const vips = wantedVips(graph, sources.of);
  const exceptions = vipExceptions(graph, sources.of);
  const running = live(graph, store, sources);

  // Who acts on it.
  const makeKeys = keyMaker(missing, store, clock, log);
  const rotate = rotationKeeper({ open, store, log: logOf("meshes"), heard: () => kds.heard() });
  const keepVips = vipKeeper({ wanted: vips, store, clock, log: logOf("store") });
  const writer = ownedWriter(store, clock, logOf("store"), [
    { wanted: defaults.wanted, deletes: false, onlyNew: true },
    { wanted: defaults.record, deletes: true },
    { wanted: exceptions, deletes: true },
    { wanted: owned.zoneInsights, deletes: true, isRecord: true },
    { wanted: owned.serviceInsights, deletes: true, isRecord: true },
  ]);
  const refusals = refusalRecord(audit, clock);
  const zones = zoneMembers({
    ...{ store, clock, unauthenticated: settings.unauthenticatedZones, credentials: settings.credentials },
  });
  const kds = kdsServer({
    outgoing,
    store,
    clock,
    random,
    log: logOf("kds"),
    self: { instanceId, version },
    members: auditedMembers(zones, audit, refusals),
    refusals,
    exportsKeysTo: (zone) => settings.exportKeysTo.includes(zone),
    validate: (resource: Resource) => validateResource(kindNamed(resource.kind), resource),
    onStatus(status) {
      statuses.set(status.zone, status);
      running.touch();
    },
  });
  // Zones that are known from before are shown as offline until they are back.
  for (const status of kds.statuses()) statuses.set(status.zone, status);
  await firstStart(store, clock, random, { kind: "global" }, settings.keepAdminToken);
  running.start((changes) => {
    kds.publish(changes);
    writer.publish(changes);
    keepVips(changes);
    makeKeys(changes);
    rotate(changes);
  });

  // Who is served.
  const tls = { host: address, ...certificate };
  const kdsPort = await network.listen({
    ...tls,
    port: settings.kdsPort,
    clientAuthorities: zoneAuthorityOf(store),
    streams: kds.streams,
    unary: kds.unary,
  });
  const proxies = await network.listen({
    ...tls,
    port: settings.dpPort,
    streams: { [adsPath]: refuseProxy },
    http: () => Promise.resolve(bootstrapOnGlobal),
  });
  const tokens = tokenIssuer(store, clock, random);
  const api = await (settings.serveApi ?? serveApi)({
    store,
    rules: {
      place: { kind: "global" },
      isConnected: kds.isConnected,
      isAbreast: kds.isAbreast,
      validate: validateResource,
      unknownMembers,
      isActedOn,
      authorityIssues: (kept) => providedAuthorityIssues(kept, clock.now()),
    },
    authenticate: tokens.authenticate,
    hasLocalAdmin,
    tokens: tokens.issue,
    links: kds.links,
    zones: {
      async revoke(zone) {
        await zones.revoke(zone);
        kds.cut(zone, `the certificate of zone "${zone}" was revoked`);
      },
      now: clock.now,
    },
    about: { clusterId: clusterIdOf(store), instanceId, hostname: hostname(), version },
    config: settings.shown,
    http: { host: "127.0.0.1", port: settings.apiPort },
    https: { host: address, port: settings.apiHttpsPort, ...certificate },
    audit,
    log: logOf("api"),
  });

  const { diagnostics } = settings;
  if (diagnostics) {
    storeMetrics(diagnostics.metrics, store, graph);
    kdsMetrics(diagnostics.metrics, kds.counts);
    troubleMetrics(diagnostics.metrics, {
      refused: () => refusalsOfLinks(kds.links.list()),
      frozenZones: () => kds.links.list().filter(({ frozenSince }) => frozenSince !== undefined).length,
    });
  }
  let notReady: string | undefined;
  const readiness = {
    get notReady() {
      return notReady;
    },
  };
  const probed =
    diagnostics && (await serveDiagnostics({ host: address, ...diagnostics, readiness, hasLocalAdmin, log }));

  return {
    kdsPort: kdsPort.port,
    dpPort: proxies.port,
    apiPort: api.httpPort,
    apiHttpsPort: api.httpsPort,
    diagnosticsPort: probed?.port,
    async close() {
      notReady = "shutting down";
      await api.close();
      await proxies.close("the control plane is shutting down");
      await kdsPort.close("stream unavailable");
      kds.stop();
      writer.stop();
      running.stop();
      await store.close();
      await audit.close();
      await probed?.close();
    },
  };
}

const refuseProxy = (stream: ServerStream): void =>
  stream.end({ code: grpcCode.permissionDenied, message: String(bootstrapOnGlobal.body) });

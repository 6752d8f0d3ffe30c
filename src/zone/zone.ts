// A zone's control plane: everything it is made of, wired in plain sight.
//
//   store ─► graph ─► configuration ─► xds server ─► Envoys
//     ▲        └─► owned ─► writer ─┐
//     └──────── proxies, API, KDS ◄─┘

import { hostname } from "node:os";
import { serveDiagnostics } from "#api/diagnostics.ts";
import { serveApi } from "#api/serve.ts";
import { type AuditLog, noAuditLog } from "#host/audit-log.ts";
import type { LogLevels } from "#host/log.ts";
import type { Metrics } from "#host/metrics.ts";
import { refusalRecord } from "#host/refusal-record.ts";
import type { Target, World } from "#host/world.ts";
import { providedAuthorityIssues } from "#identity/authority.ts";
import { type Credentials, realCredentials } from "#identity/credentials.ts";
import { clusterIdOf, firstStart } from "#identity/first-start.ts";
import { keyMaker } from "#identity/key-maker.ts";
import { rotationKeeper } from "#identity/rotation-keeper.ts";
import { tokenIssuer } from "#identity/token-issuer.ts";
import { kdsMetrics } from "#kds/counts.ts";
import { refusalsOfLinks, troubleMetrics } from "#kds/trouble-metrics.ts";
import { kdsClient } from "#kds/zone-client.ts";
import { KodiakError } from "#lib/failure.ts";
import { isActedOn, unknownMembers, validateResource } from "#policies/kinds.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { graceKeeper } from "#store/grace-keeper.ts";
import { live } from "#store/live.ts";
import { storeMetrics } from "#store/metrics.ts";
import { vipKeeper } from "#store/vip-keeper.ts";
import { ownedWriter } from "#store/writer.ts";
import { healthServer } from "#xds/health-server.ts";
import { xdsMetrics } from "#xds/metrics.ts";
import { xdsServer } from "#xds/server.ts";
import { certificateKeeper } from "#zone/certificates.ts";
import { computed } from "#zone/computed.ts";
import { departures } from "#zone/departures.ts";
import { health } from "#zone/health.ts";
import { heldSecrets } from "#zone/held-secrets.ts";
import { hostNames } from "#zone/host-names.ts";
import { intermediates } from "#zone/intermediates.ts";
import { leads } from "#zone/leads.ts";
import { membership } from "#zone/membership.ts";
import { promiseKeeper } from "#zone/promised-mtls.ts";
import { proxies } from "#zone/proxies.ts";
import { proxyPort } from "#zone/proxy-port.ts";
import { readiness } from "#zone/readiness.ts";
import { refusedProxies, refusedProxiesMetric } from "#zone/refused-proxies.ts";
import { tokenCheck } from "#zone/token-check.ts";
import { zoneEvidence } from "#zone/zone-evidence.ts";

export interface ZoneSettings {
  readonly name: string;
  readonly store: Store;
  /** Where proxies and users connect; a port may be 0. */
  readonly address: string;
  readonly dpPort: number;
  readonly apiPort: number;
  readonly apiHttpsPort: number;
  /** Absent: no port for probes, Prometheus and log levels. */
  readonly diagnostics?: { readonly port: number; readonly metrics: Metrics; readonly levels: LogLevels };
  /** PEM, for all TLS ports. */
  readonly certificate: { readonly certificate: string; readonly privateKey: string };
  /** Absent: this zone stands alone. */
  readonly global?: Target;
  /** With which it gets its certificate from global, once. */
  readonly joinToken?: string;
  readonly version: string;
  /** As `/config` shows them. */
  readonly shown: Readonly<Record<string, unknown>>;
  /** Absent: real ones. */
  readonly credentials?: Credentials;
  /** Whether processes of this machine are administrators of the plain API and of log levels; absent: yes. */
  readonly hasLocalAdmin?: boolean;
  /** Called with the first user token of the administrator, before it is stored. */
  readonly keepAdminToken?: (token: string) => Promise<void>;
  /** Absent: nobody asks afterwards who changed what. Closed with the control plane. */
  readonly audit?: AuditLog;
  /** Absent: over sockets of this machine. */
  readonly serveApi?: typeof serveApi;
}

export interface RunningZone {
  readonly dpPort: number;
  readonly apiPort: number;
  readonly apiHttpsPort: number | undefined;
  readonly diagnosticsPort: number | undefined;
  close(): Promise<void>;
}

/** Another zone asks a moment after its change was pushed here. A proxy that has owed an answer for longer is not waited for. */
const heardForMs = 5_000;

export async function zone(settings: ZoneSettings, { clock, random, network, log }: World): Promise<RunningZone> {
  const {
    store,
    certificate,
    address,
    credentials = realCredentials,
    audit = noAuditLog,
    hasLocalAdmin = true,
  } = settings;
  const place = { kind: "zone", zone: settings.name, isFederated: settings.global !== undefined } as const;
  const instanceId = `${hostname()}-${random.uuid().slice(0, 4)}`;
  const logOf = (component: string) => log.child({ component });
  const validate = (resource: Resource) => validateResource(kindNamed(resource.kind), resource);

  // What is computed.
  const computing = computed(store, place);
  const { graph, resources, sources, promises, probes, pipeline, issued, outgoing, wanted } = computing;
  const { certificates, statuses, marked } = sources;
  const { meshes } = promises;
  const departing = departures({ store, clock, marked, departed: sources.departed, touch: () => running.touch() });
  const running = live(graph, store, resources);

  // Who acts on it.
  const ready = readiness(place.isFederated, clock, log);
  const own =
    settings.global &&
    intermediates({
      ask: async (path, request) => {
        if (!link) throw new KodiakError({ kind: "unavailable", what: "global is not called yet" });
        return link.ask(path, request);
      },
      credentials,
      store,
      clock,
      log: logOf("certificates"),
      onArrived: () => keeper.again(),
      isListed: (mesh, backend) => meshes.get(mesh)?.spec.mtls?.backends?.some(({ name }) => name === backend) === true,
    });
  const keeper = certificateKeeper({
    ...(own && { intermediates: own }),
    wanted: wanted.certificates,
    dataplanes: resources.of("Dataplane"),
    egresses: resources.of("ZoneEgress"),
    meshes,
    secrets: resources.of("Secret"),
    certificates,
    touch: running.touch,
    issuerOf: credentials.issuerOf,
    store,
    clock,
    log: logOf("certificates"),
  });
  const promiseMtls = promiseKeeper(promises, sources.promised, store, () => running.touch(), logOf("meshes"));
  const makeKeys = keyMaker(wanted.keys, store, clock, log);
  const acknowledged = () => xds.acknowledged(clock.now() - heardForMs);
  const rotate = rotationKeeper({ open: wanted.openGates, store, log: logOf("meshes"), heard: acknowledged });
  const keepVips = vipKeeper({ wanted: wanted.vips, store, clock, log: logOf("store") });
  const grace = graceKeeper({ abandoned: wanted.meshServices.abandoned, store, clock, log: logOf("store") });
  const writer = ownedWriter(store, clock, logOf("store"), [
    ...(place.isFederated
      ? []
      : [
          { wanted: wanted.policies.wanted, deletes: false, onlyNew: true },
          { wanted: wanted.policies.record, deletes: true },
        ]),
    { wanted: wanted.ingresses, deletes: false },
    { wanted: wanted.meshServices.wanted, deletes: false },
    { wanted: wanted.meshServices.withStatus, deletes: false, isRecord: true },
    { wanted: wanted.multiZoneServices, deletes: false, isRecord: true },
    ...wanted.names.map((one) => ({ wanted: one, deletes: false })),
    { wanted: wanted.insights, deletes: true, isRecord: true },
  ]);
  const member =
    settings.global &&
    membership({
      zone: settings.name,
      version: settings.version,
      target: settings.global,
      joinToken: settings.joinToken,
      network,
      store,
      clock,
      log: logOf("kds"),
      onRenewed: () => link?.renew(),
    });
  const link =
    settings.global &&
    member &&
    outgoing &&
    kdsClient({
      membership: member,
      zone: settings.name,
      target: settings.global,
      network,
      outgoing,
      store,
      clock,
      random,
      log: logOf("kds"),
      // Of a zone's configuration a stock global reads only this, to know how names are formed: as on Universal.
      self: { instanceId, version: settings.version, config: { store: { type: "memory" } } },
      validate,
      frozenSince: () => known.frozenSince(),
      silentZones: () => evidence.silent(),
      acknowledged,
      onLink: ({ kind }) => {
        if (kind === "connected") own?.connected();
      },
      onComplete: ready.synced,
    });
  const tokensOfProxies = tokenCheck({ place, store, clock, credentials });
  const refusals = refusedProxies(logOf("proxies"), refusalRecord(audit, clock));
  const known = proxies({
    place,
    store,
    clock,
    random,
    log: logOf("proxies"),
    instanceId,
    configs: pipeline,
    statuses,
    marked,
    leads: leads({ configs: pipeline, services: sources.servedByIngresses, ways: sources.servedByEgresses }),
    heldBy: heldSecrets(pipeline.secrets, issued),
    touch: running.touch,
    onGone: departing.gone,
    onFrozen: () => link?.ping(),
    tokens: tokensOfProxies,
    refusedProxies: refusals,
    validate,
  });
  // What its node says is settled at the end of this turn: an Envoy that comes back is not sent less for a moment.
  const admit: typeof known.admit = async (first, stream) => {
    const admitted = await known.admit(first, stream);
    await new Promise((settled) => setImmediate(settled));
    return admitted;
  };
  const xds = xdsServer({ instanceId, log: logOf("xds"), clock, bundles: pipeline.bundles, admit });
  const hosts = hostNames({
    ...{ wanted: computing.hostNames, addresses: sources.addresses, network },
    ...{ store, clock, log: logOf("proxies"), touch: running.touch },
  });
  const evidence = zoneEvidence({
    ...{ store, clock, log: logOf("proxies"), left: sources.silent, touch: running.touch },
    onChange: () => link?.ping(),
  });
  const reported = health({
    ...{ zone: settings.name, store, clock, log: logOf("proxies"), tokens: tokensOfProxies, validate },
    refusedProxies: refusals,
    isLeaving: known.isLeaving,
    onZones: evidence.said,
  });
  const hds = healthServer({ log: logOf("xds"), clock, probes, admit: reported.admit });
  await firstStart(store, clock, random, place, settings.keepAdminToken);
  // Who is served.
  const dp = await network.listen({
    host: address,
    port: settings.dpPort,
    ...certificate,
    ...proxyPort({
      bootstrap: () => ({
        zone: settings.name,
        port: dp.port,
        certificate: certificate.certificate,
        find: store.get,
        notReady: ready.notReady,
        validate,
      }),
      xds,
      hds,
      tokens: tokensOfProxies,
      refusedProxies: refusals,
      begin: known.begin,
      leave: known.leave,
      heard: () => link?.heard() ?? Promise.resolve(),
      clock,
    }),
  });
  // To settle everything takes a second with a thousand proxies, and who finds nobody listening waits long before the next try.
  running.start((changes) => {
    promiseMtls.publish(changes);
    // First who uses it. What follows from it is written before the link sends, so that both travel as one revision.
    xds.publish(changes);
    hds.publish(changes);
    hosts.publish(changes);
    writer.publish(changes);
    grace.publish(changes);
    keepVips(changes);
    link?.publish(changes);
    keeper.publish(changes);
    if (place.isFederated) return;
    makeKeys(changes);
    rotate(changes);
  });

  link?.start();

  const tokens = tokenIssuer(store, clock, random);
  const api = await (settings.serveApi ?? serveApi)({
    store,
    rules: {
      place,
      ...(settings.global && { globalAddress: `${settings.global.host}:${settings.global.port}` }),
      validate: validateResource,
      unknownMembers,
      isActedOn,
      authorityIssues: (kept) => providedAuthorityIssues(kept, clock.now()),
    },
    authenticate: tokens.authenticate,
    hasLocalAdmin,
    tokens: tokens.issue,
    ...(link && { links: link.links }),
    frozenSince: known.frozenSince,
    silentZones: evidence.silent,
    about: { clusterId: clusterIdOf(store), instanceId, hostname: hostname(), version: settings.version },
    config: settings.shown,
    http: { host: "127.0.0.1", port: settings.apiPort },
    https: { host: address, port: settings.apiHttpsPort, ...certificate },
    audit,
    log: logOf("api"),
  });

  const { diagnostics } = settings;
  if (diagnostics) {
    storeMetrics(diagnostics.metrics, store, graph);
    xdsMetrics(diagnostics.metrics, xds);
    refusedProxiesMetric(diagnostics.metrics, refusals);
    if (link) kdsMetrics(diagnostics.metrics, link.counts);
    troubleMetrics(diagnostics.metrics, {
      refused: () => [...refusalsOfLinks(link?.links.list() ?? []), ...known.refusals()],
      frozenZones: () => (known.frozenSince() === undefined ? 0 : 1),
    });
  }
  const probed =
    diagnostics && (await serveDiagnostics({ host: address, ...diagnostics, readiness: ready, hasLocalAdmin, log }));

  return {
    dpPort: dp.port,
    apiPort: api.httpPort,
    apiHttpsPort: api.httpsPort,
    diagnosticsPort: probed?.port,
    async close() {
      ready.stopping();
      for (const one of [member, own, link, known, reported, evidence, hosts, departing, keeper]) one?.stop();
      await api.close();
      await dp.close("the control plane is shutting down");
      writer.stop();
      grace.stop();
      running.stop();
      await store.close();
      await audit.close();
      await probed?.close();
    },
  };
}

// The program beside Envoy, for a data plane proxy, a zone ingress or a zone egress:
//
//   resource → POST /bootstrap → Envoy, restarted if it dies → SIGTERM: /leave → drain → end
//
// Its work folder holds the bootstrap with the token and Envoy's admin socket; nothing of it is left afterwards.

import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type EnvoyAdmin, envoyAdmin } from "#agent/admin.ts";
import {
  announceLeave,
  type Bootstrap,
  type ControlPlane,
  fetchBootstrap,
  type ProxyName,
} from "#agent/control-plane.ts";
import { serveDenials } from "#agent/denials.ts";
import { drainEnvoy, untilIdle } from "#agent/drain.ts";
import { type Envoy, keepEnvoy } from "#agent/envoy.ts";
import { type EnvoyVersion, envoyRelease, envoyVersion } from "#agent/envoy-binary.ts";
import { type ReadinessState, serveReadiness } from "#agent/readiness.ts";
import { type Names, type Redirect, redirectFeature, redirectMembers, serveNames } from "#agent/redirect.ts";
import { aborted, type StopSignals } from "#agent/stop-signals.ts";
import { internalListenersFeature } from "#envoy/egress.ts";
import type { GrpcSocket } from "#host/grpc-socket.ts";
import type { Log } from "#host/log.ts";
import { takeAlone } from "#host/sole.ts";
import { KodiakError } from "#lib/failure.ts";
import type { JsonObject } from "#lib/json.ts";
import { announcesLeaving } from "#proxy/features.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { kindNamed } from "#resources/kinds.ts";
import { type Resource, tag } from "#resources/resource.ts";
import { toRest } from "#resources/rest.ts";

export interface ProxyOptions {
  /** The Dataplane, ZoneIngress or ZoneEgress that the proxy brings. */
  readonly resource: Resource;
  readonly controlPlane: ControlPlane;
  /** As `findEnvoy` returns it. */
  readonly envoyPath: string;
  /** trace, debug, info, warning, error, critical or off. */
  readonly envoyLogLevel: string;
  /** Envoy's worker threads; absent: one for each processor. */
  readonly concurrency: number | undefined;
  readonly drainTimeMs: number;
  /** 0: a free one. */
  readonly readinessPort: number;
  /** Empty, not there yet, or left by a proxy that was killed; removed at the end. Absent: a temporary one. */
  readonly workDir?: string | undefined;
  /** Absent: the machine redirects nothing to this proxy. */
  readonly redirect?: Redirect | undefined;
  /** Of this program; the control plane shows it. */
  readonly version: string;
}

/** Of the drain time, for others to know that it leaves; the rest is for what they have sent. */
const announceShare = 2 / 3;
/** Clients of other zones keep their connections as long as they please. */
const ingressDrainMs = 1000;
/** A TCP proxy cannot ask connections to go; those that open now go elsewhere, and this zone's proxies give up what leads through an egress. */
const drained: Readonly<Record<ProxyName["proxyType"], typeof untilIdle>> = {
  dataplane: drainEnvoy,
  ingress: (admin, limitMs, now) => untilIdle(admin, Math.min(ingressDrainMs, limitMs), now),
  egress: untilIdle,
};
const endGraceMs = 5000;
const bootstrapName = "bootstrap.yaml";

/**
 * Runs until it is told to stop. Resolves with the exit code: 0, or 1 where it was told to end at once. Rejects where it cannot
 * start: a refusal of the control plane, an Envoy that does not start, a port in use.
 */
export async function runProxy(options: ProxyOptions, log: Log, stop: StopSignals): Promise<number> {
  const version = await envoyVersion(options.envoyPath);
  if (!version.version.startsWith("1.40."))
    log.warn({ path: options.envoyPath }, `this is Envoy ${version.version}; Kodiak is tested with ${envoyRelease}`);

  const { path, release } = await workFolder(options.workDir);
  try {
    return await runIn(path, options, version, log, stop);
  } finally {
    await rm(path, { recursive: true, force: true });
    release();
  }
}

async function runIn(
  workDir: string,
  options: ProxyOptions,
  version: EnvoyVersion,
  log: Log,
  stop: StopSignals,
): Promise<number> {
  const { resource, controlPlane } = options;
  const proxy = nameOf(resource);
  let admin: EnvoyAdmin | undefined;
  const readiness = await serveReadiness(options.readinessPort, async (): Promise<ReadinessState> => {
    if (stop.leave.aborted) return { status: 503, state: "TERMINATING" };
    return (await admin?.ready()) ?? { status: 503, state: "envoy not ready" };
  });
  let names: Names | undefined;
  try {
    names = options.redirect && (await serveNames(options.redirect, log));
    const body = bootstrapRequest(options, version, readiness.port, workDir, names);
    const bootstrap = await fetchBootstrap(controlPlane, body, log, stop.leave);
    if (bootstrap === undefined) return 0;
    const bootstrapFile = join(workDir, bootstrapName);
    await writeFile(bootstrapFile, bootstrap.text, { mode: 0o600 });
    admin = envoyAdmin(bootstrap.admin);
    const denials = await denialsOf(bootstrap, resource, log);
    const { envoyPath: path, envoyLogLevel: logLevel, concurrency, drainTimeMs } = options;
    const envoy = keepEnvoy(
      { path, bootstrapFile, admin, controlPlane: controlPlane.url, logLevel, concurrency, drainTimeMs, workDir },
      log,
    );
    try {
      await runUntilLeft(envoy, admin, proxy, options, readiness.port, log, stop);
    } finally {
      await envoy.end(endGraceMs, stop.now);
      await denials?.close();
    }
    return stop.now.aborted ? 1 : 0;
  } finally {
    names?.close();
    readiness.close();
  }
}

/** Without them the proxy is as good; only nobody is told what it denies. */
async function denialsOf(
  { admin, accessLogSocket: path }: Bootstrap,
  resource: Resource,
  log: Log,
): Promise<GrpcSocket | undefined> {
  if (path === undefined) return undefined;
  const inbounds = resource.kind === "Dataplane" ? (asDataplane(resource).spec.networking?.inbound ?? []) : [];
  const serviceAt = (port: number) => inbounds.find((inbound) => inbound.port === port)?.tags?.[tag.service];
  try {
    // What does not fit into a socket's path is cut off (interop 6.3), and then two may be one.
    if ("socketPath" in admin && admin.socketPath === path) throw new Error("the work folder's path is too long");
    return await serveDenials(path, serviceAt, log);
  } catch (error) {
    log.warn({ path, err: error }, "what permissions deny will not be logged");
    return undefined;
  }
}

interface WorkFolder {
  readonly path: string;
  release(): void;
}

/** For this user alone, and for one proxy. What one has left that was killed, a bootstrap and sockets, is cleared away. */
async function workFolder(given: string | undefined): Promise<WorkFolder> {
  if (given === undefined) return { path: await mkdtemp(join(tmpdir(), "kodiak-proxy-")), release: () => {} };
  const refused = (message: string) =>
    new KodiakError({ kind: "invalid", what: "the work folder", issues: [{ path: given, message }] });
  const path = resolve(given);
  const release = await takeAlone(`work folder ${path}`);
  if (!release) throw refused("is another proxy's, which runs; give this one another folder");
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const found = await readdir(path, { withFileTypes: true });
    if (found.some((entry) => entry.name !== bootstrapName && !entry.isSocket()))
      throw refused("must be empty: it is removed when the proxy ends");
    await Promise.all(found.map(({ name }) => rm(join(path, name), { force: true })));
    return { path, release };
  } catch (error) {
    release();
    throw error;
  }
}

async function runUntilLeft(
  envoy: Envoy,
  admin: EnvoyAdmin,
  proxy: ProxyName,
  options: ProxyOptions,
  readinessPort: number,
  log: Log,
  stop: StopSignals,
): Promise<void> {
  await Promise.race([envoy.ready, aborted(stop.leave)]);
  if (!stop.leave.aborted) log.info({ ...proxy, readinessPort }, `${options.resource.kind} "${proxy.name}" is ready`);
  // Others may use Envoy before we have seen that it is ready: it leaves in good order from the moment it runs.
  await aborted(stop.leave);
  log.info({}, "leaving: requests under way are finished first");
  await Promise.race([leave(admin, proxy, options, log, stop.now), aborted(stop.now)]);
}

/** First everyone stops choosing this proxy, then connections are asked to go: the other way round they would come back. */
async function leave(admin: EnvoyAdmin, proxy: ProxyName, options: ProxyOptions, log: Log, now: AbortSignal) {
  const endAt = Date.now() + options.drainTimeMs;
  await announceLeave(options.controlPlane, proxy, Math.floor(options.drainTimeMs * announceShare), log);
  try {
    const leftMs = Math.max(0, endAt - Date.now());
    const idle = await drained[proxy.proxyType](admin, leftMs, now);
    if (!idle.isIdle && proxy.proxyType !== "ingress")
      log.warn(idle, `still in use after ${options.drainTimeMs / 1000} s of draining; what is under way is cut off`);
  } catch (error) {
    log.warn({ err: error }, "Envoy cannot be drained, it is ended as it is");
  }
}

const typeOf: Readonly<Record<string, ProxyName["proxyType"]>> = { ZoneIngress: "ingress", ZoneEgress: "egress" };
const nameOf = ({ kind, mesh, name }: Resource): ProxyName => ({
  mesh,
  name,
  proxyType: typeOf[kind] ?? "dataplane",
});

/** As kuma-dp asks (interop 6.2); what is left out has its zero value. */
function bootstrapRequest(
  options: ProxyOptions,
  envoy: EnvoyVersion,
  readinessPort: number,
  workDir: string,
  names: Names | undefined,
): JsonObject {
  const { resource, controlPlane, version } = options;
  return {
    ...nameOf(resource),
    dataplaneToken: controlPlane.token ?? "",
    dataplaneResource: JSON.stringify(toRest(kindNamed(resource.kind), resource)),
    version: {
      kumaDp: { version, gitTag: "", gitCommit: "", buildDate: "" },
      envoy: { version: envoy.version, build: envoy.build, kumaDpCompatible: true },
    },
    caCert: controlPlane.trust.kind === "ca" ? controlPlane.trust.ca : "",
    readinessPort,
    operatingSystem: process.platform,
    // Without feature-reuse-port: a second proxy on the same address must be refused, not share its connections.
    features: [
      ...["feature-delta-grpc", "feature-strict-inbound-ports", internalListenersFeature, announcesLeaving],
      ...(names ? [redirectFeature] : []),
    ],
    ...(names && options.redirect && redirectMembers(options.redirect, names)),
    workdir: workDir,
    ipv6Enabled: true,
  };
}

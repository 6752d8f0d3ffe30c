// What Envoy is asked to find out beside its proxy (HDS, interop 6.6): whether the applications behind its inbounds accept connections, whether
// other zones answer, and of an Envoy that nobody announces to leave, whether it still takes requests.

import { socketAddress } from "#envoy/address.ts";
import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import type { HealthCheckJson } from "#gen/envoy/config/core/v3/health_check_pb.ts";
import type { ClusterHealthCheckJson, HealthCheckSpecifierJson } from "#gen/envoy/service/health/v3/hds_pb.ts";
import { protoDuration } from "#lib/duration.ts";
import { adminCheckName, type Probe, type ProbeTimes, usualTimes } from "#topology/probe.ts";

export interface HealthCheckCase {
  readonly probes: readonly Probe[];
  /** Envoy's admin interface, where it is asked for `/ready`; absent: it is not. */
  readonly admin?: AddressJson | undefined;
  /** Connections to applications must come from an address that is not redirected to Envoy again. */
  readonly isTransparent: boolean;
}

/** As often as Kuma has it reported; a proxy that drains is noticed with it. */
const usualReportMs = 5_000;
const shortestReportMs = 250;

/**
 * More often than an application is probed there is no news. Not more seldom than a probe waits for its answer: what refuses connections is
 * then known within its interval × unhealthyThreshold + timeout (decision 21).
 */
export function reportEveryMs(probes: readonly Probe[]): number {
  const times = probes.map(({ intervalMs, timeoutMs }) => Math.min(intervalMs, timeoutMs));
  return Math.max(shortestReportMs, Math.min(usualReportMs, ...times));
}

export const healthCheckSpecifier = ({ probes, admin, isTransparent }: HealthCheckCase): HealthCheckSpecifierJson => ({
  interval: protoDuration(reportEveryMs(probes)),
  clusterHealthChecks: [...(admin ? [adminCheck(admin)] : []), ...probes.map((probe) => check(probe, isTransparent))],
});

const adminCheck = (address: AddressJson): ClusterHealthCheckJson => ({
  clusterName: adminCheckName,
  healthChecks: [{ ...timed(usualTimes), httpHealthCheck: { path: "/ready" } }],
  localityEndpoints: [{ endpoints: [{ address }] }],
});

const check = (probe: Probe, isTransparent: boolean): ClusterHealthCheckJson => ({
  clusterName: probe.name,
  healthChecks: [
    {
      ...timed(probe),
      ...(probe.host === undefined ? { tcpHealthCheck: {} } : { httpHealthCheck: { host: probe.host, path: "/" } }),
    },
  ],
  localityEndpoints: [{ endpoints: [{ address: socketAddress(probe.at) }] }],
  ...(isTransparent &&
    !isLoopback(probe.at.address) && {
      upstreamBindConfig: {
        sourceAddress: { address: probe.at.address.includes(":") ? "::6" : "127.0.0.6", portValue: 0 },
      },
    }),
});

/** Nobody sends requests to a cluster of health checks, so that it is probed as often as one without traffic is. */
const timed = (probe: ProbeTimes): HealthCheckJson => ({
  timeout: protoDuration(probe.timeoutMs),
  interval: protoDuration(probe.intervalMs),
  noTrafficInterval: protoDuration(probe.intervalMs),
  unhealthyThreshold: probe.unhealthyThreshold,
  healthyThreshold: probe.healthyThreshold,
});

const isLoopback = (address: string): boolean => address.startsWith("127.") || address === "::1";

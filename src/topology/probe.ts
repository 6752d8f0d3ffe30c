// The applications of a Dataplane that are probed: `serviceProbe` of its inbounds, with what they leave unsaid (interop 2.7, 6.6).

import type {
  Dataplane_Networking_Inbound_ServiceProbeJson,
  DataplaneJson,
} from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";
import { parseGoDuration } from "#lib/duration.ts";
import { applicationAddress } from "#topology/inbound.ts";

/** One application, probed by opening a connection. */
export interface Probe extends ProbeTimes {
  /** Kuma's name for it; another address with the same port has one of its own. */
  readonly name: string;
  readonly at: HostPort;
}
export interface ProbeTimes {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
}

/** Of a proxy, each application once; `undefined`: it has none. */
export function probesOf(spec: DataplaneJson): readonly Probe[] | undefined {
  const probes: Probe[] = [];
  for (const inbound of spec.networking?.inbound ?? []) {
    const at = applicationAddress(spec, inbound);
    if (!inbound.serviceProbe || inbound.state === "Ignored" || probeAt(probes, at)) continue;
    const name = probes.some((other) => other.at.port === at.port) ? hostPortText(at) : `localhost:${at.port}`;
    probes.push({ name, at, ...timesOf(inbound.serviceProbe) });
  }
  return probes.length > 0 ? probes : undefined;
}

export const probeAt = (probes: readonly Probe[], at: HostPort): Probe | undefined =>
  probes.find((probe) => hostPortText(probe.at) === hostPortText(at));

/** Kuma's. */
export const usualTimes: ProbeTimes = {
  intervalMs: 1_000,
  timeoutMs: 2_000,
  unhealthyThreshold: 1,
  healthyThreshold: 1,
};

const timesOf = (probe: Dataplane_Networking_Inbound_ServiceProbeJson): ProbeTimes => ({
  intervalMs: parseGoDuration(probe.interval ?? "") ?? usualTimes.intervalMs,
  timeoutMs: parseGoDuration(probe.timeout ?? "") ?? usualTimes.timeoutMs,
  unhealthyThreshold: probe.unhealthyThreshold ?? usualTimes.unhealthyThreshold,
  healthyThreshold: probe.healthyThreshold ?? usualTimes.healthyThreshold,
});

/** What is checked under this name is Envoy itself. */
export const adminCheckName = "kuma:envoy:admin";

// The applications of a Dataplane that are probed: `serviceProbe` of its inbounds, with what they leave unsaid (interop 2.7, 6.6).

import type {
  Dataplane_Networking_Inbound_ServiceProbeJson,
  DataplaneJson,
} from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
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

/** Of an ingress of another zone. */
export interface ZoneEntrance extends HostPort {
  readonly zone: string;
}

/**
 * What an ingress of this zone finds out about others: whether a connection is accepted. Nothing more can be asked of an ingress of Kuma,
 * which closes whatever has no SNI.
 */
export const zoneProbesOf = (entrances: Iterable<ZoneEntrance>): readonly Probe[] =>
  [...new Map([...entrances].map((one) => [`${one.zone} ${hostPortText(one)}`, one]))]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { address, port }]) => ({ name, at: { address, port }, ...zoneTimes }));

export const zoneOfProbe = (name: string): string => name.slice(0, name.indexOf(" "));

/** For people to see: a report each two seconds. */
const zoneTimes: ProbeTimes = { intervalMs: 2_000, timeoutMs: 2_000, unhealthyThreshold: 2, healthyThreshold: 1 };

/** Where the ingress of another zone is reached; nothing for one of this zone, or one that isn't public. */
export function entranceElsewhere(
  { zone = "", networking = {} }: ZoneIngressJson,
  localZone: string,
): readonly ZoneEntrance[] {
  const { advertisedAddress: address = "", advertisedPort: port = 0 } = networking;
  return zone === "" || zone === localZone || address === "" || port === 0 ? [] : [{ zone, address, port }];
}

/** What is checked under this name is Envoy itself. */
export const adminCheckName = "kuma:envoy:admin";

// What Envoys are to find out: whether the applications of a Dataplane answer, by `serviceProbe` of its inbounds, with what they leave unsaid
// (interop 2.7, 6.6), and whether other zones do (decision 27).

import type {
  Dataplane_Networking_Inbound_ServiceProbeJson,
  DataplaneJson,
} from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { type HostPort, hostPortText } from "#lib/address.ts";
import { parseGoDuration } from "#lib/duration.ts";
import { label, type Resource } from "#resources/resource.ts";
import { applicationAddress } from "#topology/inbound.ts";

/** One application or ingress. */
export interface Probe extends ProbeTimes {
  /** Kuma's name for it; another address with the same port has one of its own. */
  readonly name: string;
  readonly at: HostPort;
  /** Whom it asks for by HTTP; absent: it opens a connection. */
  readonly host?: string;
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
  readonly answersProbes: boolean;
}

/** Where an ingress of Kodiak says that it is there. */
export const probedHost = (zone: string): string => `${zone}.probe.kodiak`;

/**
 * What ingresses and egresses of this zone find out about ingresses of others: whether they answer. Of one of Kuma, which closes what has no
 * SNI, whether a connection is accepted.
 */
export const zoneProbesOf = (entrances: Iterable<ZoneEntrance>): readonly Probe[] =>
  [...new Map([...entrances].map((one) => [`${one.zone} ${hostPortText(one)}`, one]))]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { zone, address, port, answersProbes }]) => ({
      ...{ name, at: { address, port }, ...zoneTimes },
      ...(answersProbes && { host: probedHost(zone) }),
    }));

export const zoneOfProbe = (name: string): string => name.slice(0, name.indexOf(" "));

/** Who does not answer for five seconds is missed; less is a busy machine, or a route that changes. */
const zoneTimes: ProbeTimes = { intervalMs: 1_000, timeoutMs: 2_000, unhealthyThreshold: 2, healthyThreshold: 1 };

/** Milliseconds from an answer until a zone that gives no other is missed: twice a probe's time, with the pause between. */
export const missedAfterMs =
  zoneTimes.unhealthyThreshold * zoneTimes.timeoutMs + (zoneTimes.unhealthyThreshold - 1) * zoneTimes.intervalMs;

/** Of so many silent ones among the other zones all are left out, or none, as it is this zone then that has lost its network. */
export const isWithinShare = (silent: number, others: number): boolean => 3 * silent <= 2 * (others + 1);

/** Where the ingress of another zone is reached; nothing for one of this zone, or one that isn't public. */
export function entranceElsewhere(
  { labels, spec: { zone = "", networking = {} } }: Pick<Resource<ZoneIngressJson>, "labels" | "spec">,
  localZone: string,
): readonly ZoneEntrance[] {
  const { advertisedAddress: address = "", advertisedPort: port = 0 } = networking;
  if (zone === "" || zone === localZone || address === "" || port === 0) return [];
  return [{ zone, address, port, answersProbes: labels[label.answersProbes] === "true" }];
}

/** What is checked under this name is Envoy itself. */
export const adminCheckName = "kuma:envoy:admin";

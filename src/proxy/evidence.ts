// What an Envoy concludes of others from what it sends them (decision 20): a client of a service's instances and of other zones, and the hops on
// the way, an egress and an ingress, of the next. Who does not answer is found, left and tried again, whether packets to it are
// refused or dropped. Nothing is sent for it at rest but a PING on a connection that is open: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier

import { type ClusterPiece, tcpCluster } from "#envoy/cluster.ts";
import type { ClusterJson } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { EgressForm } from "#topology/egress.ts";

/** A request that comes when nothing has for a second asks first; one that waits on a silent connection is found in four seconds. */
const keepalive = { connectionIdleInterval: "1s", interval: "3s", timeout: "1s" } as const;
/** In the own zone an Envoy that is held up for a second or two is late, and not gone. */
const patientKeepalive = { ...keepalive, timeout: "3s" } as const;

/**
 * Left after two failures in a row to connect, to keep a connection or to answer in time, for three seconds; then the next requests try it
 * again. What it answers counts for nothing. Two thirds of the endpoints at most: who has lost them all has lost its own network.
 */
const outlierDetection = {
  splitExternalLocalOriginErrors: true,
  consecutiveLocalOriginFailure: 2,
  enforcingConsecutiveLocalOriginFailure: 100,
  enforcingConsecutive5xx: 0,
  enforcingSuccessRate: 0,
  enforcingLocalOriginSuccessRate: 0,
  interval: "1s",
  baseEjectionTime: "3s",
  maxEjectionTime: "3s",
  maxEjectionPercent: 67,
} as const;

/**
 * The kernel ends a connection over which nothing is acknowledged for 20 s, whether bytes wait for that or, with nothing under way for ten
 * seconds, its own questions each five: nobody else would notice it of a connection that carries no requests. Linux alone knows the option.
 */
export const endsSilent: ClusterPiece = {
  upstreamConnectionOptions: { tcpKeepalive: { keepaliveTime: 10, keepaliveInterval: 5, keepaliveProbes: 3 } },
  upstreamBindConfig: {
    socketOptions: [
      { description: "TCP_USER_TIMEOUT in ms", level: "6", name: "18", intValue: "20000", state: "STATE_PREBIND" },
    ],
  },
};

/** Where a hop leads. A host that cannot be connected to so many times in a row is left for three seconds. */
export interface Hop {
  readonly connectTimeout: string;
  readonly failures: number;
}
/** Of egresses, and ingresses of other zones. */
export const toProxies: Hop = { connectTimeout: "1s", failures: 1 };
/**
 * Within a zone. A client in another zone has a second for its connection, of which the next instance needs a part; a packet that was lost is
 * sent again after a second, and must not leave out the only one that is well.
 */
export const toInstances: Hop = { connectTimeout: "0.400s", failures: 2 };

/**
 * A hop on the way to an instance, which the client's own attempt has to wait for: the next connection goes to the next host. Envoy chooses it
 * in turn, so that clients that renew their connections spread evenly.
 */
export const hopCluster = (name: string, { connectTimeout, failures }: Hop): ClusterJson =>
  tcpCluster(name, {
    ...{ connectTimeout, lbPolicy: "ROUND_ROBIN", ...endsSilent },
    outlierDetection: { ...outlierDetection, consecutiveLocalOriginFailure: failures, maxEjectionPercent: 100 },
    // By default a second host that is out of order within a second would be left in for the rest of it.
    commonLbConfig: { healthyPanicThreshold: { value: 1 }, updateMergeWindow: "0s" },
  });

/** Requests that are slow, of which there may be several at once, must not take a single instance away: so many in a row do. */
const patientDetection = { ...outlierDetection, consecutiveLocalOriginFailure: 5 } as const;

/**
 * Servers outside the mesh, of which there are several: who cannot be connected to is left for the others, those of a higher priority among
 * them, for longer than it takes to find out again.
 */
export const leavingServers: ClusterPiece = {
  outlierDetection: { ...outlierDetection, baseEjectionTime: "30s", maxEjectionTime: "30s", maxEjectionPercent: 100 },
  commonLbConfig: { healthyPanicThreshold: { value: 1 }, updateMergeWindow: "0s" },
};

/** Where the endpoints of a client's cluster may be: in its own zone, behind ingresses of others, or behind egresses. */
export type Reach = "zone" | "ingresses" | EgressForm;

/**
 * Seconds for TCP and TLS, and behind an egress for its own attempts as well. Who does not answer in that time is asked no longer. Absent: as long
 * as MeshTimeout says.
 */
const mostConnectSeconds: Partial<Record<Reach, number>> = { ingresses: 1, zones: 3, addresses: 3 };

/** `said`: by policies, of which one that says when instances are left out counts alone. */
export function withEvidence(said: ClusterPiece, reach: Reach): ClusterPiece {
  const { commonLbConfig, ...rest } = said;
  const isNear = reach === "zone";
  return {
    // An egress without ways of its own stands for all zones, and must not be left for one of them.
    ...(reach !== "addresses" && { outlierDetection: isNear ? patientDetection : outlierDetection }),
    // Behind an egress the way that may be cut begins there.
    ...((isNear || reach === "ingresses") && endsSilent),
    ...rest,
    ...connectTimeWithin(mostConnectSeconds[reach], said),
    // By default what is found within a second of something else would wait for the rest of it.
    commonLbConfig: { ...commonLbConfig, updateMergeWindow: "0s" },
    keepalive: isNear ? patientKeepalive : keepalive,
  };
}

function connectTimeWithin(most: number | undefined, { connectTimeout }: ClusterPiece): ClusterPiece {
  if (most === undefined) return {};
  return Number.parseFloat(connectTimeout ?? "Infinity") > most ? { connectTimeout: `${most}s` } : {};
}

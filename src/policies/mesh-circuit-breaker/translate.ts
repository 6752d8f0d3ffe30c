// MeshCircuitBreaker as Envoy's circuit breakers and outlier detection, of a cluster.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/outlier

import type { ClusterPiece } from "#envoy/cluster.ts";
import type { CircuitBreakersJson } from "#gen/envoy/config/cluster/v3/circuit_breaker_pb.ts";
import type { OutlierDetectionJson } from "#gen/envoy/config/cluster/v3/outlier_detection_pb.ts";
import { goToProto } from "#lib/duration.ts";
import { definedOf } from "#lib/json.ts";
import { inboundRules } from "#policies/inbound.ts";
import { mergeConfs } from "#policies/merge.ts";
import { checkBreakers } from "#policies/mesh-circuit-breaker/check.ts";
import {
  type BreakerConf,
  type ConnectionLimits,
  type MeshCircuitBreaker,
  type OutlierDetection,
  schema,
} from "#policies/mesh-circuit-breaker/schema.ts";
import { definePolicy } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";
import { toConf } from "#policies/to.ts";

const top: readonly TargetKind[] = [
  "Mesh",
  "MeshSubset",
  "MeshService",
  "MeshGateway",
  "MeshServiceSubset",
  "Dataplane",
];

export const meshCircuitBreaker = definePolicy({
  kind: "MeshCircuitBreaker",
  schema,
  targets: {
    top: { system: top, namespaced: top },
    listenerTags: true,
    parts: ["from", "to", "rules"],
    needsPart: true,
    from: () => ["Mesh"],
    to: () => ["Mesh", "MeshService", "MeshExternalService", "MeshMultiZoneService"],
  },
  check: checkBreakers,
  translate: {
    outbound: (matches, destination) => {
      const { connectionLimits = {}, ...conf } = toConf<BreakerConf>(matches, destination)?.conf ?? {};
      return { cluster: clusterPiece({ ...conf, connectionLimits: { ...fallback, ...connectionLimits } }) };
    },
    inbound: (matches, { section }) => {
      const rules = inboundRules(matches, section, ({ rules: own = [], from = [] }: MeshCircuitBreaker) =>
        own.length > 0 ? own : from,
      );
      return { cluster: clusterPiece(mergeConfs(rules.map(({ conf }) => conf)) ?? {}) };
    },
  },
});

/** Of what goes to a service. Envoy's own limit of three retries at a time would fail what a lost connection carried. */
const fallback: ConnectionLimits = { maxRetries: 1024 };

const clusterPiece = ({ connectionLimits, outlierDetection }: BreakerConf): ClusterPiece => ({
  ...(connectionLimits && { circuitBreakers: circuitBreakers(connectionLimits) }),
  ...(outlierDetection && outlierPiece(outlierDetection)),
});

const circuitBreakers = (limits: ConnectionLimits): CircuitBreakersJson => ({
  thresholds: [{ trackRemaining: true, ...definedOf(limits) }],
});

function outlierPiece(said: OutlierDetection): ClusterPiece {
  const { disabled = false, healthyPanicThreshold: panic } = said;
  return {
    ...(!disabled && said.detectors && { outlierDetection: outlierDetection(said) }),
    ...(panic !== undefined && { commonLbConfig: { healthyPanicThreshold: { value: Number(panic) } } }),
  };
}

/** Of detectors that are not said none is in force: Envoy's defaults would have some. */
function outlierDetection(said: OutlierDetection): OutlierDetectionJson {
  const { interval, baseEjectionTime, maxEjectionPercent, splitExternalAndLocalErrors, detectors = {} } = said;
  const { totalFailures, gatewayFailures, localOriginFailures, successRate, failurePercentage } = detectors;
  const factor = successRate?.standardDeviationFactor;
  return definedOf({
    interval: interval && goToProto(interval),
    baseEjectionTime: baseEjectionTime && goToProto(baseEjectionTime),
    maxEjectionPercent,
    // As the percentage is documented: of few instances one may go, however much of them that is.
    alwaysEjectOneHost: maxEjectionPercent === 0 ? undefined : true,
    splitExternalLocalOriginErrors: splitExternalAndLocalErrors,
    consecutive5xx: totalFailures?.consecutive,
    enforcingConsecutive5xx: enforced(totalFailures),
    consecutiveGatewayFailure: gatewayFailures?.consecutive,
    enforcingConsecutiveGatewayFailure: enforced(gatewayFailures),
    consecutiveLocalOriginFailure: localOriginFailures?.consecutive,
    enforcingConsecutiveLocalOriginFailure: enforced(localOriginFailures),
    successRateMinimumHosts: successRate?.minimumHosts,
    successRateRequestVolume: successRate?.requestVolume,
    // In thousandths.
    successRateStdevFactor: factor === undefined ? undefined : Math.round(Number(factor) * 1000),
    enforcingSuccessRate: enforced(successRate),
    enforcingLocalOriginSuccessRate: enforced(successRate),
    failurePercentageMinimumHosts: failurePercentage?.minimumHosts,
    failurePercentageRequestVolume: failurePercentage?.requestVolume,
    failurePercentageThreshold: failurePercentage?.threshold,
    enforcingFailurePercentage: enforced(failurePercentage),
    enforcingFailurePercentageLocalOrigin: enforced(failurePercentage),
  });
}

const enforced = (detector: object | undefined): number => (detector ? 100 : 0);

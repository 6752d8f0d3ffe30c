// What a MeshLoadBalancingStrategy must say besides its shape.

import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import { largestPrime } from "#policies/mesh-load-balancing-strategy/prime.ts";
import type {
  Failover,
  HashPolicy,
  LoadBalancer,
  LocalityAwareness,
  MeshLoadBalancingStrategy,
  StrategyConf,
} from "#policies/mesh-load-balancing-strategy/schema.ts";
import type { TargetKind } from "#policies/schema.ts";

type Path = readonly (string | number)[];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });

export function checkStrategies(spec: MeshLoadBalancingStrategy): readonly Issue[] {
  const top = spec.targetRef?.kind ?? "Mesh";
  return (spec.to ?? []).flatMap(({ targetRef, default: conf = {} }, i) => [
    ...destinationIssues(top, targetRef.kind, conf, ["spec", "to", i, "targetRef", "kind"]),
    ...confIssues(conf, targetRef.kind, ["spec", "to", i, "default"]),
  ]);
}

/** Beyond what may stand there at all. */
function destinationIssues(top: TargetKind, kind: TargetKind, conf: StrategyConf, path: Path): readonly Issue[] {
  if (kind === "MeshExternalService" && top !== "Mesh")
    return [issue(path, "must not be MeshExternalService: the egress that leads there is shared by all clients")];
  const isService = kind === "MeshService" || kind === "MeshMultiZoneService";
  return top === "MeshGateway" && isService && conf.loadBalancer
    ? [issue(path, "must be Mesh with loadBalancer and a targetRef of kind MeshGateway")]
    : [];
}

function confIssues(conf: StrategyConf, kind: TargetKind, path: Path): readonly Issue[] {
  const { hashPolicies = [], loadBalancer, localityAwareness } = conf;
  const ofRoutes = kind === "MeshHTTPRoute" ? (["loadBalancer", "localityAwareness"] as const) : [];
  return [
    ...ofRoutes
      .filter((name) => conf[name] !== undefined)
      .map((name) => issue([...path, name], "must be left out for a MeshHTTPRoute, which can only have hashPolicies")),
    ...hashIssues(hashPolicies, [...path, "hashPolicies"]),
    ...(loadBalancer ? balancerIssues(loadBalancer, [...path, "loadBalancer"]) : []),
    ...(localityAwareness ? localityIssues(localityAwareness, [...path, "localityAwareness"]) : []),
  ];
}

const needed: Readonly<Record<HashPolicy["type"], keyof HashPolicy | undefined>> = {
  Header: "header",
  Cookie: "cookie",
  Connection: "connection",
  SourceIP: undefined,
  QueryParameter: "queryParameter",
  FilterState: "filterState",
};

const hashIssues = (policies: readonly HashPolicy[], path: Path): readonly Issue[] =>
  policies.flatMap((policy, i) => {
    const member = needed[policy.type];
    if (member !== undefined && policy[member] === undefined)
      return [issue([...path, i, member], `is required with type ${policy.type}`)];
    return (parseGoDuration(policy.cookie?.ttl ?? "0s") ?? 0) < 0
      ? [issue([...path, i, "cookie", "ttl"], "must not be negative; 0s is until the client ends")]
      : [];
  });

function balancerIssues({ leastRequest, ringHash, maglev }: LoadBalancer, path: Path): readonly Issue[] {
  const issues = [
    ...hashIssues(ringHash?.hashPolicies ?? [], [...path, "ringHash", "hashPolicies"]),
    ...hashIssues(maglev?.hashPolicies ?? [], [...path, "maglev", "hashPolicies"]),
  ];
  const { minRingSize = 0, maxRingSize = minRingSize } = ringHash ?? {};
  if (minRingSize > maxRingSize)
    issues.push(issue([...path, "ringHash", "minRingSize"], `must be maxRingSize (${maxRingSize}) or less`));
  const size = maglev?.tableSize;
  if (size !== undefined && largestPrime(size) !== size)
    issues.push(issue([...path, "maglev", "tableSize"], `must be a prime number, like ${largestPrime(size)}`));
  const bias = leastRequest?.activeRequestBias;
  if (bias !== undefined && !isBias(bias))
    issues.push(
      issue([...path, "leastRequest", "activeRequestBias"], 'must be 0 or more, a decimal in quotes, like "1.5"'),
    );
  return issues;
}

const isBias = (bias: number | string): boolean =>
  typeof bias === "string" ? /^\d{1,9}(\.\d+)?$/.test(bias) : Number.isInteger(bias) && bias >= 0;

/** Envoy adds them in 32 bits. */
const mostWeight = 4_000_000_000;

function localityIssues({ localZone, crossZone }: LocalityAwareness, path: Path): readonly Issue[] {
  const tags = localZone?.affinityTags ?? [];
  const weighted = tags.filter(({ weight }) => weight !== undefined).length;
  const { failover = [], failoverThreshold } = crossZone ?? {};
  const issues = failover.flatMap((rule, i) => failoverIssues(rule, [...path, "crossZone", "failover", i]));
  if (weighted !== 0 && weighted !== tags.length)
    issues.push(issue([...path, "localZone", "affinityTags"], "must have a weight each, or none at all"));
  if (tags.reduce((sum, { weight = 0 }) => sum + weight, 0) > mostWeight)
    issues.push(issue([...path, "localZone", "affinityTags"], `must have weights of ${mostWeight} together or less`));
  if (failoverThreshold && Number(failoverThreshold.percentage) < 0.001)
    issues.push(issue([...path, "crossZone", "failoverThreshold", "percentage"], "must be 0.001 or more"));
  return issues;
}

function failoverIssues({ to: { type, zones = [] } }: Failover, path: Path): Issue[] {
  const where = [...path, "to", "zones"];
  const needsZones = type === "Only" || type === "AnyExcept";
  if (needsZones && zones.length === 0) return [issue(where, `must have a zone with type ${type}`)];
  return !needsZones && zones.length > 0 ? [issue(where, `must be left out with type ${type}`)] : [];
}

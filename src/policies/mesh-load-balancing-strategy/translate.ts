// MeshLoadBalancingStrategy: how a cluster chooses among its endpoints, what of a request it looks at, and which endpoints are near.
// https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/load_balancing/load_balancers

import type { ClusterPiece } from "#envoy/cluster.ts";
import type { RouteAction_HashPolicyJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { TcpProxyJson } from "#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { goToProto } from "#lib/duration.ts";
import { definedOf } from "#lib/json.ts";
import { checkStrategies } from "#policies/mesh-load-balancing-strategy/check.ts";
import { localityOf } from "#policies/mesh-load-balancing-strategy/locality.ts";
import { largestPrime } from "#policies/mesh-load-balancing-strategy/prime.ts";
import {
  type HashPolicy,
  type LoadBalancer,
  type StrategyConf,
  schema,
} from "#policies/mesh-load-balancing-strategy/schema.ts";
import { definePolicy, type Pieces } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";
import { toConf } from "#policies/to.ts";

const top: readonly TargetKind[] = [
  "Mesh",
  "MeshSubset",
  "MeshGateway",
  "MeshService",
  "MeshServiceSubset",
  "Dataplane",
];
const destinations: readonly TargetKind[] = ["Mesh", "MeshService", "MeshMultiZoneService"];

export const meshLoadBalancingStrategy = definePolicy({
  kind: "MeshLoadBalancingStrategy",
  schema,
  targets: {
    top: { system: top, namespaced: top },
    listenerTags: true,
    parts: ["to"],
    needsPart: false,
    to: (kind) => (kind === "MeshGateway" ? destinations : [...destinations, "MeshHTTPRoute"]),
  },
  check: checkStrategies,
  translate: {
    outbound: (matches, destination, { routes }) => {
      const conf = toConf<StrategyConf>(matches, destination, routes)?.conf;
      return conf ? pieces(conf) : {};
    },
    clientTags: ({ to = [] }) =>
      to.flatMap((entry) => entry.default?.localityAwareness?.localZone?.affinityTags ?? []).map(({ key }) => key),
  },
});

function pieces(conf: StrategyConf): Pieces {
  const { loadBalancer, localityAwareness = {} } = conf;
  const locality = localityOf(localityAwareness);
  const hashed = hashPoliciesOf(conf);
  const [ofConnections] = hashed.flatMap(connectionHash);
  return {
    cluster: {
      ...(loadBalancer && balancer(loadBalancer)),
      ...(locality.affinity.length > 0 && { commonLbConfig: { localityWeightedLbConfig: {} } }),
    },
    ...(hashed.length > 0 && { route: { hashPolicy: hashed.map(requestHash) } }),
    ...(ofConnections && { tcp: { hashPolicy: [ofConnections] } }),
    locality,
  };
}

function balancer({ type, leastRequest = {}, ringHash = {}, maglev = {} }: LoadBalancer): ClusterPiece {
  switch (type) {
    case "RoundRobin":
      return { lbPolicy: "ROUND_ROBIN" };
    case "Random":
      return { lbPolicy: "RANDOM" };
    case "LeastRequest": {
      const { choiceCount, activeRequestBias: bias } = leastRequest;
      const runtimeKey = "least_request.active_request_bias";
      const activeRequestBias = bias === undefined ? undefined : { defaultValue: Number(bias), runtimeKey };
      const conf = definedOf({ choiceCount, activeRequestBias });
      return { lbPolicy: "LEAST_REQUEST", ...(Object.keys(conf).length > 0 && { leastRequestLbConfig: conf }) };
    }
    case "RingHash":
      return { lbPolicy: "RING_HASH", ringHashLbConfig: ring(ringHash) };
    case "Maglev": {
      const { tableSize } = maglev;
      // A stock control plane takes others, too.
      const conf = tableSize === undefined ? undefined : { tableSize: String(largestPrime(tableSize)) };
      return { lbPolicy: "MAGLEV", ...(conf && { maglevLbConfig: conf }) };
    }
  }
}

/** Envoy's, where none is said. */
const smallestRing = 1024;

function ring({ minRingSize, maxRingSize, hashFunction }: NonNullable<LoadBalancer["ringHash"]>) {
  const least = Math.min(minRingSize ?? smallestRing, maxRingSize ?? Number.POSITIVE_INFINITY);
  return definedOf({
    minimumRingSize: minRingSize === undefined && least === smallestRing ? undefined : String(least),
    maximumRingSize: maxRingSize === undefined ? undefined : String(maxRingSize),
    hashFunction: hashFunction && ({ XXHash: "XX_HASH", MurmurHash2: "MURMUR_HASH_2" } as const)[hashFunction],
  });
}

/** What of requests counts; nothing for who does not look at them. Within `loadBalancer` is where it was said once. */
function hashPoliciesOf({ hashPolicies, loadBalancer }: StrategyConf): readonly HashPolicy[] {
  switch (loadBalancer?.type) {
    case "RingHash":
      return hashPolicies ?? loadBalancer.ringHash?.hashPolicies ?? [];
    case "Maglev":
      return hashPolicies ?? loadBalancer.maglev?.hashPolicies ?? [];
    default:
      return [];
  }
}

const requestHash = (policy: HashPolicy): RouteAction_HashPolicyJson => ({
  ...requestProperty(policy),
  ...(policy.terminal && { terminal: true }),
});

function requestProperty(policy: HashPolicy): RouteAction_HashPolicyJson {
  switch (policy.type) {
    case "Header":
      return { header: { headerName: policy.header?.name ?? "" } };
    case "Cookie": {
      const { name = "", ttl, path } = policy.cookie ?? {};
      return { cookie: { name, ...definedOf({ ttl: ttl && goToProto(ttl), path }) } };
    }
    case "Connection":
      return { connectionProperties: { sourceIp: policy.connection?.sourceIP ?? false } };
    case "SourceIP":
      return { connectionProperties: { sourceIp: true } };
    case "QueryParameter":
      return { queryParameter: { name: policy.queryParameter?.name ?? "" } };
    case "FilterState":
      return { filterState: { key: policy.filterState?.key ?? "" } };
  }
}

/** Of a connection without requests the first one that fits counts. */
function connectionHash(policy: HashPolicy): NonNullable<TcpProxyJson["hashPolicy"]> {
  if (policy.type === "FilterState") return [{ filterState: { key: policy.filterState?.key ?? "" } }];
  return policy.type === "SourceIP" || policy.connection?.sourceIP ? [{ sourceIp: {} }] : [];
}

// Endpoints in Envoy's words.

import { socketAddress } from "#envoy/address.ts";
import type { LocalityLbEndpointsJson } from "#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { ClusterLoadAssignmentJson } from "#gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { Endpoint } from "#topology/service.ts";

/** One locality a zone, in the order of the endpoints; all of a zone have one priority. */
export function assignment(cluster: string, endpoints: readonly Endpoint[]): ClusterLoadAssignmentJson {
  const localities = new Map<string, LocalityLbEndpointsJson>();
  for (const { address, port, zone, weight, tags, isMarked, priority } of endpoints) {
    const locality = localities.get(zone) ?? {
      locality: { zone },
      ...(priority > 0 && { priority }),
      lbEndpoints: [],
    };
    localities.set(zone, locality);
    locality.lbEndpoints?.push({
      endpoint: { address: socketAddress({ address, port }) },
      ...(isMarked && { healthStatus: "UNHEALTHY" }),
      loadBalancingWeight: weight,
      ...(Object.keys(tags).length > 0 && { metadata: { filterMetadata: { "envoy.lb": { ...tags } } } }),
    });
  }
  return { clusterName: cluster, endpoints: [...localities.values()] };
}

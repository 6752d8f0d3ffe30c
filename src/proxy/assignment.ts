// Endpoints in Envoy's words.

import { internalAddress, socketAddress } from "#envoy/address.ts";
import { egressName } from "#envoy/egress.ts";
import type { LocalityLbEndpointsJson } from "#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { ClusterLoadAssignmentJson } from "#gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { Tags } from "#topology/provider.ts";
import type { Endpoint } from "#topology/service.ts";

/** One locality a zone, in the order of the endpoints; all of a zone have one priority. */
export function assignment(cluster: string, endpoints: readonly Endpoint[]): ClusterLoadAssignmentJson {
  const localities = new Map<string, LocalityLbEndpointsJson>();
  for (const { address, port, way, zone, weight, tags, isMarked, priority } of endpoints) {
    const locality = localities.get(zone) ?? {
      locality: { zone },
      ...(priority > 0 && { priority }),
      lbEndpoints: [],
    };
    localities.set(zone, locality);
    locality.lbEndpoints?.push({
      endpoint: { address: way === undefined ? socketAddress({ address, port }) : internalAddress(egressName, way) },
      ...(isMarked && { healthStatus: "UNHEALTHY" }),
      loadBalancingWeight: weight,
      ...(Object.keys(tags).length > 0 && { metadata: { filterMetadata: metadataOf(tags, way) } }),
    });
  }
  return { clusterName: cluster, endpoints: [...localities.values()] };
}

/** Behind an egress the zone chooses the transport socket, too. */
const metadataOf = (tags: Tags, way: string | undefined) => ({
  "envoy.lb": { ...tags },
  ...(way !== undefined && { "envoy.transport_socket_match": { ...tags } }),
});

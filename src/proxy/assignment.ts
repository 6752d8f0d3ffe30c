// Endpoints in Envoy's words.

import { internalAddress, socketAddress } from "#envoy/address.ts";
import { egressName } from "#envoy/egress.ts";
import type { LocalityLbEndpointsJson } from "#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { ClusterLoadAssignmentJson } from "#gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { Tags } from "#topology/provider.ts";
import type { Endpoint } from "#topology/service.ts";

/** One locality a zone, or a part of one, in the order of the endpoints; all of it have one priority. `overprovisioningFactor`: percent. */
export function assignment(
  cluster: string,
  endpoints: readonly Endpoint[],
  overprovisioningFactor?: number,
): ClusterLoadAssignmentJson {
  const localities = new Map<string, LocalityLbEndpointsJson>();
  for (const { address, port, way, zone, weight, tags, isMarked, priority, near } of endpoints) {
    const { subZone = "" } = near ?? {};
    const key = `${zone}/${subZone}`;
    const locality = localities.get(key) ?? {
      locality: { zone, ...(subZone !== "" && { subZone }) },
      ...(priority > 0 && { priority }),
      ...(near && { loadBalancingWeight: near.weight }),
      lbEndpoints: [],
    };
    localities.set(key, locality);
    locality.lbEndpoints?.push({
      endpoint: { address: way === undefined ? socketAddress({ address, port }) : internalAddress(egressName, way) },
      ...(isMarked && { healthStatus: "UNHEALTHY" }),
      loadBalancingWeight: weight,
      ...(Object.keys(tags).length > 0 && { metadata: { filterMetadata: metadataOf(tags, way) } }),
    });
  }
  return {
    clusterName: cluster,
    endpoints: [...localities.values()],
    ...(overprovisioningFactor !== undefined && { policy: { overprovisioningFactor } }),
  };
}

/** Behind an egress the zone chooses the transport socket, too. */
const metadataOf = (tags: Tags, way: string | undefined) => ({
  "envoy.lb": { ...tags },
  ...(way !== undefined && { "envoy.transport_socket_match": { ...tags } }),
});

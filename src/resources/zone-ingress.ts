// The entrance of a zone: where other zones' traffic comes in, and to which services it leads (interop 2.7).

import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { Issue } from "#lib/issue.ts";
import { addressIssues, portIssues } from "#resources/address.ts";
import type { Resource } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asZoneIngress = (resource: Resource): Resource<ZoneIngressJson> => resource as Resource<ZoneIngressJson>;

export function zoneIngressIssues({ networking = {} }: ZoneIngressJson): readonly Issue[] {
  const { address, port, advertisedAddress, advertisedPort, admin } = networking;
  const path = ["networking"];
  const isPublic = advertisedAddress || advertisedPort;
  const ifAbsent = isPublic ? "is required: an ingress is reached at advertisedAddress and advertisedPort" : undefined;
  return [
    ...addressIssues(address, [...path, "address"]),
    ...portIssues(port, [...path, "port"], "is required"),
    ...addressIssues(advertisedAddress, [...path, "advertisedAddress"], ifAbsent),
    ...portIssues(advertisedPort, [...path, "advertisedPort"], ifAbsent),
    ...portIssues(admin?.port, [...path, "admin", "port"]),
  ];
}

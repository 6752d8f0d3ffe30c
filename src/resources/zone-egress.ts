// The exit of a zone: where its proxies' traffic for other zones and for external services leaves (interop 2.7).

import type { ZoneEgressJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import type { Issue } from "#lib/issue.ts";
import { addressIssues, portIssues } from "#resources/address.ts";
import type { Resource } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asZoneEgress = (resource: Resource): Resource<ZoneEgressJson> => resource as Resource<ZoneEgressJson>;

export function zoneEgressIssues({ networking = {} }: ZoneEgressJson): readonly Issue[] {
  const { address, port, admin } = networking;
  const path = ["networking"];
  return [
    ...addressIssues(address, [...path, "address"], "is required: proxies of this zone reach the egress there"),
    ...portIssues(port, [...path, "port"], "is required"),
    ...portIssues(admin?.port, [...path, "admin", "port"]),
  ];
}

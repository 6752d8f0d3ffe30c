// What is done with a resource of each kind: `resources/kinds.ts` says what it is, this file how it is checked and whether
// anything acts on it. The one place that store, KDS, API and CLI ask.

import type { Issue } from "#lib/issue.ts";
import type { JsonObject } from "#lib/json.ts";
import { findPolicy, policies } from "#policies/all.ts";
import { hostnameGeneratorIssues } from "#policies/hostname-generator.ts";
import { meshExternalServiceIssues } from "#policies/mesh-external-service.ts";
import { meshMultiZoneServiceIssues } from "#policies/mesh-multi-zone-service.ts";
import { meshServiceIssues } from "#policies/mesh-service.ts";
import { policyIssues, unknownPolicyMembers } from "#policies/policy.ts";
import { roleIssues } from "#policies/role.ts";
import { asDataplane, dataplaneIssues } from "#resources/dataplane.ts";
import { asExternalService, externalServiceIssues } from "#resources/external-service.ts";
import type { Kind } from "#resources/kind.ts";
import { asMesh, meshIssues } from "#resources/mesh.ts";
import { asMeshGateway, meshGatewayIssues } from "#resources/mesh-gateway.ts";
import { metaIssues } from "#resources/meta.ts";
import type { Resource } from "#resources/resource.ts";
import { asVirtualOutbound, virtualOutboundIssues } from "#resources/virtual-outbound.ts";
import { asZoneEgress, zoneEgressIssues } from "#resources/zone-egress.ts";
import { asZoneIngress, zoneIngressIssues } from "#resources/zone-ingress.ts";

/** What is wrong with a resource; its place (whose labels, which zone) is not looked at here. */
export const validateResource = (kind: Kind, resource: Resource): readonly Issue[] => [
  ...metaIssues(kind, resource),
  ...specIssues(kind, resource),
];

function specIssues(kind: Kind, resource: Resource): readonly Issue[] {
  switch (kind.name) {
    case "Dataplane":
      return dataplaneIssues(asDataplane(resource).spec);
    case "ZoneIngress":
      return zoneIngressIssues(asZoneIngress(resource).spec);
    case "ExternalService":
      return externalServiceIssues(asExternalService(resource).spec);
    case "ZoneEgress":
      return zoneEgressIssues(asZoneEgress(resource).spec);
    case "MeshGateway":
      return meshGatewayIssues(asMeshGateway(resource).spec);
    case "VirtualOutbound":
      return virtualOutboundIssues(asVirtualOutbound(resource).spec);
    case "HostnameGenerator":
      return hostnameGeneratorIssues(resource);
    case "MeshExternalService":
      return meshExternalServiceIssues(resource);
    case "MeshService":
      return meshServiceIssues(resource);
    case "MeshMultiZoneService":
      return meshMultiZoneServiceIssues(resource);
    case "Role":
      return roleIssues(resource);
    case "Mesh":
      return meshIssues(asMesh(resource).spec);
    default: {
      const policy = findPolicy(kind.name);
      return policy ? policyIssues(policy, resource) : [];
    }
  }
}

const actedOn: ReadonlySet<string> = new Set([
  "Config",
  "Dataplane",
  "ExternalService",
  "GlobalSecret",
  "HostnameGenerator",
  "Mesh",
  "MeshExternalService",
  "MeshGateway",
  "MeshMultiZoneService",
  "MeshService",
  "Role",
  "Secret",
  "VirtualOutbound",
  "Zone",
  "ZoneEgress",
  "ZoneIngress",
  ...policies.map(({ kind }) => kind),
]);

/** Others are stored, shown and passed on unchanged. */
export const isActedOn = (kind: Kind): boolean => actedOn.has(kind.name) || kind.readOnly;

/** Paths of members of a spec kind that this version doesn't know: kept, but worth a warning. */
export function unknownMembers(kind: Kind, spec: JsonObject): readonly string[] {
  const policy = findPolicy(kind.name);
  return policy ? unknownPolicyMembers(policy, spec) : [];
}

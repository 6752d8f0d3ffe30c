// A data plane proxy: the application that it stands before, and what that calls (interop 2.7).

import type {
  Dataplane_Networking_GatewayJson,
  Dataplane_Networking_Inbound_ServiceProbeJson,
  Dataplane_Networking_InboundJson,
  Dataplane_Networking_OutboundJson,
  Dataplane_NetworkingJson,
  DataplaneJson,
} from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import { addressIssues, ipIssues, portIssues, reachableIssues } from "#resources/address.ts";
import { atKey, isTagName, isTagValue } from "#resources/meta.ts";
import { type Labels, type Resource, tag } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asDataplane = (resource: Resource): Resource<DataplaneJson> => resource as Resource<DataplaneJson>;

type Path = readonly (string | number)[];
const protocols: readonly string[] = ["tcp", "http", "http2", "grpc", "kafka"];
const destinationKinds: readonly string[] = ["MeshService", "MeshMultiZoneService", "MeshExternalService"];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });

export function dataplaneIssues({ networking, probes }: DataplaneJson): readonly Issue[] {
  if (!networking) return [issue(["networking"], "is required")];
  const { inbound = [], outbound = [], gateway, admin } = networking;
  const path = ["networking"];
  return [
    ...addressIssues(networking.address, [...path, "address"], "is required"),
    ...addressIssues(networking.advertisedAddress, [...path, "advertisedAddress"]),
    ...roleIssues(networking, probes !== undefined),
    ...inbound.flatMap((one, i) => inboundIssues(one, [...path, "inbound", i])),
    ...sameIssues(networking),
    ...outbound.flatMap((one, i) => outboundIssues(one, [...path, "outbound", i])),
    ...(gateway ? gatewayIssues(gateway, [...path, "gateway"]) : []),
    ...portIssues(admin?.port, [...path, "admin", "port"]),
  ];
}

/** A builtin gateway has routes instead of an application; every other proxy stands before something. */
function roleIssues(networking: Dataplane_NetworkingJson, hasProbes: boolean): readonly Issue[] {
  const { inbound = [], listeners = [], gateway } = networking;
  if (gateway?.type === "BUILTIN") {
    const parts = (["inbound", "outbound", "listeners"] as const).filter((part) => (networking[part]?.length ?? 0) > 0);
    const issues = parts.map((part) => issue(["networking", part], "must be left out of a builtin gateway"));
    return hasProbes ? [...issues, issue(["probes"], "must be left out of a builtin gateway")] : issues;
  }
  if (inbound.length > 0 || listeners.length > 0 || gateway) return [];
  return [issue(["networking", "inbound"], "must have an item: the port at which the application is reached")];
}

function inboundIssues(inbound: Dataplane_Networking_InboundJson, path: Path): readonly Issue[] {
  const { tags = {}, protocol } = inbound;
  return [
    ...portIssues(inbound.port, [...path, "port"], "is required"),
    ...portIssues(inbound.servicePort, [...path, "servicePort"]),
    ...ipIssues(inbound.address, [...path, "address"]),
    ...reachableIssues(inbound.address, [...path, "address"]),
    ...ipIssues(inbound.serviceAddress, [...path, "serviceAddress"]),
    ...tagIssues(tags, [...path, "tags"], Object.keys(tags).length > 0),
    ...protocolIssues(tags[tag.protocol], [...path, "tags", tag.protocol]),
    ...protocolIssues(protocol || undefined, [...path, "protocol"]),
    ...probeIssues(inbound.serviceProbe ?? {}, [...path, "serviceProbe"]),
  ];
}

/** As Envoy takes them. */
function probeIssues(probe: Dataplane_Networking_Inbound_ServiceProbeJson, path: Path): readonly Issue[] {
  const times = (["interval", "timeout"] as const).filter((name) => (parseGoDuration(probe[name] ?? "1s") ?? 1) <= 0);
  const counts = (["unhealthyThreshold", "healthyThreshold"] as const).filter((name) => (probe[name] ?? 1) < 1);
  return [
    ...times.map((name) => issue([...path, name], "must be longer than 0s")),
    ...counts.map((name) => issue([...path, name], "must be 1 or more")),
  ];
}

const protocolIssues = (protocol: string | undefined, path: Path): readonly Issue[] =>
  protocol === undefined || protocols.includes(protocol)
    ? []
    : [issue(path, `must be one of ${protocols.join(", ")}, not ${protocol}`)];

/** Two inbounds can't listen at the same place, nor have the same name. */
function sameIssues({ inbound = [], address }: Dataplane_NetworkingJson): readonly Issue[] {
  const place = (one: Dataplane_Networking_InboundJson): string => `${one.address || address} ${one.port}`;
  return inbound.flatMap((one, i) => {
    const earlier = inbound.slice(0, i);
    const path = ["networking", "inbound", i];
    if (earlier.some((other) => place(other) === place(one)))
      return [issue([...path, "port"], `must not be used twice: another inbound has ${one.port}`)];
    if (one.name && earlier.some(({ name }) => name === one.name))
      return [issue([...path, "name"], `must not be used twice: another inbound is called ${one.name}`)];
    return [];
  });
}

const gatewayIssues = ({ tags = {} }: Dataplane_Networking_GatewayJson, path: Path): readonly Issue[] =>
  tagIssues(tags, [...path, "tags"], true);

function outboundIssues(outbound: Dataplane_Networking_OutboundJson, path: Path): readonly Issue[] {
  const { tags, backendRef } = outbound;
  const issues = [
    ...portIssues(outbound.port, [...path, "port"], "is required"),
    ...ipIssues(outbound.address, [...path, "address"]),
  ];
  if (tags && backendRef) return [...issues, issue(path, "must have tags or backendRef, not both")];
  if (!backendRef) return [...issues, ...tagIssues(tags ?? {}, [...path, "tags"], true)];
  const { kind = "", name, labels, port } = backendRef;
  const where = [...path, "backendRef"];
  if (!destinationKinds.includes(kind))
    issues.push(issue([...where, "kind"], `must be one of ${destinationKinds.join(", ")}`));
  if (!name === !labels) issues.push(issue(where, "must have name or labels, not both"));
  return [...issues, ...portIssues(port, [...where, "port"], "is required")];
}

function tagIssues(tags: Labels, path: Path, needsService: boolean): readonly Issue[] {
  const issues = Object.entries(tags).flatMap(([key, value]) => {
    const where = atKey(path, key);
    if (!isTagName(key)) return [{ path: where, message: "must have a name of letters, digits and . - _ : /" }];
    if (!isTagValue(value)) return [{ path: where, message: "must be letters, digits and . - _ :, and not empty" }];
    return [];
  });
  if (needsService && tags[tag.service] === undefined) issues.push(issue([...path, tag.service], "is required"));
  return issues;
}

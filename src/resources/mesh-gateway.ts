// A MeshGateway: where builtin gateways listen, for what, and with which certificates (interop 2.9).

import type { MeshGateway_ListenerJson, MeshGatewayJson } from "#gen/kuma/mesh/v1alpha1/gateway_pb.ts";
import { at, type Issue } from "#lib/issue.ts";
import { portIssues } from "#resources/address.ts";
import { isDnsName } from "#resources/meta.ts";
import type { Resource } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asMeshGateway = (resource: Resource): Resource<MeshGatewayJson> => resource as Resource<MeshGatewayJson>;

type Path = readonly (string | number)[];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });
const protocols = ["TCP", "TLS", "HTTP", "HTTPS"];

export function meshGatewayIssues({ selectors = [], conf }: MeshGatewayJson): readonly Issue[] {
  const listeners = conf?.listeners ?? [];
  return [
    ...(selectors.length > 0 ? [] : [issue(["selectors"], "must have an item: the tags of the gateways it is for")]),
    ...(listeners.length > 0 ? [] : [issue(["conf", "listeners"], "must have an item")]),
    ...listeners.flatMap((one, i) => listenerIssues(one, listeners.slice(0, i), ["conf", "listeners", i])),
  ];
}

function listenerIssues(
  one: MeshGateway_ListenerJson,
  earlier: readonly MeshGateway_ListenerJson[],
  path: Path,
): readonly Issue[] {
  const { port, protocol = "NONE", hostname = "", tls } = one;
  const issues = [
    ...portIssues(port, [...path, "port"], "is required"),
    ...hostnameIssues(hostname, [...path, "hostname"]),
  ];
  if (!protocols.includes(protocol))
    issues.push(issue([...path, "protocol"], `must be one of ${protocols.join(", ")}`));
  const same = earlier.filter((other) => other.port === port);
  const other = same.find((each) => each.protocol !== protocol);
  if (other)
    issues.push(issue([...path, "protocol"], `must be ${other.protocol}, as of the other listener of port ${port}`));
  if (same.some((each) => (each.hostname || "*") === (hostname || "*")))
    issues.push(issue([...path, "hostname"], `must not be used twice on port ${port}`));
  if (protocol === "HTTPS") {
    if (tls?.mode !== "TERMINATE") issues.push(issue([...path, "tls", "mode"], "must be TERMINATE with HTTPS"));
    if ((tls?.certificates ?? []).length === 0)
      issues.push(issue([...path, "tls", "certificates"], "must have an item: the Secret with certificate and key"));
  }
  return issues;
}

const hostnameIssues = (hostname: string, path: Path): Issue[] =>
  hostname === "" || hostname === "*" || isDnsName(hostname.replace(/^\*\./, ""))
    ? []
    : [issue(path, "must be a DNS name, *. and a DNS name, or *")];

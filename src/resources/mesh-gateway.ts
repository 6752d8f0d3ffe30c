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
  const { port, protocol = "NONE", hostname = "" } = one;
  return [
    ...portIssues(port, [...path, "port"], "is required"),
    ...hostnameIssues(hostname, [...path, "hostname"]),
    ...(protocols.includes(protocol) ? [] : [issue([...path, "protocol"], `must be one of ${protocols.join(", ")}`)]),
    ...tlsIssues(one, [...path, "tls"]),
    ...certificateIssues(one, [...path, "tls", "certificates"]),
    ...portmateIssues(
      one,
      earlier.filter((other) => other.port === port),
      path,
    ),
  ];
}

/** What listeners of one port have to have in common, and what not. */
function portmateIssues(
  { port, protocol = "NONE", hostname = "", resources }: MeshGateway_ListenerJson,
  same: readonly MeshGateway_ListenerJson[],
  path: Path,
): readonly Issue[] {
  const issues: Issue[] = [];
  const other = same.find((each) => each.protocol !== protocol);
  if (other)
    issues.push(issue([...path, "protocol"], `must be ${other.protocol}, as of the other listener of port ${port}`));
  if (same.some((each) => (each.hostname || "*") === (hostname || "*")))
    issues.push(issue([...path, "hostname"], `must not be used twice on port ${port}`));
  else if (protocol === "TCP" && same.some((each) => each.protocol === "TCP"))
    issues.push(
      issue(
        [...path, "port"],
        `must be another than ${port}: a connection says no name that would tell two TCP listeners apart`,
      ),
    );
  const limit = resources?.connectionLimit;
  const otherLimit = same.map((each) => each.resources?.connectionLimit).find((each) => each && each !== limit);
  if (limit && otherLimit)
    issues.push(
      issue(
        [...path, "resources", "connectionLimit"],
        `must be ${otherLimit}, as of the other listener of port ${port}, or be left out`,
      ),
    );
  return issues;
}

function tlsIssues({ protocol, tls }: MeshGateway_ListenerJson, path: Path): readonly Issue[] {
  if (protocol !== "HTTPS" && protocol !== "TLS") return [];
  const certificates = tls?.certificates ?? [];
  if (tls?.mode === "PASSTHROUGH" && protocol === "TLS")
    return certificates.length === 0
      ? []
      : [issue([...path, "certificates"], "must be left out with PASSTHROUGH: the service shows its own")];
  const modes = protocol === "TLS" ? "TERMINATE or PASSTHROUGH with TLS" : "TERMINATE with HTTPS";
  return [
    ...(tls?.mode === "TERMINATE" ? [] : [issue([...path, "mode"], `must be ${modes}`)]),
    ...(certificates.length > 0 || (protocol === "TLS" && tls?.mode !== "TERMINATE")
      ? []
      : [issue([...path, "certificates"], "must have an item: the Secret with certificate and key")]),
  ];
}

/** Kuma takes them from anywhere; here keys go to proxies from Secrets alone, which are encrypted at rest and shown to few. */
const certificateIssues = ({ tls }: MeshGateway_ListenerJson, path: Path): Issue[] =>
  (tls?.certificates ?? []).flatMap(({ secret }, i) =>
    secret ? [] : [issue([...path, i], "must be {secret: name}: a Secret of the mesh with certificate and key")],
  );

const hostnameIssues = (hostname: string, path: Path): Issue[] =>
  hostname === "" || hostname === "*" || isDnsName(hostname.replace(/^\*\./, ""))
    ? []
    : [issue(path, "must be a DNS name, *. and a DNS name, or *")];

// What a MeshPassthrough must say besides its shape.

import { at, type Issue } from "#lib/issue.ts";
import { networkIn } from "#lib/network.ts";
import type { MeshPassthrough, PassthroughMatch } from "#policies/mesh-passthrough/schema.ts";
import { isDnsName } from "#resources/meta.ts";

export const isHttp = ({ protocol }: PassthroughMatch): boolean =>
  protocol === "http" || protocol === "http2" || protocol === "grpc";

export function checkMatches(spec: MeshPassthrough): readonly Issue[] {
  const matches = spec.default?.appendMatch ?? [];
  return matches.flatMap((match, i) => {
    const issue = (field: string, message: string): Issue => ({
      path: at("spec", "default", "appendMatch", i, field),
      message,
    });
    const earlier = matches.slice(0, i);
    const isSame = (other: PassthroughMatch): boolean =>
      other.value === match.value && other.port === match.port && other.protocol === match.protocol;
    const other = earlier.find(
      (one) => isHttp(one) && isHttp(match) && one.port === match.port && one.protocol !== match.protocol,
    );
    return [
      ...(match.type === "Domain" ? domainIssues(match, issue) : addressIssues(match, issue)),
      ...(match.protocol === "mysql" && match.port === undefined
        ? [issue("port", "is required with protocol mysql: nothing else tells it from others")]
        : []),
      ...(earlier.some(isSame) ? [issue("value", `is there already, for this port and protocol: ${match.value}`)] : []),
      ...(other ? [issue("protocol", `must be ${other.protocol}, as in another entry for this port`)] : []),
    ];
  });
}

type IssueOf = (field: string, message: string) => Issue;

function addressIssues({ type, value }: PassthroughMatch, issue: IssueOf): readonly Issue[] {
  const isCidr = value.includes("/");
  if (networkIn(value) !== undefined && isCidr === (type === "CIDR")) return [];
  return [
    issue("value", type === "IP" ? "must be an IP address, like 10.1.2.3" : "must be a network, like 10.2.0.0/16"),
  ];
}

function domainIssues({ value, port, protocol }: PassthroughMatch, issue: IssueOf): readonly Issue[] {
  const issues: Issue[] = [];
  const name = value.startsWith("*.") ? value.slice(2) : value;
  if (value !== "*" && !isDnsName(name))
    issues.push(
      issue("value", "must be a domain, like example.com or *.example.com; a wildcard is a whole first label"),
    );
  if (protocol === "tcp" || protocol === "mysql")
    issues.push(issue("protocol", "must be tls, http, http2 or grpc for a domain: nothing else names whom it calls"));
  else if (protocol !== "tls" && value.startsWith("*") && port === undefined)
    issues.push(issue("port", `is required for a domain with a wildcard and protocol ${protocol}`));
  return issues;
}

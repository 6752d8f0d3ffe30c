// Addresses and ports in proxies' resources.

import { at, type Issue } from "#lib/issue.ts";
import { isDnsName } from "#resources/meta.ts";

type Path = readonly (string | number)[];

const octet = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const ipv4 = new RegExp(`^${octet}(\\.${octet}){3}$`);

function isIpv6(text: string): boolean {
  const halves = text.split("::");
  if (halves.length > 2) return false;
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const isComplete = halves.length === 2 ? groups.length < 8 : groups.length === 8;
  return isComplete && groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group));
}

/** Of others' use: an address that means every interface is none. */
export function addressIssues(address: string | undefined, path: Path, ifAbsent?: string): readonly Issue[] {
  if (!address) return ifAbsent === undefined ? [] : [{ path: at(...path), message: ifAbsent }];
  if (address === "0.0.0.0" || address === "::")
    return [{ path: at(...path), message: `must be an address that others can reach, not ${address}` }];
  const isName = isDnsName(address) && !/^[\d.]+$/.test(address);
  if (ipv4.test(address) || isIpv6(address) || isName) return [];
  return [{ path: at(...path), message: "must be an IP address or a DNS name" }];
}

export function portIssues(port: number | undefined, path: Path, ifAbsent?: string): readonly Issue[] {
  if (!port) return ifAbsent === undefined ? [] : [{ path: at(...path), message: ifAbsent }];
  return port <= 65535 ? [] : [{ path: at(...path), message: "must be a port, 1 to 65535" }];
}

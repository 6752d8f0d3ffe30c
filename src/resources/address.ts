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

export const isIp = (text: string): boolean => ipv4.test(text) || isIpv6(text);

/** Where others come in: an IP address, or a name that leads to one. */
export function addressIssues(address: string | undefined, path: Path, ifAbsent?: string): readonly Issue[] {
  if (!address) return ifAbsent === undefined ? [] : [{ path: at(...path), message: ifAbsent }];
  const isName = isDnsName(address) && !/^[\d.]+$/.test(address);
  if (isIp(address) || isName) return reachableIssues(address, path);
  return [{ path: at(...path), message: "must be an IP address or a DNS name" }];
}

/** Where a proxy listens or calls its application: Envoy looks no names up there. */
export function ipIssues(address: string | undefined, path: Path): readonly Issue[] {
  if (!address || isIp(address)) return [];
  return [{ path: at(...path), message: "must be an IP address" }];
}

/** An address that means every interface is none of others' use. */
export function reachableIssues(address: string | undefined, path: Path): readonly Issue[] {
  if (address !== "0.0.0.0" && address !== "::") return [];
  return [{ path: at(...path), message: `must be an address that others can reach, not ${address}` }];
}

export function portIssues(port: number | undefined, path: Path, ifAbsent?: string): readonly Issue[] {
  if (!port) return ifAbsent === undefined ? [] : [{ path: at(...path), message: ifAbsent }];
  return port <= 65535 ? [] : [{ path: at(...path), message: "must be a port, 1 to 65535" }];
}

// What a user wants redirected, parsed: from the texts of flags to ranges and addresses. Forms are Kuma's (`kumactl install
// transparent-proxy`).

import { isIP } from "node:net";
import type { Issue } from "#lib/issue.ts";

/** First and last, both inclusive. */
export type Range = readonly [from: number, to: number];
export type IpFamily = "ipv4" | "ipv6";
export type PerFamily = Readonly<Record<IpFamily, readonly string[]>>;

export interface Redirection {
  /** Whose connections are not redirected, since they are the proxy's. */
  readonly proxyUser: number;
  /** Absent: inbound connections stay as they are, as before a gateway. */
  readonly inbound?: {
    readonly port: number;
    readonly excludedPorts: readonly Range[];
    /** By who calls. */
    readonly excludedAddresses: PerFamily;
  };
  readonly outbound: {
    readonly port: number;
    readonly excludedPorts: readonly Range[];
    /** By who is called. */
    readonly excludedAddresses: PerFamily;
    readonly excludedForUsers: readonly UserExclusion[];
  };
  readonly dns?: {
    readonly port: number;
    /** Questions to these, or to any. */
    readonly servers: PerFamily | "all";
    readonly hasOwnZone: boolean;
  };
  readonly dropsInvalid: boolean;
}

export interface UserExclusion {
  readonly protocol: "tcp" | "udp";
  /** Absent: all. */
  readonly ports?: readonly Range[];
  readonly users: Range;
}

/** What a text stands for, or what it must be instead. */
export type Parsed<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "issue"; readonly issue: Issue };

const value = <T>(of: T): Parsed<T> => ({ kind: "value", value: of });
const refused = (path: string, message: string): Parsed<never> => ({ kind: "issue", issue: { path, message } });

/** `80`, `3000-5000`. */
export function portsIn(flag: string, texts: readonly string[]): Parsed<readonly Range[]> {
  const ranges = texts.map((text) => rangeIn(text, 1, 65535));
  const wrong = ranges.indexOf(undefined);
  if (wrong >= 0) return refused(flag, `must be ports from 1 to 65535, like 80 or 3000-5000, not ${texts[wrong]}`);
  return value(merged(ranges.filter((range) => range !== undefined)));
}

/** A set of nft may not name a port twice. */
function merged(ranges: readonly Range[]): readonly Range[] {
  const apart: Range[] = [];
  for (const [from, to] of ranges.toSorted(([left], [right]) => left - right)) {
    const last = apart.at(-1);
    if (last === undefined || from > last[1] + 1) apart.push([from, to]);
    else apart[apart.length - 1] = [last[0], Math.max(last[1], to)];
  }
  return apart;
}

/** `10.0.0.1`, `192.168.0.0/24`, `fd00::/8`. */
export function addressesIn(flag: string, texts: readonly string[]): Parsed<PerFamily> {
  const wrong = texts.find((text) => familyOf(text) === undefined);
  if (wrong !== undefined)
    return refused(flag, `must be IP addresses or networks, like 10.0.0.1 or fd00::/8, not ${wrong}`);
  return value(perFamily(texts));
}

export const perFamily = (texts: readonly string[]): PerFamily => ({
  ipv4: texts.filter((text) => familyOf(text) === "ipv4"),
  ipv6: texts.filter((text) => familyOf(text) === "ipv6"),
});

/**
 * `[[protocol:]ports:]users`, where protocol is `tcp` or `udp` (absent or empty: both), ports are a list with ranges or `*`, and users
 * a UID, a range of them or, as `idOf` knows it, a name.
 */
export function userExclusionsIn(
  flag: string,
  texts: readonly string[],
  idOf: (name: string) => number | undefined,
): Parsed<readonly UserExclusion[]> {
  const found: UserExclusion[] = [];
  for (const text of texts) {
    const [usersText = "", portsText = "*", protocolText = "", ...more] = text.split(":").reverse();
    const id = /^[a-z_]/i.test(usersText) ? idOf(usersText) : undefined;
    const users = id === undefined ? rangeIn(usersText, 0, 4294967294) : ([id, id] as const);
    const ports = portsText === "*" || portsText === "" ? undefined : portsIn(flag, portsText.split(","));
    const protocols = (["tcp", "udp"] as const).filter((known) => protocolText === "" || known === protocolText);
    if (users === undefined && /^[a-z_]/i.test(usersText))
      return refused(flag, `there is no user ${usersText}, as in ${text}; give the UID or create the user`);
    if (users === undefined || protocols.length === 0 || more.length > 0)
      return refused(flag, `must be protocol:ports:users, like tcp:53,3000-5000:106-108 or *:106, not ${text}`);
    if (ports?.kind === "issue") return refused(flag, `${ports.issue.message}, in ${text}`);
    for (const protocol of protocols) found.push({ protocol, users, ...(ports && { ports: ports.value }) });
  }
  return value(found);
}

function rangeIn(text: string, least: number, most: number): Range | undefined {
  const [, first, last = first] = /^(\d{1,10})(?:-(\d{1,10}))?$/.exec(text) ?? [];
  const [from, to] = [Number(first), Number(last)];
  return first !== undefined && from >= least && from <= to && to <= most ? [from, to] : undefined;
}

function familyOf(text: string): IpFamily | undefined {
  const [address = "", prefix, ...more] = text.split("/");
  const version = isIP(address);
  // A zone, as in fe80::1%eth0, is nothing that rules can hold.
  if (version === 0 || more.length > 0 || address.includes("%")) return undefined;
  if (prefix !== undefined && !(/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128)))
    return undefined;
  return version === 4 ? "ipv4" : "ipv6";
}

/** Of /etc/resolv.conf, in its order. Without any the resolver asks this host (resolv.conf(5)). */
export function resolverAddressesIn(resolvConf: string): readonly string[] {
  const servers = [...resolvConf.matchAll(/^\s*nameserver\s+([^\s#;]+)/gm)].map(([, server = ""]) => server);
  return servers.length === 0 ? ["127.0.0.1"] : servers;
}

export const nameServersIn = (resolvConf: string): PerFamily =>
  perFamily(resolverAddressesIn(resolvConf).map((server) => server.replace(/%.*/, "")));

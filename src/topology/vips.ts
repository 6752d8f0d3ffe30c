// The virtual IP addresses of a mesh's names, as they are kept and as they are used (interop 8.1): a Config for each mesh, in Kuma's
// form, with what this program adds that Kuma's tools leave alone.
//
//   {"0:backend": {"address": "240.1.2.3", "outbounds": [{"Port": 0, "TagSet": {"kuma.io/service": "backend"}, "Origin": "service"}]}}

import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { tag } from "#resources/resource.ts";
import type { Tags } from "#topology/provider.ts";

/** What answers at a port of an address. */
export interface VipOutbound {
  /** 0: only the port that every service has. */
  readonly port: number;
  readonly tags: Tags;
  /** `service`, `external-service:<name>`, or `virtual-outbound:<name>`. */
  readonly origin: string;
}

/**
 * By key: `0:<service>`, `1:<DNS name>` for the address of an ExternalService, `2:<DNS name>` for a name that a VirtualOutbound makes,
 * or the KRI of a service that is a resource, which has its names and ports itself.
 */
export type Names = ReadonlyMap<string, readonly VipOutbound[]>;

export interface VipEntry {
  /** IPv4. */
  readonly address: string;
  readonly outbounds: readonly VipOutbound[];
  /** RFC 3339: since then nothing has this name. Its address is nobody else's for a while. */
  readonly freedAt?: string;
}
export type VipTable = ReadonlyMap<string, VipEntry>;

/** At which every service is called. */
export const servicePort = 80;
const domain = "mesh";

export const serviceName = (service: string): string => `0:${service}`;
export const hostName = (address: string): string => `1:${address.toLowerCase()}`;
export const dnsName = (name: string): string => `2:${name}`;
export const serviceOutbound = (service: string): VipOutbound => ({
  ...{ port: 0, origin: "service" },
  tags: { [tag.service]: service },
});

/** Services that are resources, by the first byte of their addresses (interop 8.2). */
const resourceRanges = { kri_msvc: 241, kri_extsvc: 242, kri_mzsvc: 243 } as const;
/** `undefined`: a name by itself. */
export function resourceRangeOf(key: string): number | undefined {
  const found = Object.entries(resourceRanges).find(([prefix]) => key.startsWith(`${prefix}_`));
  return found?.[1];
}

/** Of the table that each control plane keeps. */
export const tableConfig = (mesh: string): string => `kuma-${mesh}-dns-vips`;
/** Of what global hands down: addresses by name of those that are not at home (decision 16). */
export const exceptionsConfig = (mesh: string): string => `kodiak-${mesh}-vips`;
const meshIn = (pattern: RegExp, config: string): string | undefined => pattern.exec(config)?.[1];
export const meshOfTable = (config: string): string | undefined => meshIn(/^kuma-(.+)-dns-vips$/, config);
export const meshOfExceptions = (config: string): string | undefined => meshIn(/^kodiak-(.+)-vips$/, config);

/** Sorted, so that equal tables are equal texts. */
export function tableText(table: VipTable): string {
  const entries = [...table].sort(byKey).map(([name, { address, outbounds, freedAt }]) => {
    const shown = outbounds.map(({ port, tags, origin }) => ({ Port: port, TagSet: tags, Origin: origin }));
    return [name, { address, outbounds: shown, ...(freedAt !== undefined && { freedAt }) }];
  });
  return JSON.stringify(Object.fromEntries(entries));
}

/** What cannot be read of it is left out: its names get addresses anew. */
export function tableIn(text: string | undefined): VipTable {
  const table = new Map<string, VipEntry>();
  for (const [name, entry] of membersIn(text)) {
    if (!isObject(entry) || typeof entry.address !== "string") continue;
    const { address, freedAt, outbounds } = entry;
    table.set(name, {
      address,
      outbounds: (Array.isArray(outbounds) ? outbounds : []).flatMap(outboundIn),
      ...(typeof freedAt === "string" && { freedAt }),
    });
  }
  return table;
}

function outboundIn(outbound: JsonValue): readonly VipOutbound[] {
  if (!isObject(outbound) || !isObject(outbound.TagSet)) return [];
  const tags = Object.fromEntries(Object.entries(outbound.TagSet).map(([key, value]) => [key, String(value)]));
  return [{ port: Number(outbound.Port ?? 0), tags, origin: String(outbound.Origin ?? "") }];
}

/** Addresses by name. */
export type Exceptions = ReadonlyMap<string, string>;
export const exceptionsText = (exceptions: Exceptions): string =>
  JSON.stringify(Object.fromEntries([...exceptions].sort(byKey)));
export const exceptionsIn = (text: string | undefined): Exceptions =>
  new Map(membersIn(text).flatMap(([name, address]) => (typeof address === "string" ? [[name, address]] : [])));

function membersIn(text: string | undefined): readonly (readonly [string, JsonValue | undefined])[] {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return isObject(value) ? Object.entries(value) : [];
  } catch {
    return [];
  }
}

export const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** A name that exists: what it is called in DNS, and what it leads to. */
export interface Named {
  /** Lower case. */
  readonly domains: readonly string[];
  readonly address: string;
  readonly outlets: readonly { readonly port: number; readonly tags: Tags }[];
}

/** By key. No DNS name is in two of them: DNS knows no letter case, services do. */
export function namedIn(table: VipTable): readonly Named[] {
  const used = new Set<string>();
  return [...table].flatMap(([key, { address, outbounds, freedAt }]): readonly Named[] => {
    if (freedAt !== undefined || resourceRangeOf(key) !== undefined) return [];
    const domains = domainsOf(key).filter((name) => isAskable(name) && !used.has(name));
    for (const name of domains) used.add(name);
    const ports = new Map<number, Tags>();
    for (const { port, tags, origin } of outbounds) {
      if (port !== 0 && !ports.has(port)) ports.set(port, tags);
      if (origin === "service") ports.set(servicePort, tags);
      else if (origin.startsWith("external-service:") && !ports.has(servicePort)) ports.set(servicePort, tags);
    }
    return [{ domains, address, outlets: [...ports].map(([port, tags]) => ({ port, tags })) }];
  });
}

/** Of a service, `a_b.mesh` and `a.b.mesh`: `_` is in no host name. */
export function domainsOf(key: string): readonly string[] {
  const name = key.slice(2).toLowerCase();
  if (!key.startsWith("0:")) return [name];
  return [...new Set([`${name}.${domain}`, `${name.replaceAll("_", ".")}.${domain}`])];
}

/** Labels of at most 63 characters, 253 in all (RFC 1035); `_` is taken, as services have it. */
const isAskable = (name: string): boolean =>
  name.length <= 253 && /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/.test(name);

/** What the status of a service that is a resource says: where it is called, and how. */
export interface ResourceAddress {
  readonly address: string;
  /** Lower case. */
  readonly domains: readonly string[];
}
/** `undefined` as long as it has no address. */
export function resourceAddressIn(status: JsonObject | undefined): ResourceAddress | undefined {
  const { vip, vips, addresses } = status ?? {};
  const [first] = Array.isArray(vips) ? vips : [vip];
  if (!isObject(first) || typeof first.ip !== "string") return undefined;
  const domains = (Array.isArray(addresses) ? addresses : []).flatMap((one) =>
    isObject(one) && typeof one.hostname === "string" ? [one.hostname.toLowerCase()] : [],
  );
  return { address: first.ip, domains };
}

/** The same address for who speaks IPv6 only: `::ffff:f001:203`, as Kuma writes it. */
export function mappedAddress(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split(".").map(Number);
  return `::ffff:${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}

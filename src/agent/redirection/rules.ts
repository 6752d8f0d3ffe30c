// What is redirected into Envoy, as rules that neither iptables nor nft has written yet. The first rule that fits decides; `return`
// leaves the packet to the rules of others. Sources: interop 7.9 (15001, 15006, 127.0.0.6 and ::6), 8.3 (15053), 11.

import type { IpFamily, Range, Redirection } from "#agent/redirection/redirection.ts";

export interface Match {
  readonly protocol?: "tcp" | "udp";
  /** Destination ports; a packet has to have one of them. Needs `protocol`. */
  readonly ports?: readonly Range[];
  readonly sourcePort?: number;
  /** An address, or a network in CIDR form. */
  readonly source?: string;
  readonly destination?: string;
  readonly notDestination?: string;
  /** Of the process that sends. */
  readonly user?: Range;
  /** Leaves by the loopback interface: what is for any address of this host. */
  readonly isToItself?: true;
  /** Came from elsewhere, to be forwarded. */
  readonly isForwarded?: true;
  /** Of no connection that the kernel knows or could begin. */
  readonly isInvalid?: true;
}

export type Verdict =
  | { readonly kind: "return" | "drop" }
  | { readonly kind: "redirect"; readonly port: number }
  | { readonly kind: "zone"; readonly zone: number };

export interface Rule {
  readonly match: Match;
  readonly verdict: Verdict;
}

export interface Chain {
  /** iptables' name of what it does: `raw` before conntrack, `mangle` after it, `nat` for the first packet of a connection. */
  readonly table: "raw" | "mangle" | "nat";
  readonly hook: "OUTPUT" | "PREROUTING";
  readonly rules: readonly Rule[];
}

const dnsPort: Range = [53, 53];
/** Of conntrack: any number that nobody else takes. */
const dnsZone = 15053;
const leave: Verdict = { kind: "return" };
/** Where Envoy binds when it passes inbound connections on, which must not come to it again (interop 7.9). */
export const passedOnFrom = { ipv4: "127.0.0.6", ipv6: "::6" };
const localhost = { ipv4: "127.0.0.0/8", ipv6: "::1" };

export function chainsOf(redirection: Redirection, family: IpFamily): readonly Chain[] {
  const chains: readonly Chain[] = [
    { table: "raw", hook: "OUTPUT", rules: zoneRules(redirection, family) },
    { table: "mangle", hook: "PREROUTING", rules: redirection.dropsInvalid ? [dropInvalid] : [] },
    { table: "nat", hook: "OUTPUT", rules: outboundRules(redirection, family) },
    { table: "nat", hook: "PREROUTING", rules: inboundRules(redirection, family) },
  ];
  return chains.filter(({ rules }) => rules.length > 0);
}

const dropInvalid: Rule = { match: { protocol: "tcp", isInvalid: true }, verdict: { kind: "drop" } };

function outboundRules(redirection: Redirection, family: IpFamily): readonly Rule[] {
  const { proxyUser, inbound, outbound } = redirection;
  const user: Range = [proxyUser, proxyUser];
  const toItself = { protocol: "tcp", isToItself: true } as const;
  // A proxy that calls its own instance comes to its inbound like everybody else, or there would be no mTLS.
  const toOwnInbound = { ...toItself, user, notDestination: localhost[family] };
  const inboundRedirection: readonly Rule[] =
    inbound === undefined
      ? []
      : [
          ...portsOf(inbound.excludedPorts).map((ports) => ({ match: { ...toOwnInbound, ports }, verdict: leave })),
          { match: toOwnInbound, verdict: { kind: "redirect", port: inbound.port } },
        ];
  return [
    ...exclusions(redirection, family),
    ...dnsRules(redirection, family, ["udp", "tcp"]),
    { match: { ...toItself, source: passedOnFrom[family] }, verdict: leave },
    ...inboundRedirection,
    { match: toItself, verdict: leave },
    { match: { protocol: "tcp", user }, verdict: leave },
    ...portsOf(outbound.excludedPorts).map((ports): Rule => ({ match: { protocol: "tcp", ports }, verdict: leave })),
    { match: { protocol: "tcp" }, verdict: { kind: "redirect", port: outbound.port } },
  ];
}

function inboundRules({ inbound }: Redirection, family: IpFamily): readonly Rule[] {
  if (inbound === undefined) return [];
  return [
    { match: { isForwarded: true }, verdict: leave },
    ...inbound.excludedAddresses[family].map((source): Rule => ({ match: { source }, verdict: leave })),
    ...portsOf(inbound.excludedPorts).map((ports): Rule => ({ match: { protocol: "tcp", ports }, verdict: leave })),
    { match: { protocol: "tcp" }, verdict: { kind: "redirect", port: inbound.port } },
  ];
}

/** What somebody has excluded, DNS too. */
function exclusions({ outbound }: Redirection, family: IpFamily): readonly Rule[] {
  return [
    ...outbound.excludedForUsers.map(({ protocol, ports, users }): Rule => {
      return { match: { protocol, ...(ports && { ports }), user: users }, verdict: leave };
    }),
    ...outbound.excludedAddresses[family].map((destination): Rule => ({ match: { destination }, verdict: leave })),
  ];
}

function dnsRules(
  { dns, proxyUser }: Redirection,
  family: IpFamily,
  protocols: readonly ("udp" | "tcp")[],
  verdict?: Verdict,
): readonly Rule[] {
  if (dns === undefined) return [];
  const servers = dns.servers === "all" ? [undefined] : dns.servers[family];
  if (servers.length === 0) return [];
  return protocols.flatMap((protocol) => {
    const match = { protocol, ports: [dnsPort] };
    return [
      { match: { ...match, user: [proxyUser, proxyUser] as Range }, verdict: leave },
      ...servers.map((destination) => ({
        match: { ...match, ...(destination !== undefined && { destination }) },
        verdict: verdict ?? ({ kind: "redirect", port: dns.port } as const),
      })),
    ];
  });
}

/** Decision 19: a question that is redirected, and what is answered to it, on the loopback, where a packet keeps its zone. */
function zoneRules(redirection: Redirection, family: IpFamily): readonly Rule[] {
  const { dns, proxyUser } = redirection;
  if (dns === undefined || !dns.hasOwnZone) return [];
  const zone: Verdict = { kind: "zone", zone: dnsZone };
  const questions = dnsRules(redirection, family, ["udp"], zone);
  if (questions.length === 0) return [];
  const answers: Match = { protocol: "udp", sourcePort: dns.port, user: [proxyUser, proxyUser] };
  return [...exclusions(redirection, family), ...questions, { match: answers, verdict: zone }];
}

const portsOf = (ports: readonly Range[]): readonly (readonly Range[])[] => (ports.length === 0 ? [] : [ports]);

// Rules as `nft -f` takes them: a table of our own for each IP family, replaced as a whole in one transaction.

import type { IpFamily, Range } from "#agent/redirection/redirection.ts";
import type { Chain, Match, Rule, Verdict } from "#agent/redirection/rules.ts";

export const nftTable = (family: IpFamily): string => `${protocolOf(family)} kodiak`;

/** Of iptables' tables (nft(8)), less one: before them. */
const priorities = { raw: -301, mangle: -151, nat: -101 };

export const nftRemoval = (family: IpFamily): string =>
  // A table that is not there cannot be deleted; one that is, may be added.
  `table ${nftTable(family)}\ndelete table ${nftTable(family)}\n`;

/** Takes the place of what is there. */
export function nftInstallation(family: IpFamily, chains: readonly Chain[]): string {
  const texts = chains.map((chain) => chainText(family, chain));
  return `${nftRemoval(family)}table ${nftTable(family)} {\n${texts.join("\n")}}\n`;
}

function chainText(family: IpFamily, { table, hook, rules }: Chain): string {
  const where = hook.toLowerCase();
  const kind = table === "nat" ? "nat" : "filter";
  return [
    `\tchain ${table}-${where} {`,
    `\t\ttype ${kind} hook ${where} priority ${priorities[table]}; policy accept;`,
    ...rules.map((rule) => `\t\t${ruleText(family, rule)}`),
    "\t}\n",
  ].join("\n");
}

function ruleText(family: IpFamily, { match, verdict }: Rule): string {
  return [...matchParts(protocolOf(family), match), verdictText(verdict)].join(" ");
}

function matchParts(ip: string, match: Match): readonly string[] {
  const { protocol, ports, sourcePort, user } = match;
  return [
    protocol && !ports && sourcePort === undefined && `meta l4proto ${protocol}`,
    match.source && `${ip} saddr ${match.source}`,
    match.destination && `${ip} daddr ${match.destination}`,
    match.notDestination && `${ip} daddr != ${match.notDestination}`,
    match.isToItself && 'oifname "lo"',
    match.isForwarded && "fib daddr type != local",
    match.isInvalid && "ct state invalid",
    ports && `${protocol} dport { ${ports.map(rangeText).join(", ")} }`,
    sourcePort !== undefined && `${protocol} sport ${sourcePort}`,
    user && `meta skuid ${rangeText(user)}`,
  ].filter((part) => typeof part === "string");
}

const rangeText = ([from, to]: Range): string => (from === to ? `${from}` : `${from}-${to}`);
const protocolOf = (family: IpFamily): string => (family === "ipv4" ? "ip" : "ip6");

function verdictText(verdict: Verdict): string {
  switch (verdict.kind) {
    case "return":
    case "drop":
      return verdict.kind;
    case "redirect":
      return `redirect to :${verdict.port}`;
    case "zone":
      return `ct zone set ${verdict.zone}`;
  }
}

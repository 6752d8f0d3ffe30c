// Rules as iptables-restore and ip6tables-restore take them, and what is there already as iptables-save shows it. Our rules are in
// chains of our own with one jump to each; a restore changes a table as a whole or not at all.

import type { Range } from "#agent/redirection/redirection.ts";
import type { Chain, Match, Rule, Verdict } from "#agent/redirection/rules.ts";

/** The chain of a hook in a table, of this name in its table alone. */
const places = [
  { table: "raw", hook: "OUTPUT", name: "KODIAK_DNS" },
  { table: "mangle", hook: "PREROUTING", name: "KODIAK_INVALID" },
  { table: "nat", hook: "OUTPUT", name: "KODIAK_OUTBOUND" },
  { table: "nat", hook: "PREROUTING", name: "KODIAK_INBOUND" },
] as const;
/** A multiport match holds so many, a range counting as two (iptables-extensions(8)). */
const mostPorts = 15;

/**
 * The input of `iptables-restore --noflush` that leads from what `saved` (the output of iptables-save) has of ours to these chains;
 * empty where there is nothing to do. No chains: all of ours goes.
 */
export function iptablesChange(saved: string, chains: readonly Chain[]): string {
  const tables = (["raw", "mangle", "nat"] as const).map((table) => {
    const lines = places
      .filter((place) => place.table === table)
      .flatMap((place) => {
        const chain = chains.find(({ table, hook }) => table === place.table && hook === place.hook);
        return chainChange(place, linesOf(saved, table), chain?.rules);
      });
    return lines.length === 0 ? "" : [`*${table}`, ...lines, "COMMIT", ""].join("\n");
  });
  return tables.join("");
}

export const isInIptables = (saved: string): boolean => iptablesChange(saved, []) !== "";

function chainChange(
  { hook, name }: (typeof places)[number],
  present: readonly string[],
  rules: readonly Rule[] | undefined,
): readonly string[] {
  const jump = `${hook} -j ${name}`;
  const jumps = present.filter((line) => line === `-A ${jump}`).map(() => `-D ${jump}`);
  if (rules === undefined)
    return present.some((line) => line.startsWith(`:${name} `)) ? [...jumps, `-F ${name}`, `-X ${name}`] : jumps;
  return [
    // Makes the chain, or empties it.
    `:${name} - [0:0]`,
    ...jumps,
    ...rules.flatMap(({ match, verdict }) =>
      matchTexts(match).map((text) => `-A ${name}${text} ${verdictText(verdict)}`),
    ),
    `-I ${hook} 1 -j ${name}`,
  ];
}

function linesOf(saved: string, table: string): readonly string[] {
  const lines = saved.split("\n");
  const start = lines.indexOf(`*${table}`);
  return start < 0 ? [] : lines.slice(start + 1, lines.indexOf("COMMIT", start));
}

/** One for each rule that it takes. */
function matchTexts(match: Match): readonly string[] {
  const around = (ports: string): string =>
    [
      match.protocol && `-p ${match.protocol}`,
      match.source && `-s ${match.source}`,
      match.destination && `-d ${match.destination}`,
      match.notDestination && `! -d ${match.notDestination}`,
      match.isToItself && "-o lo",
      match.isForwarded && "-m addrtype ! --dst-type LOCAL",
      match.isInvalid && "-m conntrack --ctstate INVALID",
      ports,
      match.sourcePort && `--sport ${match.sourcePort}`,
      match.user && `-m owner --uid-owner ${rangeText(match.user, "-")}`,
    ]
      .map((part) => (part ? ` ${part}` : ""))
      .join("");
  if (match.ports === undefined) return [around("")];
  return groupsOf(match.ports).map((group) =>
    around(
      group.length === 1
        ? `--dport ${rangeText(group[0]!, ":")}`
        : `-m multiport --dports ${group.map((range) => rangeText(range, ":")).join(",")}`,
    ),
  );
}

function groupsOf(ranges: readonly Range[]): readonly (readonly Range[])[] {
  const groups: Range[][] = [];
  let room = 0;
  for (const range of ranges) {
    const size = range[0] === range[1] ? 1 : 2;
    if (size > room) {
      groups.push([]);
      room = mostPorts;
    }
    groups.at(-1)?.push(range);
    room -= size;
  }
  return groups;
}

const rangeText = ([from, to]: Range, dash: string): string => (from === to ? `${from}` : `${from}${dash}${to}`);

function verdictText(verdict: Verdict): string {
  switch (verdict.kind) {
    case "return":
      return "-j RETURN";
    case "drop":
      return "-j DROP";
    case "redirect":
      return `-j REDIRECT --to-ports ${verdict.port}`;
    case "zone":
      return `-j CT --zone ${verdict.zone}`;
  }
}

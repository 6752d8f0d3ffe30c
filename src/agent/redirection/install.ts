// Puts redirection in place and takes it away: finds the tools, hands them the rules, says what they answered.

import { existsSync, readFileSync } from "node:fs";
import { run } from "#agent/process.ts";
import { iptablesChange, isInIptables } from "#agent/redirection/iptables.ts";
import { nftInstallation, nftRemoval, nftTable } from "#agent/redirection/nft.ts";
import type { IpFamily, Redirection } from "#agent/redirection/redirection.ts";
import { chainsOf, passedOnFrom } from "#agent/redirection/rules.ts";
import { KodiakError } from "#lib/failure.ts";

export type Backend = "nft" | "iptables";

/** A command, and what it reads. */
export interface Step {
  readonly command: readonly [tool: string, ...args: readonly string[]];
  readonly input?: string;
}

const families = ["ipv4", "ipv6"] as const;
const programs = { ipv4: "iptables", ipv6: "ip6tables" };
/** Another program may be changing iptables at the moment; seconds. */
const lockWait = "5";

/** nft, if it is there; else iptables. Rejects with `unavailable` where neither is. */
export async function findBackend(): Promise<Backend> {
  if (await has("nft")) return "nft";
  if (await has("iptables-restore")) return "iptables";
  throw unavailable("neither nft nor iptables is there; install one of them (Debian: apt-get install nftables)");
}

const addresses6 = "/proc/net/if_inet6";
/** Whether this kernel has IPv6 at all. */
export const hasIpv6 = (): boolean => existsSync(addresses6);

/**
 * Envoy passes inbound connections on from 127.0.0.6 and ::6 (interop 7.9). All of 127.0.0.0/8 is this host's by itself; ::6 has to be
 * given to it.
 */
export function addressSteps(redirection: Redirection | undefined, wanted: readonly IpFamily[]): readonly Step[] {
  const isWanted = redirection?.inbound !== undefined && wanted.includes("ipv6");
  const address = [`${passedOnFrom.ipv6}/128`, "dev", "lo"] as const;
  if (isWanted) return [{ command: ["ip", "-6", "address", "replace", ...address] }];
  return hasSource6() ? [{ command: ["ip", "-6", "address", "delete", ...address] }] : [];
}
const hasSource6 = (): boolean => hasIpv6() && /^0{31}6 .*\slo$/m.test(readFileSync(addresses6, "utf8"));

/**
 * What leads from what is there to this redirection in these families and none in the others; absent: none at all. Of iptables it looks
 * at what is there, which takes root; `isDry` does without: as if there was nothing.
 */
export async function stepsTo(
  backend: Backend,
  redirection: Redirection | undefined,
  wanted: readonly IpFamily[],
  isDry: boolean,
): Promise<readonly Step[]> {
  const chains = (family: IpFamily) => (redirection && wanted.includes(family) ? chainsOf(redirection, family) : []);
  const steps: Step[] = [];
  for (const family of families) {
    if (backend === "iptables") {
      const saved = isDry ? "" : await savedRules(family, chains(family).length > 0);
      const input = iptablesChange(saved, chains(family));
      const command = [`${programs[family]}-restore`, "--noflush", "--wait", lockWait] as const;
      if (input !== "") steps.push({ command, input });
    } else if (chains(family).length > 0)
      steps.push({ command: ["nft", "-f", "-"], input: nftInstallation(family, chains(family)) });
    else if (isDry || (await isInNft(family))) steps.push({ command: ["nft", "-f", "-"], input: nftRemoval(family) });
  }
  return steps;
}

/** In which families there is redirection by this backend; none where the backend is not there. */
export async function installedIn(backend: Backend): Promise<readonly IpFamily[]> {
  const found: IpFamily[] = [];
  for (const family of families)
    if (backend === "nft" ? await isInNft(family) : isInIptables(await savedRules(family, false))) found.push(family);
  return found;
}

/** Each is done whole or not at all. Rejects with `unavailable` and what the tool said. */
export async function take(steps: readonly Step[]): Promise<void> {
  for (const { command, input } of steps) {
    const [tool, ...args] = command;
    const { exit, lines } = await run(tool, args, input === undefined ? {} : { input });
    if (exit.code !== 0) throw unavailable(refusalText(tool, lines));
  }
}

async function isInNft(family: IpFamily): Promise<boolean> {
  if (!(await has("nft"))) return false;
  const { exit } = await run("nft", ["list", "table", ...nftTable(family).split(" ")]);
  return exit.code === 0;
}

async function savedRules(family: IpFamily, isNeeded: boolean): Promise<string> {
  const tool = `${programs[family]}-save`;
  if (!isNeeded && !(await has(tool))) return "";
  const { exit, lines } = await run(tool, []);
  if (exit.code !== 0) throw unavailable(refusalText(tool, lines));
  return lines.join("\n");
}

function refusalText(tool: string, lines: readonly string[]): string {
  const said = lines.slice(0, 5).join(" ").trim() || "without a word";
  return `${tool} refused: ${said}. Try another --backend, or --ip-family-mode ipv4 where the kernel has no IPv6 tables`;
}

const has = (tool: string): Promise<boolean> =>
  run(tool, ["--version"]).then(
    ({ exit }) => exit.code === 0,
    () => false,
  );
const unavailable = (what: string): KodiakError => new KodiakError({ kind: "unavailable", what });

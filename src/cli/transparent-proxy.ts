// `kodiak install transparent-proxy` and `kodiak uninstall transparent-proxy`: an application's traffic and DNS go through Envoy
// without its knowing. Flags have the names of `kumactl install transparent-proxy`.

import { run } from "#agent/process.ts";
import {
  addressSteps,
  type Backend,
  findBackend,
  hasIpv6,
  installedIn,
  type Step,
  stepsTo,
  take,
} from "#agent/redirection/install.ts";
import {
  addressesIn,
  type IpFamily,
  nameServersIn,
  type Parsed,
  portsIn,
  type Redirection,
  userExclusionsIn,
} from "#agent/redirection/redirection.ts";
import type { Terminal } from "#cli/terminal.ts";
import { textOf } from "#cli/trust.ts";
import { defineVerb, Usage } from "#cli/verb.ts";
import type { Schema, Settings } from "#host/settings.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";

const port = { type: "integer", min: 1, max: 65535 } as const;
const dryRun = {
  type: "boolean",
  help: "only print what would be done, for whoever wants to do it otherwise",
} as const;
const backends: readonly Backend[] = ["nft", "iptables"];

const settings = {
  kumaDpUser: {
    type: "string",
    value: "name or UID",
    help: "the user that runs `kodiak run proxy`, whose connections are not redirected (default: UID 5678, or kuma-dp)",
  },
  redirectInbound: {
    type: "boolean",
    value: "true|false",
    help: "redirect inbound connections; false before a gateway",
    default: true,
  },
  redirectInboundPort: { ...port, help: "where Envoy takes inbound connections", default: 15006 },
  redirectOutboundPort: { ...port, help: "where Envoy takes outbound connections", default: 15001 },
  excludeInboundPorts: {
    type: "list",
    help: "ports of this host that are not redirected, besides SSH (22)",
    default: [],
  },
  excludeOutboundPorts: { type: "list", help: "ports elsewhere to which nothing is redirected", default: [] },
  excludeInboundIps: { type: "list", help: "addresses and networks whose connections are not redirected", default: [] },
  excludeOutboundIps: { type: "list", help: "addresses and networks to which nothing is redirected", default: [] },
  excludeOutboundPortsForUids: {
    type: "list",
    separator: ";",
    value: "protocol:ports:users",
    help: "what is not redirected of some users: tcp:53,3000-5000:106-108, *:postgres; may be repeated",
    default: [],
  },
  redirectDns: { type: "boolean", help: "redirect DNS questions to the servers in /etc/resolv.conf" },
  redirectAllDnsTraffic: { type: "boolean", help: "redirect all DNS questions, whatever server they are for" },
  redirectDnsPort: { ...port, help: "where the proxy answers DNS questions", default: 15053 },
  skipDnsConntrackZoneSplit: {
    type: "boolean",
    help: "no conntrack zone for redirected DNS, where the kernel has none",
  },
  dropInvalidPackets: { type: "boolean", help: "drop TCP packets that belong to no connection" },
  ipFamilyMode: { type: "string", help: "which IP families", choices: ["dualstack", "ipv4"], default: "dualstack" },
  backend: { type: "string", help: "what does it (default: nft, if it is there)", choices: backends },
  dryRun,
} as const satisfies Schema;
type Values = Settings<typeof settings>;

export const installTransparentProxyVerb = defineVerb({
  name: "install transparent-proxy",
  summary: "redirect this host's traffic and DNS through `kodiak run proxy`, by nft or iptables",
  settings,
  examples: [
    "kodiak install transparent-proxy --kuma-dp-user kuma-dp --redirect-dns",
    "kodiak install transparent-proxy --kuma-dp-user 5678 --exclude-inbound-ports 5678,9100 --exclude-outbound-ips 10.9.0.0/16 --dry-run",
    "kodiak install transparent-proxy --exclude-outbound-ports-for-uids tcp:5432:postgres --exclude-outbound-ports-for-uids udp:53:106-108",
  ],
  async run(values, _args, terminal) {
    const redirection = await redirectionOf(values);
    const isDry = values.dryRun ?? false;
    if (!isDry) refuseWithoutRoot("install");
    const families: readonly IpFamily[] = values.ipFamilyMode === "ipv4" || !hasIpv6() ? ["ipv4"] : ["ipv4", "ipv6"];
    const backend = backends.find((known) => known === values.backend) ?? (await findBackend());
    const steps = [...addressSteps(redirection, families), ...(await stepsTo(backend, redirection, families, isDry))];
    if (isDry) return print(steps, terminal);
    await take(steps);
    // Only now, so that there is no moment without.
    for (const other of backends) if (other !== backend) await take(await stepsTo(other, undefined, [], false));
    const what = ["outbound", ...(redirection.inbound ? ["inbound"] : []), ...(redirection.dns ? ["DNS"] : [])];
    const whose = `all but the connections of user ${redirection.proxyUser}`;
    terminal.out(
      `transparent proxy installed by ${backend} for ${familiesText(families)}: ${what.join(", ")}; ${whose}\n`,
    );
    return 0;
  },
});

export const uninstallTransparentProxyVerb = defineVerb({
  name: "uninstall transparent-proxy",
  summary: "take away what `install transparent-proxy` has put in place, by nft or iptables",
  settings: { dryRun },
  examples: ["kodiak uninstall transparent-proxy"],
  async run(values, _args, terminal) {
    // To look takes root, too.
    refuseWithoutRoot("uninstall");
    const steps: Step[] = [];
    const found: string[] = [];
    for (const backend of backends) {
      for (const family of await installedIn(backend)) found.push(`${backend} (${familiesText([family])})`);
      steps.push(...(await stepsTo(backend, undefined, [], false)));
    }
    // Last: what still comes in while the rules go is passed on.
    steps.push(...addressSteps(undefined, []));
    if (values.dryRun) return print(steps, terminal);
    await take(steps);
    const end = found.length === 0 ? "there was none" : `it was in ${found.join(", ")}`;
    terminal.out(`transparent proxy uninstalled: ${end}\n`);
    return 0;
  },
});

const familiesText = (families: readonly IpFamily[]): string =>
  families.map((family) => (family === "ipv4" ? "IPv4" : "IPv6")).join(" and ");

function print(steps: readonly Step[], terminal: Terminal): number {
  for (const { command, input } of steps)
    terminal.out(input === undefined ? `${command.join(" ")}\n` : `# ${command.join(" ")}\n${input}`);
  return 0;
}

function refuseWithoutRoot(verb: "install" | "uninstall"): void {
  if (process.geteuid?.() === 0) return;
  throw new KodiakError({
    kind: "unavailable",
    what: `only root may change what is redirected: sudo kodiak ${verb} transparent-proxy …${verb === "install" ? ", or look at it with --dry-run" : ""}`,
  });
}

/** Throws `Usage` with all that is wrong. */
async function redirectionOf(values: Values): Promise<Redirection> {
  if (values.redirectDns && values.redirectAllDnsTraffic)
    throw new Usage("give one of --redirect-dns and --redirect-all-dns-traffic");
  const issues: Issue[] = [];
  const of = <T>(parsed: Parsed<T>, instead: T): T => {
    if (parsed.kind === "value") return parsed.value;
    issues.push(parsed.issue);
    return instead;
  };
  const none = { ipv4: [], ipv6: [] };
  const ids = new Map<string, number | undefined>();
  for (const text of values.excludeOutboundPortsForUids) {
    const name = text.split(":").at(-1) ?? "";
    ids.set(name, await idOf(name));
  }
  const proxyUser = await proxyUserOf(values.kumaDpUser);
  if (proxyUser === undefined) issues.push({ path: "--kuma-dp-user", message: noUser(values.kumaDpUser) });
  const inbound = {
    port: values.redirectInboundPort,
    excludedPorts: of(portsIn("--exclude-inbound-ports", ["22", ...values.excludeInboundPorts]), []),
    excludedAddresses: of(addressesIn("--exclude-inbound-ips", values.excludeInboundIps), none),
  };
  const outbound = {
    port: values.redirectOutboundPort,
    excludedPorts: of(portsIn("--exclude-outbound-ports", values.excludeOutboundPorts), []),
    excludedAddresses: of(addressesIn("--exclude-outbound-ips", values.excludeOutboundIps), none),
    excludedForUsers: of(
      userExclusionsIn("--exclude-outbound-ports-for-uids", values.excludeOutboundPortsForUids, (name) =>
        ids.get(name),
      ),
      [],
    ),
  };
  const dns = (values.redirectDns || values.redirectAllDnsTraffic) && {
    port: values.redirectDnsPort,
    servers: values.redirectDns ? nameServersIn(textOf("/etc/resolv.conf", "--redirect-dns")) : ("all" as const),
    hasOwnZone: !values.skipDnsConntrackZoneSplit,
  };
  if (issues.length > 0) throw new Usage(issues.map(({ path, message }) => `${path}: ${message}`).join("\n"));
  return {
    proxyUser: proxyUser!,
    outbound,
    ...(values.redirectInbound && { inbound }),
    ...(dns && { dns }),
    dropsInvalid: values.dropInvalidPackets ?? false,
  };
}

async function proxyUserOf(given: string | undefined): Promise<number | undefined> {
  if (given === undefined) return (await idOf("5678")) ?? (await idOf("kuma-dp"));
  return /^\d+$/.test(given) ? Number(given) : idOf(given);
}

const noUser = (given: string | undefined): string =>
  given === undefined
    ? "is required where no user has UID 5678 or the name kuma-dp: make one (useradd --system --uid 5678 kuma-dp) and run `kodiak run proxy` as this user, or name the user that does"
    : `there is no user ${given}; make it (useradd --system ${given}), or give the UID of who runs \`kodiak run proxy\``;

/** Of a name, or of a UID that a user has. */
async function idOf(user: string): Promise<number | undefined> {
  // Not from /etc/passwd: users may come from a directory service.
  const { exit, lines } = await run("id", ["-u", "--", user]);
  return exit.code === 0 ? Number(lines[0]) : undefined;
}

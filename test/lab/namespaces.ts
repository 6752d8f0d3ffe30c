// Networks for tests: hosts that are network namespaces, in zones that have no route to each other but to what is opened (ingresses).
//
//   host ──veth── backbone ──┬── bridge of zone-a: 10.1.0.1 ── 10.1.0.2, 10.1.0.3 …
//                            └── bridge of zone-b: 10.2.0.1 ── 10.2.0.2 …
//
// The test's own namespace is at `testAddress` for all of them; what goes there is masqueraded. Everything is named for a number that
// one test on this machine has at a time, and gone when the test ends; what one has left that was killed goes with the next of its number.

import { mkdir, rm, writeFile } from "node:fs/promises";
import type { TestContext } from "node:test";
import { run } from "#agent/process.ts";
import { takeAlone } from "#host/sole.ts";
import { networkTools } from "./network-tools.ts";

export interface Network {
  /** Of the test itself, as every host reaches it; it is the name server of all. */
  readonly testAddress: string;
  /** A new host in a zone. */
  host(zone: string): Promise<NetHost>;
  /** Hosts of other zones reach this one from now on: an ingress. */
  open(host: NetHost): Promise<void>;
  /** Between the two zones no packet arrives any more, and nobody is told. */
  blackhole(zone: string, other: string): Promise<void>;
  /** Between the two zones everything is refused at once. */
  cut(zone: string, other: string): Promise<void>;
  /** What comes into the zone from elsewhere shares this rate. */
  slow(zone: string, kbitPerSecond: number): Promise<void>;
  /** As a machine that loses its power: no packet to or from these hosts arrives any more, in their own zones neither, and nobody is told. */
  vanish(...hosts: readonly NetHost[]): Promise<void>;
  /** Ends all of the four. */
  mend(): Promise<void>;
}

export interface NetHost {
  readonly zone: string;
  /** Reached from its own zone, and from others once it is opened. */
  readonly address: string;
  /** Reached from its own zone. */
  readonly address6: string;
  /** The command line that runs this one inside. */
  inside(...command: readonly string[]): readonly [string, ...string[]];
}

export async function network(t: Pick<TestContext, "after">): Promise<Network> {
  await networkTools();
  const { number, release } = await freeNumber();
  const prefix = `kodiak-${number}`;
  const backbone = `${prefix}-backbone`;
  const uplink = `kodiak${number}`;
  const [testAddress, gateway] = [`198.18.${number}.1`, `198.18.${number}.2`];
  const zones: string[] = [];
  /** Hosts may be asked for at the same time. */
  const bridgesMade = new Map<string, Promise<void>>();
  const hosts = new Map<string, number>();
  /** Of each host, in the backbone. */
  const ports = new Map<NetHost, string>();

  const clear = async (): Promise<void> => {
    const { lines } = await run("ip", ["netns", "list"]);
    for (const name of lines.map((line) => line.split(" ")[0] ?? "").filter((name) => name.startsWith(`${prefix}-`))) {
      await run("ip", ["netns", "delete", name]);
      await rm(`/etc/netns/${name}`, { recursive: true, force: true });
    }
    await run("ip", ["link", "delete", uplink]);
  };
  await clear();
  t.after(async () => {
    await clear();
    release();
  });

  const inBackbone = (...command: readonly string[]) => ["netns", "exec", backbone, ...command];
  const nft = (text: string) => done("ip", inBackbone("nft", "-f", "-"), text);
  await ip(`
    netns add ${backbone}
    link add ${uplink} type veth peer name uplink netns ${backbone}
    addr add ${testAddress}/30 dev ${uplink}
    link set ${uplink} up`);
  await ip(
    `
    link set lo up
    addr add ${gateway}/30 dev uplink
    link set uplink up`,
    backbone,
  );
  // What stays inside a zone is not forwarded, though some kernels hand it to the same rules; others do not know the setting (-e).
  const bridges = ["net.bridge.bridge-nf-call-iptables=0", "net.bridge.bridge-nf-call-ip6tables=0"];
  await done("ip", inBackbone("sysctl", "-qew", "net.ipv4.ip_forward=1", ...bridges));
  await nft(`table ip net {
    set open { type ipv4_addr; }
    chain faults { }
    chain forward {
      type filter hook forward priority 0; policy drop;
      jump faults
      ct state established,related accept
      oifname "uplink" accept
      ip daddr @open accept
      reject with icmp net-unreachable
    }
    chain leaving { type nat hook postrouting priority 100; oifname "uplink" masquerade; }
  }`);

  const bridgeOf = (zone: string): string => `zone${zones.indexOf(zone) + 1}`;
  const between = (zone: string, other: string, verdict: string): Promise<void> => {
    const [one, two] = [bridgeOf(zone), bridgeOf(other)];
    return nft(`table ip net { chain faults {
      iifname ${one} oifname ${two} ${verdict}
      iifname ${two} oifname ${one} ${verdict}
    }
    }`);
  };

  async function addZone(zone: string): Promise<void> {
    zones.push(zone);
    const bridge = bridgeOf(zone);
    await ip(
      `
      link add ${bridge} type bridge
      addr add 10.${zones.length}.0.1/24 dev ${bridge}
      addr add fd00:${zones.length}::1/64 dev ${bridge} nodad
      link set ${bridge} up`,
      backbone,
    );
  }

  /** Of a bridge's port; its cable is plugged all the while. */
  const forwarding = (of: readonly NetHost[], state: "on" | "off"): Promise<void> =>
    done(
      "bridge",
      ["-n", backbone, "-batch", "-"],
      of.map((host) => `link set dev ${ports.get(host)} state ${state === "on" ? 3 : 0}`).join("\n"),
    );

  return {
    testAddress,
    async host(zone) {
      const made = bridgesMade.get(zone) ?? addZone(zone);
      bridgesMade.set(zone, made);
      await made;
      const zoneNumber = zones.indexOf(zone) + 1;
      const number = (hosts.get(zone) ?? 1) + 1;
      hosts.set(zone, number);
      const name = `${prefix}-${zoneNumber}-${number}`;
      const [address, address6] = [`10.${zoneNumber}.0.${number}`, `fd00:${zoneNumber}::${number}`];
      await mkdir(`/etc/netns/${name}`, { recursive: true });
      await writeFile(`/etc/netns/${name}/resolv.conf`, `nameserver ${testAddress}\noptions timeout:5 attempts:2\n`);
      const port = `host${zoneNumber}-${number}`;
      await ip(`netns add ${name}`);
      await ip(
        `
        link add ${port} type veth peer name eth0 netns ${name}
        link set ${port} master ${bridgeOf(zone)} up`,
        backbone,
      );
      await ip(
        `
        link set lo up
        addr add ${address}/24 dev eth0
        addr add ${address6}/64 dev eth0 nodad
        link set eth0 up
        route add default via 10.${zoneNumber}.0.1
        route add default via fd00:${zoneNumber}::1`,
        name,
      );
      const host: NetHost = {
        ...{ zone, address, address6 },
        inside: (...command) => ["ip", "netns", "exec", name, ...command],
      };
      ports.set(host, port);
      return host;
    },
    open: ({ address }) => nft(`add element ip net open { ${address} }`),
    blackhole: (zone, other) => between(zone, other, "drop"),
    cut: (zone, other) => between(zone, other, "reject"),
    slow: (zone, rate) =>
      done(
        "tc",
        ["-n", backbone, "qdisc", "replace", "dev", bridgeOf(zone), "root"].concat([
          "tbf",
          "rate",
          `${rate}kbit`,
          "burst",
          "1600",
          "latency",
          "2s",
        ]),
      ),
    vanish: (...hosts) => forwarding(hosts, "off"),
    async mend() {
      await nft("flush chain ip net faults");
      await forwarding([...ports.keys()], "on");
      // Of those that have none there is nothing to delete.
      for (const zone of zones) await run("tc", ["-n", backbone, "qdisc", "delete", "dev", bridgeOf(zone), "root"]);
    },
  };
}

export const networkName = (number: number): string => `network of tests ${number}`;

async function freeNumber(): Promise<{ readonly number: number; readonly release: () => void }> {
  for (let number = 0; number < 256; number++) {
    const release = await takeAlone(networkName(number));
    if (release) return { number, release };
  }
  throw new Error("256 tests of this machine have networks");
}

/** One command a line, all of them or an error. */
const ip = (commands: string, namespace?: string): Promise<void> =>
  done("ip", [...(namespace === undefined ? [] : ["-n", namespace]), "-batch", "-"], commands.trim());

async function done(command: string, args: readonly string[], input?: string): Promise<void> {
  const { exit, lines } = await run(command, args, input === undefined ? {} : { input });
  if (exit.code !== 0) throw new Error(`${command} ${args.join(" ")}: ${lines.join(" ")}\n${input ?? ""}`);
}

// The rules as text. What they do to connections is shown by test/redirect.

import assert from "node:assert/strict";
import { test } from "node:test";
import { iptablesChange, isInIptables } from "#agent/redirection/iptables.ts";
import { nftInstallation, nftRemoval } from "#agent/redirection/nft.ts";
import type { Redirection } from "#agent/redirection/redirection.ts";
import { chainsOf } from "#agent/redirection/rules.ts";

const none = { ipv4: [], ipv6: [] };
const least: Redirection = {
  proxyUser: 5678,
  outbound: { port: 15001, excludedPorts: [], excludedAddresses: none, excludedForUsers: [] },
  dropsInvalid: false,
};
const all: Redirection = {
  proxyUser: 5678,
  inbound: { port: 15006, excludedPorts: [[22, 22]], excludedAddresses: { ipv4: ["10.1.0.0/16"], ipv6: [] } },
  outbound: {
    port: 15001,
    excludedPorts: [
      [80, 80],
      [3000, 5000],
    ],
    excludedAddresses: { ipv4: ["10.9.0.1"], ipv6: ["fd00::/8"] },
    excludedForUsers: [{ protocol: "udp", ports: [[53, 53]], users: [106, 108] }],
  },
  dns: { port: 15053, servers: { ipv4: ["10.0.0.2"], ipv6: [] }, hasOwnZone: true },
  dropsInvalid: true,
};

test("iptables: everything, for IPv4", () => {
  assert.equal(
    iptablesChange("", chainsOf(all, "ipv4")),
    `*raw
:KODIAK_DNS - [0:0]
-A KODIAK_DNS -p udp --dport 53 -m owner --uid-owner 106-108 -j RETURN
-A KODIAK_DNS -d 10.9.0.1 -j RETURN
-A KODIAK_DNS -p udp --dport 53 -m owner --uid-owner 5678 -j RETURN
-A KODIAK_DNS -p udp -d 10.0.0.2 --dport 53 -j CT --zone 15053
-A KODIAK_DNS -p udp --sport 15053 -m owner --uid-owner 5678 -j CT --zone 15053
-I OUTPUT 1 -j KODIAK_DNS
COMMIT
*mangle
:KODIAK_INVALID - [0:0]
-A KODIAK_INVALID -p tcp -m conntrack --ctstate INVALID -j DROP
-I PREROUTING 1 -j KODIAK_INVALID
COMMIT
*nat
:KODIAK_OUTBOUND - [0:0]
-A KODIAK_OUTBOUND -p udp --dport 53 -m owner --uid-owner 106-108 -j RETURN
-A KODIAK_OUTBOUND -d 10.9.0.1 -j RETURN
-A KODIAK_OUTBOUND -p udp --dport 53 -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p udp -d 10.0.0.2 --dport 53 -j REDIRECT --to-ports 15053
-A KODIAK_OUTBOUND -p tcp --dport 53 -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p tcp -d 10.0.0.2 --dport 53 -j REDIRECT --to-ports 15053
-A KODIAK_OUTBOUND -p tcp -s 127.0.0.6 -o lo -j RETURN
-A KODIAK_OUTBOUND -p tcp ! -d 127.0.0.0/8 -o lo --dport 22 -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p tcp ! -d 127.0.0.0/8 -o lo -m owner --uid-owner 5678 -j REDIRECT --to-ports 15006
-A KODIAK_OUTBOUND -p tcp -o lo -j RETURN
-A KODIAK_OUTBOUND -p tcp -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p tcp -m multiport --dports 80,3000:5000 -j RETURN
-A KODIAK_OUTBOUND -p tcp -j REDIRECT --to-ports 15001
-I OUTPUT 1 -j KODIAK_OUTBOUND
:KODIAK_INBOUND - [0:0]
-A KODIAK_INBOUND -m addrtype ! --dst-type LOCAL -j RETURN
-A KODIAK_INBOUND -s 10.1.0.0/16 -j RETURN
-A KODIAK_INBOUND -p tcp --dport 22 -j RETURN
-A KODIAK_INBOUND -p tcp -j REDIRECT --to-ports 15006
-I PREROUTING 1 -j KODIAK_INBOUND
COMMIT
`,
  );
});

test("nft: everything, for IPv4", () => {
  assert.equal(
    nftInstallation("ipv4", chainsOf(all, "ipv4")),
    `table ip kodiak
delete table ip kodiak
table ip kodiak {
	chain raw-output {
		type filter hook output priority -301; policy accept;
		udp dport { 53 } meta skuid 106-108 return
		ip daddr 10.9.0.1 return
		udp dport { 53 } meta skuid 5678 return
		ip daddr 10.0.0.2 udp dport { 53 } ct zone set 15053
		udp sport 15053 meta skuid 5678 ct zone set 15053
	}

	chain mangle-prerouting {
		type filter hook prerouting priority -151; policy accept;
		meta l4proto tcp ct state invalid drop
	}

	chain nat-output {
		type nat hook output priority -101; policy accept;
		udp dport { 53 } meta skuid 106-108 return
		ip daddr 10.9.0.1 return
		udp dport { 53 } meta skuid 5678 return
		ip daddr 10.0.0.2 udp dport { 53 } redirect to :15053
		tcp dport { 53 } meta skuid 5678 return
		ip daddr 10.0.0.2 tcp dport { 53 } redirect to :15053
		meta l4proto tcp ip saddr 127.0.0.6 oifname "lo" return
		ip daddr != 127.0.0.0/8 oifname "lo" tcp dport { 22 } meta skuid 5678 return
		meta l4proto tcp ip daddr != 127.0.0.0/8 oifname "lo" meta skuid 5678 redirect to :15006
		meta l4proto tcp oifname "lo" return
		meta l4proto tcp meta skuid 5678 return
		tcp dport { 80, 3000-5000 } return
		meta l4proto tcp redirect to :15001
	}

	chain nat-prerouting {
		type nat hook prerouting priority -101; policy accept;
		fib daddr type != local return
		ip saddr 10.1.0.0/16 return
		tcp dport { 22 } return
		meta l4proto tcp redirect to :15006
	}
}
`,
  );
});

test("IPv6 has its own addresses, and no DNS where no server has an IPv6 address", () => {
  const text = nftInstallation("ipv6", chainsOf(all, "ipv6"));
  assert.match(text, /^table ip6 kodiak\ndelete table ip6 kodiak\n/);
  assert.match(text, /ip6 daddr fd00::\/8 return/);
  assert.match(text, /ip6 saddr ::6 oifname "lo" return/);
  assert.match(text, /ip6 daddr != ::1 oifname "lo"/);
  assert.doesNotMatch(text, /15053|10\.|127\./);
});

test("the least: outbound alone, and DNS to any server", () => {
  const dns = { port: 53535, servers: "all", hasOwnZone: false } as const;
  assert.equal(
    iptablesChange("", chainsOf({ ...least, dns }, "ipv6")),
    `*nat
:KODIAK_OUTBOUND - [0:0]
-A KODIAK_OUTBOUND -p udp --dport 53 -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p udp --dport 53 -j REDIRECT --to-ports 53535
-A KODIAK_OUTBOUND -p tcp --dport 53 -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p tcp --dport 53 -j REDIRECT --to-ports 53535
-A KODIAK_OUTBOUND -p tcp -s ::6 -o lo -j RETURN
-A KODIAK_OUTBOUND -p tcp -o lo -j RETURN
-A KODIAK_OUTBOUND -p tcp -m owner --uid-owner 5678 -j RETURN
-A KODIAK_OUTBOUND -p tcp -j REDIRECT --to-ports 15001
-I OUTPUT 1 -j KODIAK_OUTBOUND
COMMIT
`,
  );
});

test("iptables takes fifteen ports in a rule, a range as two", () => {
  const excludedPorts = [...Array(15).keys()].map((n) => [n * 10 + 1, n === 3 ? n * 10 + 2 : n * 10 + 1] as const);
  const lines = iptablesChange("", chainsOf({ ...least, outbound: { ...least.outbound, excludedPorts } }, "ipv4"));
  assert.match(lines, /--dports 1,11,21,31:32,41,51,61,71,81,91,101,111,121,131 -j RETURN\n.*--dport 141 -j RETURN\n/);
});

test("iptables: what is there is replaced in one step, and removed without a trace; what is others' stays", () => {
  const saved = `# Generated by iptables-save
*mangle
:PREROUTING ACCEPT [0:0]
:KODIAK_INVALID - [0:0]
-A PREROUTING -j KODIAK_INVALID
-A KODIAK_INVALID -p tcp -m conntrack --ctstate INVALID -j DROP
COMMIT
*nat
:OUTPUT ACCEPT [0:0]
:DOCKER_OUTPUT - [0:0]
:KODIAK_OUTBOUND - [0:0]
-A OUTPUT -j KODIAK_OUTBOUND
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A KODIAK_OUTBOUND -p tcp -j REDIRECT --to-ports 15001
COMMIT
`;
  const removed = `*mangle
-D PREROUTING -j KODIAK_INVALID
-F KODIAK_INVALID
-X KODIAK_INVALID
COMMIT
`;
  assert.equal(
    iptablesChange(saved, []),
    `${removed}*nat
-D OUTPUT -j KODIAK_OUTBOUND
-F KODIAK_OUTBOUND
-X KODIAK_OUTBOUND
COMMIT
`,
  );
  const replaced = iptablesChange(saved, chainsOf(least, "ipv4"));
  assert.ok(
    replaced.startsWith(`${removed}*nat\n:KODIAK_OUTBOUND - [0:0]\n-D OUTPUT -j KODIAK_OUTBOUND\n-A KODIAK_OUTBOUND`),
  );
  assert.equal(isInIptables(saved), true);
  assert.equal(isInIptables("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"), false);
});

test("nft: a table that is not there is removed, too", () => {
  assert.equal(nftRemoval("ipv6"), "table ip6 kodiak\ndelete table ip6 kodiak\n");
});

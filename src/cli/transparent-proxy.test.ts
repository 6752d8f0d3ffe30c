import assert from "node:assert/strict";
import { test } from "node:test";
import { kodiak } from "#cli/cli.fixture.ts";

const install = (...more: readonly string[]) => kodiak(["install", "transparent-proxy", "--dry-run", ...more]);

test("a dry run prints what would be handed to which command, and needs neither root nor tools", async () => {
  const nft = await install("--backend", "nft", "--kuma-dp-user", "5678", "--redirect-all-dns-traffic");
  assert.equal(nft.code, 0, nft.err);
  assert.match(nft.out, /^# nft -f -\ntable ip kodiak\n/m);
  assert.match(nft.out, /udp dport \{ 53 \} redirect to :15053/);
  const iptables = await install(
    ...["--backend", "iptables", "--kuma-dp-user", "root", "--ip-family-mode", "ipv4"],
    ...["--redirect-outbound-port", "16001", "--exclude-outbound-ports-for-uids", "tcp:53,3000-5000:106-108"],
    ...["--exclude-outbound-ports-for-uids", "*:107", "--exclude-inbound-ports", "443,8443-8450"],
  );
  assert.equal(iptables.code, 0, iptables.err);
  assert.match(iptables.out, /^# iptables-restore --noflush --wait 5\n\*nat\n/);
  assert.match(iptables.out, /--dports 53,3000:5000 -m owner --uid-owner 106-108 -j RETURN\n/);
  assert.match(
    iptables.out,
    /-p tcp -m owner --uid-owner 107 -j RETURN\n.*-p udp -m owner --uid-owner 107 -j RETURN\n/,
  );
  assert.match(iptables.out, /-p tcp -m owner --uid-owner 0 -j RETURN\n/);
  assert.match(iptables.out, /-A KODIAK_INBOUND -p tcp -m multiport --dports 22,443,8443:8450 -j RETURN\n/);
  assert.match(iptables.out, /--to-ports 16001\n/);
  assert.doesNotMatch(iptables.out, /ip6tables|::6/);
});

test("what is wrong is said at once, with its flag and what to do", async () => {
  const wrong = await install(
    ...[
      "--kuma-dp-user",
      "nobody-there",
      "--exclude-outbound-ports",
      "80,http",
      "--exclude-inbound-ips",
      "10.0.0.0/40",
    ],
    ...["--exclude-outbound-ports-for-uids", "tcp:80:nobody-here"],
  );
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /--kuma-dp-user: there is no user nobody-there; make it/);
  assert.match(wrong.err, /--exclude-outbound-ports: must be ports from 1 to 65535, .* not http/);
  assert.match(wrong.err, /--exclude-inbound-ips: must be IP addresses or networks, .* not 10\.0\.0\.0\/40/);
  assert.match(wrong.err, /--exclude-outbound-ports-for-uids: there is no user nobody-here/);
  const both = await install("--kuma-dp-user", "0", "--redirect-dns", "--redirect-all-dns-traffic");
  assert.match(both.err, /give one of --redirect-dns and --redirect-all-dns-traffic/);
  assert.match((await install("--backend", "ipchains")).err, /must be one of nft, iptables/);
  assert.match((await install("--redirect-dns-port", "0")).err, /must be an integer from 1 to 65535/);
});

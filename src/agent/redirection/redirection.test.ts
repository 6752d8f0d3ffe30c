import assert from "node:assert/strict";
import { test } from "node:test";
import { addressesIn, nameServersIn, portsIn, userExclusionsIn } from "#agent/redirection/redirection.ts";

const value = <T>(of: T) => ({ kind: "value", value: of });
const messageOf = (parsed: ReturnType<typeof portsIn | typeof addressesIn | typeof userExclusionsIn>): string =>
  parsed.kind === "issue" ? parsed.issue.message : "";
const idOf = (name: string): number | undefined => (name === "postgres" ? 70 : undefined);
const exclusions = (...texts: readonly string[]) => userExclusionsIn("--flag", texts, idOf);

test("ports are sorted ranges that nowhere overlap", () => {
  assert.deepEqual(
    portsIn("--flag", ["443", "3000-5000", "22", "4000-6000", "80", "22", "81"]),
    value([
      [22, 22],
      [80, 81],
      [443, 443],
      [3000, 6000],
    ]),
  );
  for (const wrong of ["0", "65536", "90-80", "http", "80-", "-1", "1-2-3"])
    assert.equal(
      messageOf(portsIn("--flag", ["80", wrong])),
      `must be ports from 1 to 65535, like 80 or 3000-5000, not ${wrong}`,
    );
});

test("addresses and networks are sorted by family", () => {
  assert.deepEqual(
    addressesIn("--flag", ["10.0.0.1", "fd00::/8", "192.168.0.0/24", "::1"]),
    value({ ipv4: ["10.0.0.1", "192.168.0.0/24"], ipv6: ["fd00::/8", "::1"] }),
  );
  for (const wrong of [
    "10.0.0",
    "10.0.0.0/33",
    "fd00::/129",
    "10.0.0.0/",
    "example.com",
    "fe80::1%eth0",
    "10.0.0.0/8/8",
  ])
    assert.match(messageOf(addressesIn("--flag", [wrong])), /^must be IP addresses or networks/, wrong);
});

test("what is excluded for users: protocol, ports and users, the first two as one likes", () => {
  const [tcp, udp] = ["tcp", "udp"].map((protocol) => ({ protocol, users: [106, 108] }));
  const some = {
    ports: [
      [53, 53],
      [3000, 5000],
    ],
  };
  assert.deepEqual(exclusions("tcp:53,3000-5000:106-108"), value([{ ...tcp, ...some }]));
  assert.deepEqual(
    exclusions("53,3000-5000:106-108"),
    value([
      { ...tcp, ...some },
      { ...udp, ...some },
    ]),
  );
  for (const all of ["106-108", "*:106-108", ":106-108", ":*:106-108", "::106-108"])
    assert.deepEqual(exclusions(all), value([tcp, udp]), all);
  assert.deepEqual(exclusions("udp:*:postgres", "tcp:*:106-108"), value([{ protocol: "udp", users: [70, 70] }, tcp]));
  assert.match(
    messageOf(exclusions("tcp:53:nobody-there")),
    /^there is no user nobody-there, as in tcp:53:nobody-there/,
  );
  assert.match(messageOf(exclusions("tcp:70000:1")), /^must be ports .*, in tcp:70000:1$/);
  for (const wrong of ["sctp:53:1", "tcp:53:", "tcp:53:9-8", "tcp:53:1:1", "tcp:53:1,2"])
    assert.match(messageOf(exclusions(wrong)), /^must be protocol:ports:users/, wrong);
});

test("name servers, as resolv.conf has them", () => {
  const text =
    "# nameserver 1.1.1.1\nsearch example.com\nnameserver 10.0.0.2\n nameserver\tfe80::1%eth0 # link\noptions ndots:2\n";
  assert.deepEqual(nameServersIn(text), { ipv4: ["10.0.0.2"], ipv6: ["fe80::1"] });
  assert.deepEqual(nameServersIn("search example.com\n"), { ipv4: ["127.0.0.1"], ipv6: [] });
});

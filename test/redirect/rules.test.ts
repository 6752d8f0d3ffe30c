// What the rules of `kodiak install transparent-proxy` do to the connections of applications that know nothing of it: which of them
// come to Envoy is counted by an Envoy that passes on whatever comes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "#agent/process.ts";
import { startInsider } from "../lab/insider.ts";
import { lab } from "../lab/lab.ts";
import { network } from "../lab/namespaces.ts";
import { bundled } from "../lab/program.ts";
import { type Counts, startPassingEnvoy } from "./passing-envoy.ts";

const freeUser = 65533;

test("what is redirected, and what is not, by nft and by iptables", async (t) => {
  const own = await lab(t);
  const net = await network(t);
  const [here, there] = [await net.host("zone-a"), await net.host("zone-a")];
  const envoy = await startPassingEnvoy(own, here, { "there.mesh": there.address });
  const [app, free, proxy, other] = await Promise.all([
    startInsider(own, here),
    startInsider(own, here, freeUser),
    startInsider(own, here, 0),
    startInsider(own, there),
  ]);
  for (const port of [8080, 8081]) await app.serve("here", port);
  // Whom ports below 1024 take.
  await proxy.serve("here", 22);
  for (const port of [8080, 8081]) await other.serve("there", port);

  const program = await bundled(own.folder);
  const kodiak = async (...args: readonly string[]): Promise<string> => {
    const [command, ...rest] = here.inside(process.execPath, program, ...args);
    const { exit, lines } = await run(command, rest);
    assert.equal(exit.code, 0, lines.join("\n"));
    return lines.join("\n");
  };
  const rules = async (): Promise<string> => {
    const [command, ...rest] = here.inside("nft", "list", "ruleset");
    const { lines } = await run(command, rest);
    // Of iptables' own rules it says that it does not know them all.
    return lines
      .filter((line) => !/^(# )?Warning|^XT target/.test(line))
      .join("\n")
      .replaceAll(/packets \d+ bytes \d+/g, "");
  };
  const passed = async (request: () => Promise<unknown>): Promise<Counts> => {
    const before = await envoy.counts();
    await request();
    const after = await envoy.counts();
    return {
      outbound: after.outbound - before.outbound,
      inbound: after.inbound - before.inbound,
      dns: after.dns - before.dns,
    };
  };
  const expected = async (
    what: string,
    request: () => Promise<{ readonly text: string }>,
    from: string,
    counts: Counts,
  ) =>
    t.test(what, async () => {
      const got = await passed(async () => assert.equal(JSON.parse((await request()).text).instance, from));
      assert.deepEqual(got, counts);
    });
  const none: Counts = { outbound: 0, inbound: 0, dns: 0 };
  const [at4, at6] = [
    (port: number) => `http://${here.address}:${port}`,
    (port: number) => `http://[${here.address6}]:${port}`,
  ];
  const [v4, v6] = [
    (port: number) => `http://${there.address}:${port}`,
    (port: number) => `http://[${there.address6}]:${port}`,
  ];
  const install = (...more: readonly string[]) =>
    kodiak("install", "transparent-proxy", "--kuma-dp-user", "root", "--redirect-dns", ...more);

  for (const backend of ["nft", "iptables"]) {
    await install("--backend", backend);
    const outbound = { ...none, outbound: 1 };
    const inbound = { ...none, inbound: 1 };
    const says = (what: string): string => `${backend}: ${what}`;
    await expected(says("to elsewhere"), () => app.get(v4(8080)), "there", outbound);
    await expected(says("to elsewhere, IPv6"), () => app.get(v6(8080)), "there", outbound);
    await expected(says("from elsewhere"), () => other.get(at4(8080)), "here", inbound);
    await expected(says("from elsewhere, IPv6"), () => other.get(at6(8080)), "here", inbound);
    await expected(says("SSH's port"), () => other.get(at4(22)), "here", none);
    await expected(says("a name"), () => app.get("http://there.mesh:8080"), "there", { ...outbound, dns: 1 });
    await expected(says("to localhost"), () => app.get("http://127.0.0.1:8080"), "here", none);
    await expected(says("to its own address"), () => app.get(at4(8080)), "here", none);
    await expected(says("the proxy itself"), () => proxy.get(v4(8080)), "there", none);
    await expected(says("the proxy, to itself"), () => proxy.get(at4(8080)), "here", inbound);

    await t.test(says("installed twice is installed once"), async () => {
      const once = await rules();
      await install("--backend", backend);
      assert.equal(await rules(), once);
    });

    await t.test(says("exclusions"), async () => {
      // Ports and users for IPv4, addresses for IPv6.
      await install(
        ...["--backend", backend, "--exclude-outbound-ports-for-uids", `tcp:8080:${freeUser}`],
        ...["--exclude-outbound-ports", "8081", "--exclude-inbound-ports", "8081"],
        ...["--exclude-outbound-ips", "fd00:1::/64,10.9.9.9", "--exclude-inbound-ips", there.address6],
      );
      assert.deepEqual(await passed(() => app.get(v4(8081))), none, "an excluded port");
      assert.deepEqual(await passed(() => app.get(v4(8080))), outbound, "another port");
      assert.deepEqual(await passed(() => free.get(v4(8080))), none, "an excluded user");
      assert.deepEqual(await passed(() => app.get(v6(8080))), none, "an excluded network");
      assert.deepEqual(await passed(() => other.get(at4(8081))), none, "an excluded inbound port");
      assert.deepEqual(await passed(() => other.get(at4(8080))), inbound, "another inbound port");
      assert.deepEqual(await passed(() => other.get(at6(8080))), none, "an excluded caller");
    });

    await t.test(says("IPv4 alone, and nothing inbound"), async () => {
      await install("--backend", backend, "--redirect-inbound", "false", "--ip-family-mode", "ipv4");
      assert.deepEqual(await passed(() => other.get(at4(8080))), none, "inbound");
      assert.deepEqual(await passed(() => app.get(v4(8080))), outbound, "outbound");
      assert.deepEqual(await passed(() => app.get(v6(8080))), none, "IPv6");
    });
  }

  await t.test("the other backend takes its place, and uninstalling leaves nothing", async () => {
    await install("--backend", "nft");
    assert.doesNotMatch(await rules(), /KODIAK/);
    assert.deepEqual(await passed(() => app.get(v4(8080))), { ...none, outbound: 1 });
    assert.match(await kodiak("uninstall", "transparent-proxy"), /it was in nft \(IPv4\), nft \(IPv6\)$/);
    assert.doesNotMatch(await rules(), /kodiak/i);
    const [command, ...rest] = here.inside("ip", "-6", "address", "show", "dev", "lo");
    assert.doesNotMatch((await run(command, rest)).lines.join("\n"), /::6/);
    assert.deepEqual(await passed(() => app.get(v4(8080))), none);
    assert.match(await kodiak("uninstall", "transparent-proxy"), /there was none$/);
  });
});

// The networks of tests themselves: who reaches whom, and what becomes of it.

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { run } from "#agent/process.ts";
import { takeAlone } from "#host/sole.ts";
import { startApp } from "../lab/http.ts";
import { startInsider } from "../lab/insider.ts";
import { lab } from "../lab/lab.ts";
import { network, networkName } from "../lab/namespaces.ts";

test("zones have no route to each other but to what is opened, and what is between them can be cut", async (t) => {
  const own = await lab(t);
  const net = await network(t);
  const [one, neighbour, other] = [await net.host("zone-a"), await net.host("zone-a"), await net.host("zone-b")];
  const [inOne, inNeighbour, inOther] = await Promise.all(
    [one, neighbour, other].map((host) => startInsider(own, host)),
  );
  assert.ok(inOne && inNeighbour && inOther);
  await inNeighbour.serve("neighbour", 8080);
  await inOther.serve("other", 8080);
  const outside = await startApp("the test", net.testAddress);
  own.atEnd(outside.close);
  const reaches = async (url: string): Promise<string> => JSON.parse((await inOne.get(url)).text).instance;
  const there = `http://${other.address}:8080`;

  assert.equal(await reaches(`http://${neighbour.address}:8080`), "neighbour");
  assert.equal(await reaches(`http://[${neighbour.address6}]:8080`), "neighbour");
  assert.equal(await reaches(`http://${net.testAddress}:${outside.port}`), "the test");
  await assert.rejects(reaches(there), /ENETUNREACH/);

  await net.open(other);
  assert.equal(await reaches(there), "other");
  await net.cut("zone-a", "zone-b");
  await assert.rejects(reaches(there), /ECONNREFUSED/);
  assert.equal(await reaches(`http://${neighbour.address}:8080`), "neighbour");
  await net.mend();
  assert.equal(await reaches(there), "other");

  // Nobody is told: an attempt waits until it is given up, or the network is mended.
  await net.blackhole("zone-a", "zone-b");
  const attempt = reaches(there);
  const stillWaits = Symbol();
  assert.equal(
    await Promise.race([attempt, reaches(`http://${net.testAddress}:${outside.port}`).then(() => stillWaits)]),
    stillWaits,
  );
  await net.mend();
  assert.equal(await attempt, "other");

  // A host that vanishes does so for its own zone, too. Who waits long enough is told by its own kernel that there is no such neighbour.
  const near = `http://${neighbour.address}:8080`;
  await net.vanish(neighbour);
  const gone = reaches(near).catch(() => "nobody");
  assert.notEqual(await Promise.race([gone, reaches(there)]), "neighbour");
  await net.mend();
  await gone;
  assert.equal(await reaches(near), "neighbour");

  await net.slow("zone-b", 40);
  const startedMs = performance.now();
  const header = "x".repeat(8_000);
  await inOne.get(`${there}/${header}`);
  const slowMs = performance.now() - startedMs;
  assert.ok(slowMs > 1000, `8 kB at 40 kbit/s took ${slowMs} ms`);
  await net.mend();
});

test("nothing of a network is left", async (t) => {
  let testAddress = "";
  await t.test("while there is one", async (within) => {
    const net = await network(within);
    await net.host("zone-a");
    ({ testAddress } = net);
    assert.ok(isOwn(testAddress));
  });
  const [, , number] = testAddress.split(".");
  const release = await takeAlone(networkName(Number(number)));
  // Another test has made its own of it by now.
  if (!release) return;
  t.after(release);
  assert.ok(!isOwn(testAddress));
  const { lines } = await run("ip", ["netns", "list"]);
  assert.deepEqual(
    [...lines, ...(await readdir("/etc/netns"))].filter((name) => name.startsWith(`kodiak-${number}-`)),
    [],
  );
});

const isOwn = (wanted: string): boolean =>
  Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === wanted));

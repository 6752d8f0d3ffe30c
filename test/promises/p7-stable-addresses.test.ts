// P7: the address of a name does not change while the name exists: over restarts of every component, a cut link, and a change of
// global. The two services are chosen so that their names have one home: who came second has an address that nobody can compute.

import assert from "node:assert/strict";
import { Resolver } from "node:dns/promises";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { freePort } from "#host/free-port.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { homeOf } from "#owned/vips.ts";
import { serviceName } from "#topology/vips.ts";
import { eventually } from "../lab/lab.ts";
import { allowAll, dataplane, mesh } from "../lab/manifests.ts";
import { twoAtOneHome } from "../names/two-at-one-home.ts";
import {
  apply,
  type ControlPlane,
  dataplaneToken,
  ingressToken,
  joining,
  joinToken,
  killControlPlane,
  processes,
  startGlobal,
  startIngress,
  startProxy,
  startZone,
  type Zone,
} from "../processes/processes.ts";

test("P7: names keep their addresses over restarts, reconnects and a change of global", async (t) => {
  const of = await processes(t);
  const [inA, inB] = twoAtOneHome();
  assert.equal(homeOf("default", serviceName(inA)), homeOf("default", serviceName(inB)));
  let global: ControlPlane = await startGlobal(of);
  await apply(global, mesh("default"), allowAll("default"));
  const relay = await relayTo(Number(global.ready.kdsPort));
  let closeRelay = relay.close;
  of.atEnd(() => closeRelay());
  const linkTo = async (zone: string, kdsPort: unknown) => {
    const link = await joining({ ...global, ready: { ...global.ready, kdsPort } as never }, zone);
    return { link, zone: await startZone(of, zone, link) };
  };
  const [a, b] = await Promise.all([linkTo("zone-a", relay.port), linkTo("zone-b", global.ready.kdsPort)]);
  const token = await dataplaneToken(global);
  await startIngress(of, b.zone, "ingress-b", "127.0.2.1", await ingressToken(global));

  /** A proxy of a service, with its DNS. */
  async function startNamed(zone: Zone, service: string, address: string, dnsPort: number) {
    const [port, outbound] = [await freePort(address), await freePort()];
    const manifest = dataplane({ ...{ mesh: "default", name: service, service, address, port }, appPort: port + 1 });
    const redirect = ["--redirect-inbound-port", "0", "--redirect-outbound-port", String(outbound)];
    const dns = ["--dns-port", String(dnsPort), "--dns-resolver", `127.0.0.1:${await freePort()}`];
    return startProxy(of, zone, manifest, token, ["--transparent-proxy", ...redirect, ...dns]);
  }
  const [portA, portB] = [await freePort(), await freePort()];
  let proxyA = await startNamed(a.zone, inA, "127.0.1.1", portA);
  await startNamed(b.zone, inB, "127.0.2.2", portB);

  const ask = async (port: number, service: string): Promise<string> => {
    const resolver = new Resolver({ timeout: 2_000, tries: 3 });
    resolver.setServers([`127.0.0.1:${port}`]);
    const name = `${service}.Mesh`;
    const answers = await Promise.all([resolver.resolve4(name, { ttl: true }), resolver.resolve6(name, { ttl: true })]);
    assert.deepEqual(
      answers.flat().map(({ ttl }) => ttl <= 5),
      [true, true],
    );
    return answers
      .flat()
      .map(({ address }) => address)
      .join();
  };
  const places = [
    [portA, inA],
    [portA, inB],
    [portB, inB],
  ] as const;
  const all = () => Promise.all(places.map(([port, service]) => ask(port, service)));
  const first = await eventually("both names, of one address each in both zones", 30_000, async () => {
    const found = await all();
    assert.notEqual(found[0], found[1]);
    assert.equal(found[1], found[2]);
    return found;
  });

  /** While something happens, and afterwards, names are asked for all the time. */
  async function unchanged(what: string, happens: () => Promise<unknown>, mayFail = false): Promise<void> {
    let isOver = false;
    const wrong: string[] = [];
    let asked = 0;
    const asking = (async () => {
      while (!isOver) {
        const found = await all().catch((error: Error) => String(error));
        asked++;
        const isWrong = typeof found === "string" ? !mayFail : found.join() !== first.join();
        if (isWrong) wrong.push(String(found));
        await pause(20);
      }
    })();
    try {
      await happens();
    } finally {
      isOver = true;
      await asking;
    }
    assert.deepEqual(wrong, [], what);
    assert.ok(asked > 1, what);
    assert.deepEqual(await all(), first, what);
  }

  /** Something that was made after it is here. */
  let made = 0;
  async function reaches(store: ControlPlane): Promise<void> {
    const name = `made-${made++}`;
    const conf = { to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "3s" } }] };
    await apply(global, { type: "MeshTimeout", mesh: "default", name, spec: conf });
    await eventually(`${name} in ${store.child.name}`, 30_000, async () => {
      const list = await (await fetch(`${store.api}/meshes/default/meshtimeouts`)).text();
      assert.ok(list.includes(name));
    });
  }
  const linkArgs = { "zone-a": a.link, "zone-b": b.link };
  const zones: Record<"zone-a" | "zone-b", ControlPlane> = { "zone-a": a.zone, "zone-b": b.zone };
  async function restartZone(name: "zone-a" | "zone-b", joins = false): Promise<void> {
    const again = await killControlPlane(of, zones[name], ["zone", "--name", name, ...linkArgs[name]]);
    zones[name] = await again(...(joins ? await joinToken(global, name) : []));
  }

  await unchanged("each zone's control plane is killed and starts again", async () => {
    await restartZone("zone-a");
    await restartZone("zone-b");
    for (const zone of Object.values(zones)) await reaches(zone);
  });
  await unchanged("global is killed and starts again", async () => {
    global = await (await killControlPlane(of, global, ["global"]))();
    for (const zone of Object.values(zones)) await reaches(zone);
  });
  await unchanged("the link of zone-a is cut and mended", async () => {
    await closeRelay();
    closeRelay = (await relayTo(Number(global.ready.kdsPort), relay.port)).close;
    await reaches(zones["zone-a"]);
  });
  await unchanged(
    "a proxy leaves and comes again, and no other has its address meanwhile",
    async () => {
      await proxyA.child.end();
      proxyA = await startNamed(a.zone, inA, "127.0.1.1", portA);
      await eventually("its name", 30_000, async () => assert.equal(await ask(portA, inA), first[0]));
    },
    true,
  );
  await unchanged("global's store is lost, and the zones join the new one", async () => {
    const again = await killControlPlane(of, global, ["global"]);
    for (const file of ["kodiak.db", "kodiak.db-wal", "kodiak.db-shm"])
      await rm(join(global.data, file), { force: true });
    global = await again();
    await restartZone("zone-a", true);
    await restartZone("zone-b", true);
    await eventually("both services at the new global", 30_000, async () => {
      const list = await (await fetch(`${global.api}/dataplanes`)).text();
      for (const service of [inA, inB]) assert.ok(list.includes(service), list);
    });
    // What it says of addresses was sent before that.
    for (const zone of Object.values(zones)) await reaches(zone);
  });
});

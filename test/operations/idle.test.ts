// Where nothing happens, nothing is sent: three control planes and a hundred proxies, every byte counted on its way. What passes
// is the PINGs between control planes that find out whether the other end is still there, and their answers. Proxies are looked
// after by the kernel, whose probes carry nothing (decision 9).

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import {
  eventually,
  type Lab,
  type LabGlobal,
  type LabZone,
  lab,
  post,
  put,
  startGlobal,
  startZone,
} from "../lab/lab.ts";
import { dataplane } from "../lab/manifests.ts";
import { times } from "../lab/soak.ts";
import { startFakeProxy } from "./fake-proxy.ts";

const proxiesPerZone = 50;
const windowMs = times(16_000, 60_000);
/** Each end of a control planes' link asks at most so often in the window. */
const pings = Math.ceil(windowMs / 15_000);
/** A PING of 17 bytes in a TLS 1.3 record, or its answer. */
const pingBytes = 17 + 22;

interface Relay {
  readonly port: number;
  /** Bytes, of each chunk. */
  readonly passed: number[];
  /** Larger chunks are no keepalives. */
  readonly keepaliveBytes: number;
  /** More than a keepalive has passed. */
  onTalk: () => void;
}

/** Leads to a port, and counts what passes. */
async function countingRelay(of: Lab, port: number, keepaliveBytes: number): Promise<Relay> {
  const relay: Relay = { port: 0, passed: [], keepaliveBytes, onTalk() {} };
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("data", ({ length }) => {
        relay.passed.push(length);
        if (length > keepaliveBytes) relay.onTalk();
      });
      socket.on("error", () => other.destroy());
      socket.once("close", () => other.destroy());
      socket.pipe(other);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  of.atEnd(async () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a relay without a port");
  return Object.assign(relay, { port: address.port });
}

/**
 * Resolves when nothing but keepalives has passed anywhere for longer than counters of proxies wait to be recorded (10 s), and
 * those of zones after them (1 s), and than a PING comes after what was written (15 s).
 */
function quiet(relays: readonly Relay[]): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, 17_000);
  for (const relay of relays) relay.onTalk = () => timer.refresh();
  return promise;
}

const proxyOf = (zone: number, i: number) =>
  dataplane({
    ...{ mesh: "default", name: `p-${zone}-${i}`, service: `s-${i % 10}`, address: `127.9.${zone}.${i + 1}` },
    ...{ port: 80, appPort: 81, outbounds: { 9001: `s-${(i + 1) % 10}`, 9002: `s-${(i + 2) % 10}` } },
  });

test("three control planes and a hundred proxies at rest send nothing but keepalives", async (t) => {
  const of = await lab(t);
  const global: LabGlobal = await startGlobal(of);
  await put(global.api, "/meshes/default", { type: "Mesh", name: "default" });
  const toGlobal = await countingRelay(of, global.kdsPort, pingBytes);
  const token = await eventually("a token", 5_000, () =>
    post(global.api, "/tokens/dataplane", { mesh: "default", validFor: "1h" }),
  );
  const relays = [toGlobal];
  for (const zone of [1, 2]) {
    const running: LabZone = await startZone(of, `zone-${zone}`, { ...global, kdsPort: toGlobal.port });
    await eventually("the mesh", 5_000, async () => {
      assert.equal((await fetch(`${running.api}/meshes/default`)).status, 200);
    });
    const toZone = await countingRelay(of, running.dpPort, 0);
    relays.push(toZone);
    for (let i = 0; i < proxiesPerZone; i++) await startFakeProxy(of, running, proxyOf(zone, i), token, toZone.port);
  }
  await quiet(relays);

  for (const { passed } of relays) passed.length = 0;
  // That nothing happens is seen by waiting alone.
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const [between = 0, ...toProxies] = relays.map(({ passed }) => passed.reduce((sum, one) => sum + one, 0));
  t.diagnostic(
    `in ${windowMs / 1000} s: ${between} bytes between control planes, ${toProxies.join(" and ")} in two zones`,
  );
  const most = 2 * 2 * 2 * pings * pingBytes;
  assert.ok(between <= most, `${between} bytes, of keepalives at most ${most}`);
  assert.ok(between > 0, "keepalives do pass");
  assert.deepEqual(toProxies, [0, 0]);
});

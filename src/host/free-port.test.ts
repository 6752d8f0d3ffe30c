import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { freePort, givenName } from "#host/free-port.ts";
import { takeAlone } from "#host/sole.ts";

test("a port that was given is nobody else's, in this program or another, though nobody listens there", async () => {
  const ports = await Promise.all(Array.from({ length: 200 }, () => freePort()));
  assert.equal(new Set(ports).size, ports.length);
  assert.equal(await takeAlone(givenName(ports[0]!)), undefined);
});

test("a port for UDP is one that the kernel gives to nobody by itself", async (t) => {
  const socket = createSocket("udp4");
  await once(socket.bind(await freePort("127.0.0.1", "udp"), "127.0.0.1"), "listening");
  t.after(() => socket.close());
  assert.ok(socket.address().port < 32_768);
});

test("where there is none the address is said, and nothing is taken", async () => {
  for (const protocol of ["tcp", "udp"] as const)
    await assert.rejects(freePort("192.0.2.1", protocol), { message: /^192\.0\.2\.1 gave no free port/ });
});

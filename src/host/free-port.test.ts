import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort, givenName } from "#host/free-port.ts";
import { takeAlone } from "#host/sole.ts";

test("a port that was given is nobody else's, in this program or another, though nobody listens there", async () => {
  const ports = await Promise.all(Array.from({ length: 200 }, () => freePort()));
  assert.equal(new Set(ports).size, ports.length);
  assert.equal(await takeAlone(givenName(ports[0]!)), undefined);
});

test("where there is none the address is said, and nothing is taken", async () => {
  await assert.rejects(freePort("192.0.2.1"), { message: /^192\.0\.2\.1 gave no free port/ });
});

// A peer that has gone without saying so is found out, on both sides, and one that answers is left in peace.

import assert from "node:assert/strict";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { dial } from "#host/grpc-client.ts";
import { listen } from "#host/listen.ts";
import { openLog } from "#host/log.ts";
import { relayTo } from "#host/relay-for-test.ts";
import type { Clock, ServerStream, Status } from "#host/world.ts";

const log = openLog("silent");

/** A clock whose time passes when the test says so. */
function steppedClock() {
  let nowMs = 0;
  const alarms = new Set<{ readonly atMs: number; readonly ring: () => void }>();
  const clock: Clock = {
    now: () => nowMs,
    alarm(atMs, ring) {
      const alarm = { atMs, ring };
      alarms.add(alarm);
      return () => alarms.delete(alarm);
    },
  };
  return {
    clock,
    /** When the alarms ring that are set now, in milliseconds from now. */
    due: (): readonly number[] => [...alarms].map(({ atMs }) => atMs - nowMs).sort((a, b) => a - b),
    pass(durationMs: number): void {
      nowMs += durationMs;
      for (const alarm of [...alarms].filter(({ atMs }) => atMs <= nowMs)) {
        alarms.delete(alarm);
        alarm.ring();
      }
    },
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("a peer that does not answer a PING within 15 s is given up", { timeout: 20_000 }, async () => {
  const identity = await certificateFor(["127.0.0.1"]);
  const [atServer, atClient] = [steppedClock(), steppedClock()];
  const arrived = Promise.withResolvers<void>();
  const serverEnd = Promise.withResolvers<Status>();
  const streams = {
    "/a.B/Chat": (stream: ServerStream) => {
      stream.sendHeaders();
      stream.onEnd(serverEnd.resolve);
      arrived.resolve();
    },
  };
  const listening = await listen({ host: "127.0.0.1", port: 0, ...identity, streams }, atServer.clock, log);
  const relay = await relayTo(listening.port);
  const target = { host: "127.0.0.1", port: relay.port, trust: { kind: "ca", ca: identity.ca } } as const;
  const connection = dial(target, atClient.clock, log);
  const closed = new Promise<string>((resolve) => connection.onClose(resolve));
  const clientEnd = new Promise<Status>((resolve) => connection.stream("/a.B/Chat").onEnd(resolve));
  await Promise.all([connection.ready, arrived.promise]);
  assert.deepEqual(atClient.due(), [15_000]);
  assert.deepEqual(atServer.due(), [15_000]);

  // Both ask, both are answered, and 15 s run from the answer.
  for (const side of [atClient, atServer]) {
    side.pass(15_000);
    side.pass(5_000);
    assert.deepEqual(side.due(), [10_000]);
    while (side.due()[0] !== 15_000) await turn();
  }

  relay.hold();
  for (const side of [atClient, atServer]) {
    side.pass(15_000);
    side.pass(14_999);
  }
  await turn();
  for (const side of [atClient, atServer]) side.pass(1);
  assert.match(await closed, /^the connection to 127\.0\.0\.1:\d+ was lost: no answer to a PING for 15 s$/);
  assert.equal((await clientEnd).message, await closed);
  assert.equal((await serverEnd.promise).message, "the connection to the peer was lost");
  assert.deepEqual(atClient.due(), []);
  await relay.close();
  await listening.close("the test is over");
});

test("a server that accepts and says nothing is given up after 10 s", async () => {
  const identity = await certificateFor(["127.0.0.1"]);
  const { clock, pass } = steppedClock();
  const silent = await relayTo(1);
  const target = { host: "127.0.0.1", port: silent.port, trust: { kind: "ca", ca: identity.ca } } as const;
  const connection = dial(target, clock, log);
  pass(10_000);
  await assert.rejects(connection.ready, { message: /: no answer for 10 s; check the address and firewalls$/ });
  await silent.close();
});

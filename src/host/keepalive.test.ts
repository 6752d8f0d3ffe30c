// A peer that has gone without saying so is found out, on both sides, and one that answers is left in peace.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Http2Session } from "node:http2";
import { connect as connectTcp } from "node:net";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { dial } from "#host/grpc-client.ts";
import { keepAlive, watchOver } from "#host/keepalive.ts";
import { listen } from "#host/listen.ts";
import { openLog } from "#host/log.ts";
import { relayTo } from "#host/relay-for-test.ts";
import { type Clock, grpcCode, type ServerStream, type Status } from "#host/world.ts";

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

/** A server with a stream, on a clock of its own, and a relay that leads to it. */
async function serving() {
  const identity = await certificateFor(["127.0.0.1"]);
  const time = steppedClock();
  const arrived = Promise.withResolvers<ServerStream>();
  const end = Promise.withResolvers<Status>();
  const message = Promise.withResolvers<void>();
  const streams = {
    "/a.B/Chat": (stream: ServerStream) => {
      stream.sendHeaders();
      stream.onMessage(() => message.resolve());
      stream.onEnd(end.resolve);
      arrived.resolve(stream);
    },
  };
  const listening = await listen({ host: "127.0.0.1", port: 0, ...identity, streams }, time.clock, log);
  const relay = await relayTo(listening.port);
  return {
    ...{ relay, ca: identity.ca, arrived: arrived.promise, message: message.promise, end: end.promise },
    port: listening.port,
    passSeconds(seconds: number): void {
      for (let i = 0; i < seconds; i++) time.pass(1_000);
    },
    async close(): Promise<void> {
      await relay.close();
      await listening.close("the test is over");
    },
  };
}

test("who dials gives up a peer that does not answer a PING within 15 s", { timeout: 20_000 }, async () => {
  const { relay, ca, arrived, close } = await serving();
  const { clock, due, pass } = steppedClock();
  const connection = dial({ host: "127.0.0.1", port: relay.port, trust: { kind: "ca", ca } }, clock, log);
  const closed = new Promise<string>((resolve) => connection.onClose(resolve));
  const end = new Promise<Status>((resolve) => connection.stream("/a.B/Chat").onEnd(resolve));
  await Promise.all([connection.ready, arrived]);
  assert.deepEqual(due(), [15_000]);

  // It is answered, and 15 s run from the answer.
  pass(15_000);
  pass(5_000);
  assert.deepEqual(due(), [10_000]);
  while (due()[0] !== 15_000) await turn();

  relay.hold();
  pass(15_000);
  pass(14_999);
  await turn();
  pass(1);
  assert.match(await closed, /^the connection to 127\.0\.0\.1:\d+ was lost: no answer to a PING for 15 s$/);
  assert.equal((await end).message, await closed);
  assert.deepEqual(due(), []);
  await close();
});

test("who dials as an Envoy sends no PINGs", async () => {
  const { port, ca, close } = await serving();
  const { clock, due } = steppedClock();
  const connection = dial({ host: "127.0.0.1", port, trust: { kind: "ca", ca }, pings: false }, clock, log);
  await connection.ready;
  assert.deepEqual(due(), []);
  connection.close();
  await close();
});

test("who accepts asks within 15 s after it has written, and nothing at rest", { timeout: 20_000 }, async () => {
  const { port, ca, arrived, message, passSeconds, close } = await serving();
  const session = connect(`https://127.0.0.1:${port}`, { ca });
  let asked = 0;
  session.on("ping", () => asked++);
  const stream = session.request({ ":method": "POST", ":path": "/a.B/Chat", "content-type": "application/grpc" });
  (await arrived).send([Buffer.from("news")]);
  await once(stream, "data");
  const ping = once(session, "ping");
  passSeconds(15);
  await ping;
  // The answer is there when what is sent behind it is.
  stream.write(Buffer.from([0, 0, 0, 0, 1, 1]));
  await message;

  passSeconds(60);
  await new Promise<void>((resolve) => session.ping(() => resolve()));
  assert.equal(asked, 1);
  session.destroy();
  await close();
});

test("who accepts gives up a peer that does not answer within 15 s", { timeout: 20_000 }, async () => {
  const { relay, ca, arrived, end, passSeconds, close } = await serving();
  const session = connect(`https://127.0.0.1:${relay.port}`, { ca });
  session.on("error", () => {});
  const stream = session.request({ ":method": "POST", ":path": "/a.B/Chat", "content-type": "application/grpc" });
  stream.on("error", () => {});
  const server = await arrived;
  relay.hold();
  server.send([Buffer.from("news")]);
  // HTTP/2 writes at the end of the turn.
  await turn();
  passSeconds(30);
  const message = "the connection to the peer was lost";
  assert.deepEqual(await end, { code: grpcCode.unavailable, message, isSilent: true });
  await close();
});

/** A session that answers no PING, and what has come from its peer. */
function mute() {
  const socket = { bytesWritten: 1, bytesRead: 0 };
  const session = { destroyed: false, socket, ping: () => true, once: () => session };
  return { socket, session: session as unknown as Http2Session };
}

test("a peer whose answer is late, as it waits behind what was written before, is there as long as anything comes from it", () => {
  const accepted = mute();
  const dialled = mute();
  const lost: string[] = [];
  const { clock, pass } = steppedClock();
  watchOver(clock, () => lost.push("accepted"))(accepted.session);
  keepAlive(dialled.session, clock, () => lost.push("dialled"));
  for (let seconds = 1; seconds <= 60; seconds++) {
    for (const { socket } of [accepted, dialled]) socket.bytesRead += 13;
    pass(1_000);
  }
  assert.deepEqual(lost, []);
  for (let seconds = 1; seconds <= 30; seconds++) pass(1_000);
  assert.deepEqual([...new Set(lost)].sort(), ["accepted", "dialled"]);
});

/** Of a port's connections, whether the kernel's keepalive waits for its time: https://docs.kernel.org/networking/proc_net_tcp.html */
async function keepsAlive(port: number): Promise<readonly boolean[]> {
  const [, ...rows] = (await readFile("/proc/net/tcp", "utf8")).trim().split("\n");
  const isAt = (address = ""): boolean => Number.parseInt(address.split(":")[1] ?? "", 16) === port;
  return rows.flatMap((row) => {
    const [, local, , state, , timer] = row.trim().split(/\s+/);
    return isAt(local) && state === "01" ? timer?.startsWith("02:") === true : [];
  });
}

test("the kernel looks after every connection that is accepted, at whichever door", { timeout: 20_000 }, async (t) => {
  const { port, close } = await serving();
  const count = 64;
  const sockets = Array.from({ length: count }, () => connectTcp(port, "127.0.0.1"));
  const areAll = (kept: readonly boolean[]): boolean => kept.length === count && kept.every((one) => one);
  while (!areAll(await keepsAlive(port)) && !t.signal.aborted) await turn();
  for (const socket of sockets) socket.destroy();
  await close();
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

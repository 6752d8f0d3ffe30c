import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { certificateFor } from "#host/certificate-for-test.ts";
import { listen } from "#host/listen.ts";
import { openLog } from "#host/log.ts";
import type { ServerStream } from "#host/world.ts";

test("a connection on which nothing is open is ended after 15 s, at its beginning and later; one with a stream stays", async (t) => {
  const identity = await certificateFor(["127.0.0.1"]);
  const alarms = new Map<() => void, number>();
  let now = 0;
  const clock = {
    now: () => now,
    alarm(atMs: number, ring: () => void) {
      alarms.set(ring, atMs);
      return () => void alarms.delete(ring);
    },
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const [ring, atMs] of [...alarms]) if (atMs <= now && alarms.delete(ring)) ring();
  };
  /** Resolves when so many connections are waited for. */
  const waitedFor = async (count: number): Promise<void> => {
    while ([...alarms.values()].filter((atMs) => atMs === now + 15_000).length !== count) await turn();
  };
  const streams: ServerStream[] = [];
  const path = "/test.Talk/Chat";
  const serve = (stream: ServerStream): void => {
    streams.push(stream);
    stream.sendHeaders();
  };
  const options = { host: "127.0.0.1", port: 0, ...identity, streams: { [path]: serve } };
  const { port, close } = await listen(options, clock, openLog("silent"));
  t.after(() => close("the test ends"));
  const dial = () => {
    const session = connect(`https://127.0.0.1:${port}`, { ca: identity.ca });
    t.after(() => session.destroy());
    return { session, closed: once(session, "close") };
  };

  const [silent, busy] = [dial(), dial()];
  await waitedFor(2);
  const call = busy.session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
  await once(call, "response");
  await waitedFor(1);
  pass(14_999);
  assert.ok(!silent.session.closed);
  pass(1);
  await silent.closed;
  pass(60_000);
  assert.ok(!busy.session.closed);
  streams[0]?.end({ code: 0, message: "" });
  call.end();
  call.resume();
  await waitedFor(1);
  pass(15_000);
  await busy.closed;
});

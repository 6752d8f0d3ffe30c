import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Stream, connect as connectHttp2 } from "node:http2";
import { test } from "node:test";
import { certificateFor } from "#host/certificate-for-test.ts";
import { framed } from "#host/grpc-frame.ts";
import { heldShares } from "#host/held.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { grpcCode } from "#host/world.ts";

function stage(maxBytes: number) {
  const time = { now: 0 };
  const said: number[] = [];
  const log = {
    ...openLog("silent"),
    warn: (fields: object) => void said.push((fields as { refused: number }).refused),
  };
  return { time, said, share: heldShares(maxBytes, { now: () => time.now }, log) };
}

test("all share one bound; what one gives up is another's, and who is answered is not counted", () => {
  const { share } = stage(100);
  const [a, b, c] = [share(), share(), share()];
  assert.ok(a.hold(60));
  assert.ok(b.hold(40));
  assert.equal(c.hold(1), false);
  assert.equal(a.hold(61), false, "what it held is counted once");
  assert.ok(a.hold(0));
  assert.ok(c.hold(60));
  b.release();
  assert.ok(b.hold(1_000_000));
  assert.ok(c.hold(100));
  b.release();
  assert.equal(a.hold(1), false);
});

test("what is refused is said once a second, with how many", () => {
  const { share, said, time } = stage(0);
  const one = share();
  for (const now of [0, 1, 999, 1_000, 1_001]) {
    time.now = now;
    assert.equal(one.hold(1), false);
  }
  assert.deepEqual(said, [1, 3]);
  // A clock that was set back.
  time.now = 500;
  one.hold(1);
  assert.deepEqual(said, [1, 3, 2]);
});

test("a port holds no more than that of what is not whole; what is whole is served meanwhile, and all of it when there is room again", async (t) => {
  const identity = await certificateFor(["127.0.0.1"]);
  const path = "/test.Talk/Chat";
  let ended = 0;
  const allEnded = Promise.withResolvers<void>();
  const listening = await realWorld({ log: openLog("silent") }).network.listen({
    ...{ host: "127.0.0.1", port: 0, ...identity, maxHeldBytes: 1_000_000 },
    streams: {
      [path](stream) {
        stream.onMessage((message) => void stream.send([message.subarray(0, 1)]));
        stream.onEnd(() => ++ended === partial.length && allEnded.resolve());
      },
    },
    unary: { "/test.Talk/Ask": (request) => request.subarray(0, 1) },
    http: async ({ body }) => ({ status: 200, body: String(body.length) }),
  });
  t.after(() => listening.close("the test ends"));
  const dial = () => {
    const session = connectHttp2(`https://127.0.0.1:${listening.port}`, { ca: identity.ca });
    t.after(() => session.destroy());
    return session;
  };
  const begun = (session: ReturnType<typeof dial>, to: string): ClientHttp2Stream =>
    session.request({ ":method": "POST", ":path": to, "content-type": "application/grpc", te: "trailers" });
  const message = Buffer.concat(framed([Buffer.alloc(200_000)], false));
  const answerOf = async (stream: ClientHttp2Stream) => {
    const [headers] = await once(stream, "response");
    return { status: headers["grpc-status"], http: headers[":status"] };
  };

  const strangers = dial();
  const partial = Array.from({ length: 8 }, () => begun(strangers, path));
  for (const stream of partial) stream.write(message.subarray(0, 150_000));
  const refused = await Promise.race(partial.map(answerOf));
  assert.equal(refused.status, `${grpcCode.resourceExhausted}`);

  const other = dial();
  const whole = begun(other, path);
  whole.write(framed([Buffer.from("small")], false)[0]);
  assert.deepEqual(await answerOf(whole), { status: undefined, http: 200 });
  // It has been answered.
  whole.write(message.subarray(0, 150_000));
  whole.write(message.subarray(150_000));
  const answers: Buffer[] = [];
  for await (const chunk of whole.iterator({ destroyOnReturn: false })) {
    answers.push(chunk);
    if (Buffer.concat(answers).length === 12) break;
  }

  const post = other.request({ ":method": "POST", ":path": "/" });
  post.write(Buffer.alloc(300_000));
  assert.equal((await answerOf(post)).http, 503);
  const unary = begun(other, "/test.Talk/Ask");
  unary.write(message);
  assert.equal((await answerOf(unary)).status, `${grpcCode.resourceExhausted}`);

  strangers.destroy();
  await allEnded.promise;
  const again = begun(other, "/test.Talk/Ask");
  again.end(message);
  assert.deepEqual(await answerOf(again), { status: undefined, http: 200 });
});

// Streams and calls between our own two ends over a real TLS port, and what reaches a peer that misbehaves.

import assert from "node:assert/strict";
import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  type IncomingHttpHeaders,
} from "node:http2";
import { afterEach, before, beforeEach, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { certificateFor, type TestCertificate } from "#host/certificate-for-test.ts";
import { framed, leastPackedBytes } from "#host/grpc-frame.ts";
import { statusIn } from "#host/grpc-status.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { type Relay, relayTo } from "#host/relay-for-test.ts";
import {
  type CallOptions,
  type ClientStream,
  type Connection,
  GrpcError,
  grpcCode,
  type Listening,
  type ServerStream,
  type Status,
  type Stream,
} from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

const { network } = realWorld({ log: openLog("silent") });
const path = "/test.Talk/Chat";
const text = (message: Uint8Array): string => Buffer.from(message).toString();

let identity: TestCertificate;
before(async () => {
  identity = await certificateFor(["127.0.0.1"]);
});

let listening: Listening;
let connection: Connection;
/** What the next stream that arrives meets; set by each test. */
let serve: (stream: ServerStream) => void;

beforeEach(async () => {
  listening = await network.listen({
    host: "127.0.0.1",
    port: 0,
    ...identity,
    maxMessageBytes: 1_000_000,
    streams: { [path]: (stream) => serve(stream) },
    unary: {
      "/test.Talk/Fail": () => {
        throw new KodiakError({ kind: "not-found", what: "zone-b" });
      },
      "/test.Talk/Break": () => Promise.reject(new TypeError("secret")),
    },
  });
  connection = dial(listening.port);
});
afterEach(async () => {
  connection.close();
  await listening.close("the test is over");
});

const dial = (port: number): Connection =>
  network.dial({ host: "127.0.0.1", port, trust: { kind: "ca", ca: identity.ca } });

/** A client that does what it is told, right or wrong. */
const connectRaw = (): ClientHttp2Session => connectHttp2(`https://127.0.0.1:${listening.port}`, { ca: identity.ca });

const callHeaders = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };

function statusOf(call: ClientHttp2Stream): Promise<Status> {
  call.resume();
  return new Promise((resolve) => {
    const tell = (headers: IncomingHttpHeaders): void => {
      const status = statusIn(headers);
      if (status !== undefined) resolve(status);
    };
    call.on("response", tell);
    call.on("trailers", tell);
  });
}

const bomb = (): readonly Uint8Array[] => framed([Buffer.alloc(1_000_001)], true);

/** Every end that is told; there must be one. */
function endsOf(stream: Stream): { readonly first: Promise<Status>; readonly all: readonly Status[] } {
  const all: Status[] = [];
  const first = new Promise<Status>((resolve) =>
    stream.onEnd((status) => {
      all.push(status);
      resolve(status);
    }),
  );
  return { first, all };
}

/** Both ends of one new stream, when the server has it. */
async function open(
  options: CallOptions = {},
): Promise<{ readonly client: ClientStream; readonly server: ServerStream }> {
  const arrived = Promise.withResolvers<ServerStream>();
  serve = (stream) => {
    stream.sendHeaders();
    arrived.resolve(stream);
  };
  const client = connection.stream(path, options);
  return { client, server: await arrived.promise };
}

describe("an end is told exactly once, to both", () => {
  interface Ends {
    readonly client: ClientStream;
    readonly server: ServerStream;
    readonly relay: Relay;
  }
  interface Case {
    readonly act: (ends: Ends) => unknown;
    readonly client: Status | RegExp;
    readonly server: Status | RegExp;
  }
  const cases: Readonly<Record<string, Case>> = {
    "when the server ends": {
      act: ({ server }) => server.end({ code: 7, message: "not you" }),
      client: { code: 7, message: "not you" },
      server: { code: 7, message: "not you" },
    },
    "when the client has nothing more to say": {
      act: ({ client }) => client.halfClose(),
      client: { code: grpcCode.ok, message: "" },
      server: { code: grpcCode.ok, message: "" },
    },
    "when the client cancels": {
      act: ({ client }) => client.cancel(),
      client: { code: grpcCode.cancelled, message: "cancelled here" },
      server: { code: grpcCode.cancelled, message: "the peer cancelled the stream" },
    },
    "when the client closes the connection": {
      act: () => connection.close(),
      client: { code: grpcCode.cancelled, message: "cancelled here" },
      server: /^(1|14) /,
    },
    "when the server closes its port": {
      act: () => listening.close("stopped for an update"),
      client: { code: grpcCode.unavailable, message: "stopped for an update" },
      server: { code: grpcCode.unavailable, message: "stopped for an update" },
    },
    "when the network is cut": {
      act: ({ relay }) => relay.cut(),
      client: /^14 .*127\.0\.0\.1:\d+/,
      server: { code: grpcCode.unavailable, message: "the connection to the peer was lost" },
    },
    "when the client sends what is too large": {
      act: ({ client }) => client.send([Buffer.alloc(1_000_001)]),
      client: /^8 a message of 1000001 bytes is larger than the limit of 1000000 bytes$/,
      server: /^8 a message of 1000001 bytes is larger than the limit of 1000000 bytes$/,
    },
    "when the server sends what is too large": {
      act: ({ server }) => server.send([Buffer.alloc(2_000_001)]),
      client: /^8 a message of 2000001 bytes is larger than the limit of 2000000 bytes$/,
      server: { code: grpcCode.cancelled, message: "the peer cancelled the stream" },
    },
    "when the server's handler throws": {
      act({ client, server }) {
        server.onMessage(() => {
          throw new GrpcError({ code: grpcCode.invalidArgument, message: "what is that" });
        });
        client.send([Buffer.from("?")]);
        client.send([Buffer.from("?")]);
      },
      client: { code: grpcCode.invalidArgument, message: "what is that" },
      server: { code: grpcCode.invalidArgument, message: "what is that" },
    },
    "when the client's handler throws": {
      act({ client, server }) {
        client.onMessage(() => {
          throw new GrpcError({ code: grpcCode.invalidArgument, message: "what is that" });
        });
        server.send([Buffer.from("?")]);
      },
      client: { code: grpcCode.invalidArgument, message: "what is that" },
      server: { code: grpcCode.cancelled, message: "the peer cancelled the stream" },
    },
  };

  for (const [name, { act, client: atClient, server: atServer }] of Object.entries(cases)) {
    test(name, async () => {
      const relay = await relayTo(listening.port);
      connection.close();
      connection = dial(relay.port);
      const { client, server } = await open({ maxMessageBytes: 2_000_000 });
      const ends = { client: endsOf(client), server: endsOf(server) };
      await act({ client, server, relay });
      assertStatus(await ends.client.first, atClient);
      assertStatus(await ends.server.first, atServer);
      client.cancel();
      server.end({ code: grpcCode.internal, message: "again" });
      assert.equal(client.send([Buffer.from("late")]), false);
      assert.equal(server.send([Buffer.from("late")]), false);
      connection.close();
      await listening.close("again");
      await relay.close();
      assert.equal(ends.client.all.length, 1);
      assert.equal(ends.server.all.length, 1);
    });
  }

  function assertStatus(actual: Status, expected: Status | RegExp): void {
    if (expected instanceof RegExp) assert.match(`${actual.code} ${actual.message}`, expected);
    else assert.deepEqual(actual, expected);
  }
});

test("a stream that was refused before its headers has a status alone", async () => {
  serve = (stream) => stream.end({ code: grpcCode.unauthenticated, message: "no token" });
  const { first } = endsOf(connection.stream(path));
  assert.deepEqual(await first, { code: grpcCode.unauthenticated, message: "no token" });
});

test("messages of both sides arrive whole and in order", async () => {
  const { client, server } = await open();
  const sent = Array.from({ length: 200 }, (_, size) => Buffer.alloc(size * 37, size));
  const received = { client: [] as Buffer[], server: [] as Buffer[] };
  client.onMessage((message) => received.client.push(Buffer.from(message)));
  server.onMessage((message) => {
    received.server.push(Buffer.from(message));
    server.send([message.subarray(0, 1), message.subarray(1)]);
  });
  for (const message of sent) client.send([message]);
  client.halfClose();
  assert.equal((await endsOf(client).first).code, grpcCode.ok);
  assert.deepEqual(received.server, sent);
  assert.deepEqual(received.client, sent);
});

test("what arrives before the handlers are set waits for the end of the turn", async () => {
  const received = Promise.withResolvers<string>();
  serve = async (stream) => {
    for (let n = 0; n < 10; n++) await new Promise<void>((resolve) => process.nextTick(resolve));
    stream.onMessage((message) => received.resolve(text(message)));
  };
  const client = connection.stream(path);
  client.send([Buffer.from("early")]);
  assert.equal(await received.promise, "early");
  client.cancel();
});

test("nothing is delivered after the end, not even what came with it", async () => {
  const received: string[] = [];
  serve = (stream) =>
    stream.onMessage((message) => {
      received.push(text(message));
      stream.end({ code: grpcCode.ok, message: "" });
    });
  const raw = connectRaw();
  const call = raw.request(callHeaders);
  call.end(Buffer.concat(["one", "two", "three"].flatMap((word) => framed([Buffer.from(word)], false))));
  assert.equal((await statusOf(call)).code, grpcCode.ok);
  assert.deepEqual(received, ["one"]);
  raw.destroy();
});

test("a handler of the end that is set late is called, too", async () => {
  const { client, server } = await open();
  server.end({ code: grpcCode.ok, message: "" });
  await endsOf(client).first;
  assert.equal((await endsOf(client).first).code, grpcCode.ok);
  assert.equal((await endsOf(server).first).code, grpcCode.ok);
});

test("what a unary call throws is its status, and a mistake of ours keeps its details to the log", async () => {
  const request = Buffer.from("x");
  await assert.rejects(connection.unary("/test.Talk/Fail", request), {
    status: { code: grpcCode.notFound, message: "zone-b does not exist" },
  });
  await assert.rejects(connection.unary("/test.Talk/Break", request), {
    status: { code: grpcCode.internal, message: "internal error; see the server's log" },
  });
  await assert.rejects(connection.unary("/test.Talk/Unheard", request), {
    status: { code: grpcCode.unimplemented, message: "there is no method /test.Talk/Unheard here" },
  });
});

test("calls on a closed connection fail at once and say so", async () => {
  await connection.ready;
  const closed = new Promise<string>((resolve) => connection.onClose(resolve));
  connection.close();
  assert.match(await closed, /was closed here$/);
  assert.equal((await endsOf(connection.stream(path)).first).code, grpcCode.unavailable);
  await assert.rejects(connection.unary(path, Buffer.from("x")), { message: /was closed here$/ });
});

describe("a peer that reads slowly", () => {
  const message = Buffer.alloc(16_384, 7);

  /** Sends until told to wait. Bytes that were accepted. */
  function fill(stream: Stream): number {
    let sent = message.length;
    while (stream.send([message])) {
      sent += message.length;
      assert.ok(sent < 64_000_000, "never told to wait");
    }
    return sent;
  }

  /** After two round trips the peer has had everything that could be sent. */
  async function pong(raw: ClientHttp2Session): Promise<"full"> {
    for (let n = 0; n < 2; n++) await new Promise<void>((resolve) => raw.ping(() => resolve()));
    return "full";
  }

  test("is waited for, stream by stream", async () => {
    const raw = connectRaw();
    const streams: ServerStream[] = [];
    const both = Promise.withResolvers<void>();
    serve = (stream) => {
      stream.sendHeaders();
      if (streams.push(stream) === 2) both.resolve();
    };
    const [slow, quick] = [raw.request(callHeaders), raw.request(callHeaders)];
    await Promise.all([both.promise, once(slow, "response"), once(quick, "response")]);
    const [toSlow, toQuick] = streams;
    assert.ok(toSlow !== undefined && toQuick !== undefined);
    let drained = Promise.withResolvers<"drained">();
    toSlow.onDrained(() => drained.resolve("drained"));
    // Until the answer to a PING comes sooner than room for more: then the peer's window and what waits here are full.
    let sent = 0;
    let next: "drained" | "full";
    do {
      drained = Promise.withResolvers();
      sent += fill(toSlow);
      next = await Promise.race([drained.promise, pong(raw)]);
    } while (next === "drained");
    // Node's window is 64 KiB, and as much waits here.
    assert.ok(sent >= 65_536 && sent <= 262_144, `${sent} bytes were accepted`);
    // The other stream goes on meanwhile.
    const received = once(quick, "data");
    toQuick.send([message]);
    await received;
    slow.resume();
    await drained.promise;
    assert.equal(toSlow.send([message]), true);
    raw.destroy();
  });

  test("gets everything in the end, though it read nothing of the connection for a while", async () => {
    const relay = await relayTo(listening.port);
    connection.close();
    connection = dial(relay.port);
    const { client, server } = await open();
    let received = 0;
    client.onMessage((bytes) => {
      received += bytes.length;
    });
    const isDrained = new Promise<void>((resolve) => server.onDrained(resolve));
    relay.hold();
    const sent = fill(server);
    relay.release();
    await isDrained;
    server.end({ code: grpcCode.ok, message: "" });
    await endsOf(client).first;
    assert.equal(received, sent);
    await relay.close();
  });
});

describe("on the wire", () => {
  let raw: ClientHttp2Session;
  beforeEach(() => {
    raw = connectRaw();
  });
  afterEach(() => raw.destroy());

  test("an answer is compressed when the request is, except when it is small", async () => {
    serve = (stream) => stream.onMessage((message) => stream.send([message, message]));
    const half = "hello".repeat(leastPackedBytes / 8);
    for (const encoding of ["gzip", "identity"]) {
      const call = raw.request({ ...callHeaders, "grpc-encoding": encoding });
      call.write(Buffer.concat([...framed([Buffer.from(half)], encoding === "gzip"), ...framed([], false)]));
      call.end();
      const [headers] = await once(call, "response");
      assert.equal(headers["grpc-encoding"], encoding === "gzip" ? "gzip" : undefined);
      const wire = Buffer.concat(await call.toArray());
      const length = wire.readUInt32BE(1);
      const body = wire.subarray(5, 5 + length);
      assert.equal(wire[0], encoding === "gzip" ? 1 : 0);
      assert.equal(text(encoding === "gzip" ? gunzipSync(body) : body), half + half);
      assert.deepEqual(wire.subarray(5 + length), Buffer.from([0, 0, 0, 0, 0]));
    }
  });

  test("headers go with the first message, or when asked for", async () => {
    let server: ServerStream | undefined;
    serve = (stream) => {
      server = stream;
      stream.onMessage(() => stream.sendHeaders());
    };
    const call = raw.request(callHeaders);
    let isAnswered = false;
    const answer = once(call, "response").then(() => {
      isAnswered = true;
    });
    await once(raw, "remoteSettings");
    await new Promise<void>((resolve) => raw.ping(() => resolve()));
    assert.equal(isAnswered, false);
    call.write(Buffer.concat(framed([Buffer.from("x")], false)));
    await answer;
    const data = once(call, "data");
    server?.send([Buffer.from("y")]);
    const [received] = await data;
    assert.equal(text(received), "\0\0\0\0\u0001y");
  });

  for (const [name, headers, body, code, message] of [
    ["an unknown compression", { "grpc-encoding": "snappy" }, framed([], false), 12, /"snappy" is not known here/],
    ["a compressed message without an encoding", {}, [Buffer.from([1, 0, 0, 0, 1, 7])], 13, /no grpc-encoding/],
    ["half a message", {}, [Buffer.from([0, 0, 0, 0, 2, 7])], 13, /within a message/],
    ["a bomb", { "grpc-encoding": "gzip" }, bomb(), 8, /larger when decompressed than the limit of 1000000 bytes/],
  ] as const) {
    test(`${name} is refused`, async () => {
      serve = (stream) => {
        stream.sendHeaders();
        stream.onMessage(() => assert.fail("no message"));
      };
      const call = raw.request({ ...callHeaders, ...headers });
      call.end(Buffer.concat(body));
      const status = await statusOf(call);
      assert.equal(status.code, code);
      assert.match(status.message, message);
    });
  }

  test("a stream that is half-closed before it has sent anything ends", async () => {
    serve = (stream) => stream.onMessage(() => assert.fail("no message"));
    const call = raw.request(callHeaders, { endStream: false });
    call.end();
    assert.deepEqual(await statusOf(call), { code: grpcCode.ok, message: "" });
  });

  test("all values of a header arrive, each line for itself, and the peer has an address", async () => {
    const arrived = Promise.withResolvers<ServerStream>();
    serve = (stream) => {
      arrived.resolve(stream);
      stream.end({ code: grpcCode.ok, message: "" });
    };
    raw.request({ ...callHeaders, features: ["one", "two"], Authorization: "token" });
    const { headers, peer, path: called } = await arrived.promise;
    assert.deepEqual(headers.features, ["one", "two"]);
    assert.deepEqual(headers.authorization, ["token"]);
    assert.equal(headers[":path"], undefined);
    assert.equal(called, path);
    assert.match(peer, /^127\.0\.0\.1:\d+$/);
  });
});

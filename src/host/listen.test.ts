// One port: HTTP/1.1, HTTP/2 and gRPC beside each other, opening it, and closing it.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { after, before, describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { certificateFor, type TestCertificate } from "#host/certificate-for-test.ts";
import { request } from "#host/https.ts";
import { listen as listenBy, portName } from "#host/listen.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { takeAlone } from "#host/sole.ts";
import type { ClientCertificate, HttpRequest, HttpResponse, Listening, ListenOptions } from "#host/world.ts";

const { network } = realWorld({ log: openLog("silent") });
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

let identity: TestCertificate;
before(async () => {
  identity = await certificateFor(["127.0.0.1"]);
});

const listen = (options: Partial<ListenOptions> = {}): Promise<Listening> =>
  network.listen({ host: "127.0.0.1", port: 0, streams: {}, ...identity, ...options });

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly header: (name: string) => string | undefined;
}
interface Call {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

async function overHttp1(port: number, call: Call): Promise<Answer> {
  const trust = { kind: "ca", ca: identity.ca } as const;
  const answer = await request({ ...call, url: `https://127.0.0.1:${port}${call.url}`, trust });
  return { status: answer.status, body: text(answer.body), header: (name) => answer.headers[name]?.join() };
}

async function overHttp2(port: number, call: Call): Promise<Answer> {
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: identity.ca });
  try {
    const stream = session.request({ ":method": call.method ?? "GET", ":path": call.url, ...call.headers });
    stream.end(call.body);
    const [headers] = await once(stream, "response");
    const chunks = await stream.toArray();
    return { status: headers[":status"], body: text(Buffer.concat(chunks)), header: (name) => headers[name] };
  } finally {
    session.destroy();
  }
}

/** Sends a part of a request; resolves with the status of the answer. */
const begunBy = {
  async "HTTP/1.1"(port: number, begun: () => Promise<void>): Promise<number> {
    const socket = connectTls({ host: "127.0.0.1", port, ca: identity.ca, ALPNProtocols: ["http/1.1"] });
    socket.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12");
    await begun();
    const [head] = await once(socket, "data");
    socket.destroy();
    return Number(/^HTTP\/1.1 (\d+) /.exec(String(head))?.[1]);
  },
  async "HTTP/2"(port: number, begun: () => Promise<void>): Promise<number> {
    const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: identity.ca });
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.write("12");
    await begun();
    const [head] = await once(stream, "response");
    session.destroy();
    return Number(head[":status"]);
  },
} as const;

for (const [version, call] of [
  ["HTTP/1.1", overHttp1],
  ["HTTP/2", overHttp2],
] as const) {
  describe(`over ${version}`, () => {
    const requests: HttpRequest[] = [];
    let listening: Listening;

    const answer = async (request: HttpRequest): Promise<HttpResponse> => {
      requests.push(request);
      if (request.url === "/fail") throw new Error("secret");
      if (request.url === "/none") return { status: 204 };
      const headers = { "Content-Type": "application/json", connection: "keep-alive" };
      return { status: 201, headers, body: request.body };
    };
    before(async () => {
      listening = await listen({ http: answer, unary: { "/a.B/Echo": (message) => message } });
    });
    after(() => listening.close("the test is over"));

    test("a request arrives whole, beside gRPC on the same port", async () => {
      const { port } = listening;
      const body = Buffer.alloc(1_000_000, "body ");
      const headers = { "content-type": "application/json", "x-token": "t" };
      const answered = await call(port, { method: "POST", url: "/bootstrap?a=b", headers, body });
      assert.equal(answered.status, 201);
      assert.equal(answered.body, body.toString());
      assert.equal(answered.header("content-type"), "application/json");
      const arrived = requests.at(-1);
      assert.equal(arrived?.method, "POST");
      assert.equal(arrived.url, "/bootstrap?a=b");
      assert.equal(arrived.authority, `127.0.0.1:${port}`);
      assert.deepEqual(arrived.headers["x-token"], ["t"]);
      assert.deepEqual(
        Object.keys(arrived.headers).filter((name) => name.startsWith(":")),
        [],
      );
      const connection = network.dial({ host: "127.0.0.1", port, trust: { kind: "ca", ca: identity.ca } });
      assert.equal(text(await connection.unary("/a.B/Echo", Buffer.from("hello"))), "hello");
      connection.close();
    });

    test("an answer may have no body", async () => {
      assert.equal((await call(listening.port, { url: "/none" })).status, 204);
      const head = await call(listening.port, { method: "HEAD", url: "/" });
      assert.deepEqual([head.status, head.body], [201, ""]);
    });

    test("a body that is too large is not handed over", async () => {
      const before = requests.length;
      const body = Buffer.alloc(4 * 1024 * 1024 + 1);
      const { status, body: why } = await call(listening.port, { method: "PUT", url: "/", body });
      assert.equal(status, 413);
      assert.equal(why, "the body is larger than the limit of 4194304 bytes\n");
      assert.equal(requests.length, before);
      assert.equal((await call(listening.port, { method: "PUT", url: "/", body: body.subarray(1) })).status, 201);
    });

    test("a body that does not come is waited for no longer than 10 s", async () => {
      const waits = Promise.withResolvers<() => void>();
      const clock = {
        now: () => 0,
        alarm(atMs: number, ring: () => void) {
          if (atMs === 10_000) waits.resolve(ring);
          return () => {};
        },
      };
      const silent = openLog("silent");
      const options = { host: "127.0.0.1", port: 0, streams: {}, ...identity, http: answer };
      const { port, close } = await listenBy(options, clock, silent);
      const before = requests.length;
      const status = await begunBy[version](port, async () => (await waits.promise)());
      assert.equal(status, 408);
      assert.equal(requests.length, before);
      await close("the test is over");
    });

    test("a mistake of ours is 500 without details", async () => {
      const { status, body } = await call(listening.port, { url: "/fail" });
      assert.equal(status, 500);
      assert.doesNotMatch(body, /secret/);
    });

    test("a port without HTTP has nothing to find", async () => {
      const silent = await listen();
      assert.equal((await call(silent.port, { url: "/x" })).status, 404);
      await silent.close("the test is over");
    });
  });
}

test("a port that can't be opened is refused with a sentence", async () => {
  const first = await listen();
  const { port } = first;
  const refused = (options: Partial<ListenOptions>, message: RegExp | string): Promise<void> =>
    assert.rejects(listen(options), { message });
  await refused(
    { port },
    `cannot listen on 127.0.0.1:${port}: the address is in use; stop the other program or choose another port`,
  );
  await refused({ host: "192.0.2.1" }, /^cannot listen on 192\.0\.2\.1:0: this machine does not have that address/);
  await refused({ certificate: "nothing" }, /^cannot listen on .*: its certificate or private key is not usable/);
  await first.close("the test is over");
  const again = await listen({ port });
  await again.close("the test is over");
});

test("a port whose name another has, as it is about to listen, is in use", async () => {
  const { port, close } = await listen();
  await close("the port is free");
  const release = await takeAlone(portName("127.0.0.1", port));
  await assert.rejects(listen({ port }), /^KodiakError: cannot listen on 127\.0\.0\.1:\d+: the address is in use/);
  release?.();
  const first = await listen({ port });
  assert.equal(await takeAlone(portName("127.0.0.1", port)), undefined);
  await first.close("the test is over");
});

test("connections that come at once are accepted many a turn", async () => {
  const count = 200;
  const listening = await listen();
  const accepted = Promise.withResolvers<void>();
  let open = 0;
  subscribe("net.server.socket", () => ++open === count && accepted.resolve());
  const before = performance.nodeTiming.uvMetricsInfo.loopCount;
  const sockets = Array.from({ length: count }, () => connectTcp(listening.port, "127.0.0.1"));
  await accepted.promise;
  const turns = performance.nodeTiming.uvMetricsInfo.loopCount - before;
  assert.ok(turns < count / 4, `${turns} turns of the event loop for ${count} connections`);
  for (const socket of sockets) socket.destroy();
  await listening.close("the test is over");
});

test("TLS 1.1 and strangers are turned away, and harm nobody", async () => {
  const listening = await listen({ http: async () => ({ status: 200 }) });
  const { port } = listening;
  const old = connectTls({
    host: "127.0.0.1",
    port,
    ca: identity.ca,
    minVersion: "TLSv1.1",
    maxVersion: "TLSv1.1",
    ciphers: "ALL@SECLEVEL=0",
  });
  const [error] = await once(old, "error");
  assert.match(error.code, /PROTOCOL_VERSION/);
  const stranger = connectTcp(port, "127.0.0.1");
  stranger.on("error", () => {});
  stranger.end("GET / HTTP/1.1\r\n\r\n");
  stranger.resume();
  await once(stranger, "close");
  assert.equal((await overHttp1(port, { url: "/" })).status, 200);
  await listening.close("the test is over");
});

/** An HTTP/2 frame (RFC 9113, 4.1). */
function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

test("who opens streams only to reset them is let go, and harms nobody", async () => {
  const listening = await listen({ http: async () => ({ status: 200 }) });
  const { port } = listening;
  const socket = connectTls({ host: "127.0.0.1", port, ca: identity.ca, ALPNProtocols: ["h2"] });
  socket.on("error", () => {});
  const said: Buffer[] = [];
  socket.on("data", (chunk) => said.push(chunk));
  await once(socket, "secureConnect");
  // POST, https and / from HPACK's static table; CANCEL.
  const begun = Buffer.from([0x83, 0x87, 0x84]);
  const canceled = Buffer.from([0, 0, 0, 8]);
  socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0)]));
  const closed = once(socket, "close");
  for (let stream = 1; stream < 4_000; stream += 2)
    socket.write(Buffer.concat([frame(1, 4, stream, begun), frame(3, 0, stream, canceled)]));
  await closed;
  const ping = frame(6, 0, 0, Buffer.alloc(8)).subarray(0, 9);
  assert.ok(!Buffer.concat(said).includes(ping), "let go for what it did, not as it does not answer a PING");
  assert.equal((await overHttp2(port, { url: "/" })).status, 200);
  await listening.close("the test is over");
});

test("closing does not wait for those who keep their connection, or never say anything", async () => {
  const asked = Promise.withResolvers<void>();
  const http = (): Promise<HttpResponse> => {
    asked.resolve();
    return new Promise(() => {});
  };
  const listening = await listen({ http });
  const silent = connectTcp(listening.port, "127.0.0.1");
  const kept = connectTls({ host: "127.0.0.1", port: listening.port, ca: identity.ca, ALPNProtocols: ["http/1.1"] });
  await Promise.all([once(silent, "connect"), once(kept, "secureConnect")]);
  kept.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
  await asked.promise;
  for (const socket of [silent, kept]) {
    socket.on("error", () => {});
    socket.resume();
  }
  const closed = [once(silent, "close"), once(kept, "close")];
  await listening.close("the test is over");
  await Promise.all(closed);
});

describe("a client's certificate", () => {
  const path = "/kodiak.test/Who";
  /** What is seen of a client at a port that asks for certificates of this authority. */
  async function seen(clientAuthorities: string | undefined, client: TestCertificate | undefined) {
    const calls: (ClientCertificate | undefined)[] = [];
    const port = await listen({
      ...(clientAuthorities !== undefined && { clientAuthorities }),
      unary: {
        [path]: (bytes, call) => {
          calls.push(call.client);
          return bytes;
        },
      },
    });
    const trust = { kind: "ca", ca: identity.ca } as const;
    const connection = network.dial({ host: "127.0.0.1", port: port.port, trust, ...(client && { identity: client }) });
    try {
      await connection.unary(path, new Uint8Array());
    } finally {
      connection.close();
      await port.close("done");
    }
    return calls[0];
  }

  test("is seen with each call, where it is asked for", async () => {
    const client = await certificateFor(["client"]);
    const { problem, serial, notAfter } = (await seen(client.ca, client)) ?? {};
    const shown = new X509Certificate(client.certificate);
    assert.deepEqual(
      { problem, serial, notAfter },
      { problem: undefined, serial: shown.serialNumber, notAfter: shown.validToDate.getTime() },
    );
    assert.equal(await seen(undefined, client), undefined);
    assert.equal(await seen(client.ca, undefined), undefined);
  });

  test("that proves nothing says why", async () => {
    const [client, other, expired] = await Promise.all([
      certificateFor(["client"]),
      certificateFor(["other"]),
      certificateFor(["expired"], -1000),
    ]);
    assert.equal((await seen(client.ca, other))?.problem, "UNABLE_TO_VERIFY_LEAF_SIGNATURE");
    assert.equal((await seen(expired.ca, expired))?.problem, "CERT_HAS_EXPIRED");
  });
});

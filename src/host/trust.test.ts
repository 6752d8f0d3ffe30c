// Whom a client trusts, and what it says when it does not: the same for gRPC and for requests over HTTP.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer, type Server } from "node:net";
import { after, before, describe, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { certificateFor, type TestCertificate } from "#host/certificate-for-test.ts";
import { request } from "#host/https.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import type { Listening, Trust } from "#host/world.ts";
import { KodiakError } from "#lib/failure.ts";

const { network } = realWorld({ log: openLog("silent") });
let identity: TestCertificate;
let other: TestCertificate;
let expired: TestCertificate;
let listening: Listening;
let listeningExpired: Listening;
/** Requests that a server got to see. */
let served = 0;

before(async () => {
  identity = await certificateFor(["127.0.0.1", "localhost"]);
  other = await certificateFor(["127.0.0.1"]);
  expired = await certificateFor(["127.0.0.1"], -3_600_000);
  const options = {
    host: "0.0.0.0",
    port: 0,
    streams: {},
    unary: {
      "/a.B/Echo": (message: Uint8Array) => {
        served++;
        return message;
      },
    },
    http: async () => {
      served++;
      return { status: 200 };
    },
  };
  listening = await network.listen({ ...options, ...identity });
  listeningExpired = await network.listen({ ...options, ...expired });
});
after(async () => {
  await listening.close("the test is over");
  await listeningExpired.close("the test is over");
});

/** The port of a server of another kind. */
async function listeningPort(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

const withColons = (fingerprint: string): string => fingerprint.toUpperCase().replace(/..(?!$)/g, "$&:");

/** In both ways, which must agree. */
async function connect(host: string, port: number, trust: Trust): Promise<void> {
  const message = (error: Error): string => error.message;
  const connection = network.dial({ host, port, trust });
  const overGrpc = connection.unary("/a.B/Echo", Buffer.from("x")).then(() => "answered", message);
  const overHttp = request({ url: `https://${host}:${port}/`, trust }).then(() => "answered", message);
  try {
    await connection.ready;
    assert.equal(await overGrpc, "answered");
    assert.equal(await overHttp, "answered");
  } catch (error) {
    assert.ok(error instanceof KodiakError && error.failure.kind === "untrusted");
    const why = error.message.replace(/^cannot connect to [^ ]+: /, "");
    assert.equal(await overGrpc, `cannot connect to ${host}:${port}: ${why}`);
    assert.equal(await overHttp, `cannot reach https://${host}:${port}: ${why}`);
    throw error;
  } finally {
    connection.close();
  }
}

test("a server is trusted that is signed by the CA, has the fingerprint, or need not be verified", async () => {
  for (const trust of [
    { kind: "ca", ca: identity.ca },
    { kind: "ca", ca: `${other.ca}\n${identity.ca}` },
    { kind: "fingerprint", sha256: identity.fingerprint },
    { kind: "fingerprint", sha256: withColons(identity.fingerprint) },
    { kind: "skip-verify" },
  ] as const) {
    await connect("127.0.0.1", listening.port, trust);
  }
  await connect("localhost", listening.port, { kind: "ca", ca: identity.ca });
  // A name, or a date, says nothing about a certificate that is known by its fingerprint.
  await connect("127.0.0.2", listening.port, { kind: "fingerprint", sha256: identity.fingerprint });
  await connect("127.0.0.1", listeningExpired.port, { kind: "fingerprint", sha256: expired.fingerprint });
});

test("any other server is refused with a sentence, before it sees a request", async () => {
  const before = served;
  const { port } = listening;
  const certificate = (at: number): string => `cannot connect to 127.0.0.1:${at}: the certificate of 127.0.0.1:${at}`;
  await assert.rejects(connect("127.0.0.1", port, { kind: "ca", ca: other.ca }), {
    message: `${certificate(port)} is not signed by the given CA; give the CA file of this server, or its fingerprint if it printed ${withColons(identity.fingerprint)} when it started`,
  });
  await assert.rejects(connect("127.0.0.2", port, { kind: "ca", ca: identity.ca }), {
    message: /is not made for 127\.0\.0\.2 but for 127\.0\.0\.1, localhost; connect to one of its names, or trust its/,
  });
  await assert.rejects(connect("127.0.0.1", listeningExpired.port, { kind: "ca", ca: expired.ca }), {
    message: `${certificate(listeningExpired.port)} has expired; renew it`,
  });
  const { fingerprint: given } = other;
  await assert.rejects(connect("127.0.0.1", port, { kind: "fingerprint", sha256: given }), {
    message: `${certificate(port)} has fingerprint ${withColons(identity.fingerprint)}, expected ${withColons(given)}; give the one that this server printed when it started, or correct the address`,
  });
  assert.equal(served, before);
});

test("a trust that can't be used is refused at once", async () => {
  const target = { host: "127.0.0.1", port: 1 };
  for (const [trust, problem] of [
    [{ kind: "ca", ca: "not a certificate" }, "ca: must be one or more certificates in PEM"],
    [
      { kind: "fingerprint", sha256: "abc" },
      "sha256: must be 64 hexadecimal digits: the SHA-256 fingerprint of the server's certificate",
    ],
  ] as const) {
    const message = `the trust in 127.0.0.1:1: ${problem}`;
    assert.throws(() => network.dial({ ...target, trust }), { message });
    await assert.rejects(request({ url: "https://127.0.0.1:1/", trust }), { message: new RegExp(problem) });
  }
});

describe("a server that is something else is told apart", () => {
  const tls = (ALPNProtocols: readonly string[]) => (): Server =>
    createTlsServer({ cert: identity.certificate, key: identity.privateKey, ALPNProtocols: [...ALPNProtocols] });
  const cases: Readonly<Record<string, { readonly make: () => Server; readonly why: string }>> = {
    "plain HTTP": { make: () => createHttpServer(), why: "the server does not speak TLS there" },
    "TLS without HTTP/2": { make: tls(["http/1.1"]), why: "the server does not speak HTTP/2 there" },
    "TLS without protocols": { make: tls([]), why: "the server does not speak HTTP/2 there" },
    "one that hangs up": {
      make: () => createTcpServer((socket) => socket.destroy()),
      why: "the server closed the connection without an answer",
    },
  };
  for (const [name, { make, why }] of Object.entries(cases)) {
    test(name, async () => {
      const server = make();
      const port = await listeningPort(server);
      await assertRefused(port, `cannot connect to 127.0.0.1:${port}: ${why}; check that the port is the right one`);
      server.close();
    });
  }

  test("nobody at all", async () => {
    const server = createTcpServer();
    const port = await listeningPort(server);
    server.close();
    await once(server, "close");
    const why = "nothing listens there; start the server or correct the address";
    await assertRefused(port, `cannot connect to 127.0.0.1:${port}: ${why}`);
    await assert.rejects(request({ url: `http://127.0.0.1:${port}/` }), {
      message: `cannot reach http://127.0.0.1:${port}: ${why}`,
    });
  });

  /** The connection, who waits for its end, and its streams all learn the same. */
  async function assertRefused(port: number, message: string): Promise<void> {
    const connection = network.dial({ host: "127.0.0.1", port, trust: { kind: "ca", ca: identity.ca } });
    const closed = new Promise<string>((resolve) => connection.onClose(resolve));
    const ended = new Promise<string>((resolve) =>
      connection.stream("/a.B/Chat").onEnd((status) => resolve(status.message)),
    );
    await assert.rejects(connection.ready, { message });
    assert.equal(await closed, message);
    assert.equal(await ended, message);
  }
});

test("a request over plain HTTP needs no trust, and one over https says that it does", async () => {
  const server = createHttpServer((incoming, outgoing) => {
    outgoing.writeHead(418, { "set-cookie": ["a=1", "b=2"] });
    const { host, connection, "x-token": token } = incoming.headers;
    outgoing.end(`${incoming.method} ${incoming.url} ${token} ${host} ${connection}`);
    incoming.resume();
  });
  const authority = `127.0.0.1:${await listeningPort(server)}`;
  const url = `http://${authority}/a?b=c`;
  const answer = await request({ url, method: "PUT", headers: { "x-token": "t" }, body: "{}" });
  assert.equal(answer.status, 418);
  assert.deepEqual(answer.headers["set-cookie"], ["a=1", "b=2"]);
  assert.equal(Buffer.from(answer.body).toString(), `PUT /a?b=c t ${authority} close`);
  server.close();
  await assert.rejects(request({ url: `https://${authority}/` }), {
    message: `the request to https://${authority}: trust: must be given for https: a CA, a fingerprint, or not to verify`,
  });
});

test("a request over plain HTTP to a port that speaks TLS says so", async () => {
  // What a TLS server answers: the alert "unexpected message".
  const server = createTcpServer((socket) => socket.end(Buffer.from([0x15, 3, 1, 0, 2, 2, 10])));
  await assert.rejects(request({ url: `http://127.0.0.1:${await listeningPort(server)}/` }), {
    message: /does not speak plain HTTP there; check that the port is the right one, or use https$/,
  });
  server.close();
});

test("a server that does not answer is given up after the time, and its connection with it", async () => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
  });
  const port = await listeningPort(server);
  for (const scheme of ["http", "https"]) {
    await assert.rejects(
      request({ url: `${scheme}://127.0.0.1:${port}/`, timeoutMs: 50, trust: { kind: "skip-verify" } }),
      { message: `cannot reach ${scheme}://127.0.0.1:${port}: no answer for 0.05 s` },
    );
  }
  server.close();
  await once(server, "close");
});

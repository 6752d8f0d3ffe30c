// Our two ends of gRPC, each against an independent implementation of the other: grpc-js.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import {
  ChannelCredentials,
  Client,
  type ClientDuplexStream,
  compressionAlgorithms,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type StatusObject,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { certificateFor, type TestCertificate } from "#host/certificate-for-test.ts";
import { openLog } from "#host/log.ts";
import { realWorld } from "#host/real-world.ts";
import { type Connection, GrpcError, grpcCode, type Headers, type Listening, type Status } from "#host/world.ts";

const { network } = realWorld({ log: openLog("silent") });
const path = { chat: "/test.Talk/Chat", double: "/test.Talk/Double", refuse: "/test.Talk/Refuse" };
const large = Buffer.alloc(300_000, "large ");
const refusal: Status = { code: grpcCode.permissionDenied, message: "zone-ö is 100% unknown\nhere" };
const asIs = (bytes: Buffer): Buffer => bytes;

let identity: TestCertificate;
before(async () => {
  identity = await certificateFor(["localhost", "127.0.0.1"]);
});

describe("a client of grpc-js at our server", () => {
  let listening: Listening;
  const clients: Client[] = [];
  const calls: Headers[] = [];
  const ends: Status[] = [];

  before(async () => {
    listening = await network.listen({
      host: "127.0.0.1",
      port: 0,
      ...identity,
      streams: {
        [path.chat]: (stream) => {
          calls.push(stream.headers);
          stream.onMessage((message) => stream.send([Buffer.from("re: "), message]));
          stream.onEnd((status) => ends.push(status));
        },
        [path.refuse]: (stream) => stream.end(refusal),
      },
      unary: {
        [path.double]: (request) => Buffer.concat([request, request]),
        [path.refuse]: async () => {
          throw new GrpcError(refusal);
        },
      },
    });
  });
  after(async () => {
    for (const client of clients) client.close();
    await listening.close("the test is over");
  });

  function client(options: Record<string, number> = {}): Client {
    const credentials = ChannelCredentials.createSsl(Buffer.from(identity.ca));
    const made = new Client(`localhost:${listening.port}`, credentials, options);
    clients.push(made);
    return made;
  }

  for (const [how, options] of [
    ["plain", {}],
    ["with gzip", { "grpc.default_compression_algorithm": compressionAlgorithms.gzip }],
  ] as const) {
    test(`talks, ${how}`, async () => {
      const metadata = new Metadata();
      metadata.add("features", "one");
      metadata.add("features", "two");
      const call = client(options).makeBidiStreamRequest(path.chat, asIs, asIs, metadata);
      const ended = statusOf(call);
      for (const sent of [Buffer.from("hello"), Buffer.alloc(0), large]) {
        call.write(sent);
        const [received] = await once(call, "data");
        assert.deepEqual(received, Buffer.concat([Buffer.from("re: "), sent]));
      }
      call.end();
      assert.equal((await ended).code, grpcCode.ok);
      assert.deepEqual(ends.at(-1), { code: grpcCode.ok, message: "" });
      assert.deepEqual(calls.at(-1)?.features, ["one", "two"]);
      assert.deepEqual(calls.at(-1)?.["grpc-encoding"], how === "plain" ? undefined : ["gzip"]);
    });

    test(`makes unary calls, ${how}`, async () => {
      assert.deepEqual(await unary(client(options), path.double, large), Buffer.concat([large, large]));
    });
  }

  test("is told why it is refused", async () => {
    const stream = client().makeBidiStreamRequest(path.refuse, asIs, asIs, new Metadata());
    assert.deepEqual(plain(await statusOf(stream)), refusal);
    await assert.rejects(unary(client(), path.refuse, large), { code: refusal.code, details: refusal.message });
    await assert.rejects(unary(client(), "/test.Talk/Unheard", large), { code: grpcCode.unimplemented });
  });
});

describe("our client at a server of grpc-js", () => {
  const server = new Server();
  let connection: Connection;
  const calls: Metadata[] = [];

  before(async () => {
    server.addService(
      {
        chat: method(path.chat, true),
        double: method(path.double, false),
        refuse: method(path.refuse, true),
      },
      {
        chat(call: ServerDuplexStream<Buffer, Buffer>) {
          calls.push(call.metadata);
          call.on("data", (message: Buffer) => call.write(Buffer.concat([Buffer.from("re: "), message])));
          call.on("end", () => call.end());
        },
        double: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) =>
          answer(null, Buffer.concat([call.request, call.request])),
        refuse: (call: ServerDuplexStream<Buffer, Buffer>) => {
          call.emit("error", { code: refusal.code, details: refusal.message });
        },
      },
    );
    const keys = { private_key: Buffer.from(identity.privateKey), cert_chain: Buffer.from(identity.certificate) };
    const credentials = ServerCredentials.createSsl(null, [keys]);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
    connection = network.dial({ host: "127.0.0.1", port, trust: { kind: "ca", ca: identity.ca } });
    await connection.ready;
  });
  after(() => {
    connection.close();
    server.forceShutdown();
  });

  for (const gzip of [false, true]) {
    test(`talks, ${gzip ? "with gzip" : "plain"}`, async () => {
      const headers = { features: ["one", "two"], "client-id": "zone-a" };
      const call = connection.stream(path.chat, { gzip, headers });
      const ended = new Promise<Status>((resolve) => call.onEnd(resolve));
      const sent = [Buffer.from("hello"), Buffer.alloc(0), large];
      const received: Uint8Array[] = [];
      call.onMessage((message) => {
        received.push(message);
        if (received.length === sent.length) call.halfClose();
      });
      for (const message of sent) call.send([message.subarray(0, 2), message.subarray(2)]);
      assert.deepEqual(await ended, { code: grpcCode.ok, message: "OK" });
      assert.deepEqual(
        received.map((message) => Buffer.from(message)),
        sent.map((message) => Buffer.concat([Buffer.from("re: "), message])),
      );
      assert.deepEqual(calls.at(-1)?.get("client-id"), ["zone-a"]);
      assert.deepEqual(calls.at(-1)?.get("features"), ["one, two"]);
    });

    test(`makes unary calls, ${gzip ? "with gzip" : "plain"}`, async () => {
      const answer = await connection.unary(path.double, large, { gzip });
      assert.deepEqual(Buffer.from(answer), Buffer.concat([large, large]));
    });
  }

  test("is told why it is refused", async () => {
    const call = connection.stream(path.refuse);
    assert.deepEqual(await new Promise<Status>((resolve) => call.onEnd(resolve)), refusal);
    await assert.rejects(connection.unary("/test.Talk/Unheard", large), (error) => {
      assert.ok(error instanceof GrpcError);
      return error.status.code === grpcCode.unimplemented;
    });
  });
});

function statusOf(call: ClientDuplexStream<Buffer, Buffer>): Promise<StatusObject> {
  // The same status is also an error, which would end the process.
  call.on("error", () => {});
  return new Promise((resolve) => call.on("status", resolve));
}

const plain = ({ code, details }: StatusObject): Status => ({ code, message: details });

const unary = (client: Client, path: string, request: Buffer): Promise<Buffer | undefined> =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, asIs, asIs, request, (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    );
  });

const method = (path: string, isStream: boolean): MethodDefinition<Buffer, Buffer> => ({
  path,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

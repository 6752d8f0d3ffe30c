// Both directions of KDS are compressed, as a stock gRPC client and the frames themselves show.

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { type TestContext, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "#gen/envoy/service/discovery/v3/discovery_pb.ts";
import { headersOf, path } from "#kds/wire.ts";
import { resource, startGlobal, type TestGlobal } from "./control-planes.ts";

const subscription = toBinary(
  DeltaDiscoveryRequestSchema,
  create(DeltaDiscoveryRequestSchema, {
    typeUrl: "Mesh",
    resourceNamesSubscribe: ["*"],
    node: { id: "a", metadata: { features: ["hash-suffix"] } },
  }),
);

/** Smaller messages are not worth compressing. */
const large = Array.from({ length: 200 }, () => ({ tags: { team: "mesh" } }));

async function globalWithMesh(t: TestContext): Promise<TestGlobal & { readonly ca: string }> {
  const global = await startGlobal(t);
  await global.put(resource("Mesh", "default", { constraints: { dataplaneProxy: { requirements: large } } }));
  assert.equal(global.target.trust.kind, "ca");
  return { ...global, ca: global.target.trust.kind === "ca" ? global.target.trust.ca : "" };
}

test("a stock gRPC client that compresses is understood, and understands", async (t) => {
  const global = await globalWithMesh(t);
  const address = `127.0.0.1:${global.target.port}`;
  const gzip = { "grpc.default_compression_algorithm": 2 };
  const client = new Client(address, credentials.createSsl(Buffer.from(global.ca)), gzip);
  t.after(() => client.close());
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headersOf("a", "test"))) {
    for (const one of [value].flat()) metadata.add(name, one);
  }
  const pass = (bytes: Buffer): Buffer => bytes;
  const call = client.makeBidiStreamRequest(path.globalToZone, pass, pass, metadata);
  call.on("error", () => {});
  call.write(Buffer.from(subscription));
  const [message] = (await once(call, "data")) as [Buffer];
  assert.deepEqual(
    fromBinary(DeltaDiscoveryResponseSchema, message).resources.map(({ name }) => name),
    ["default."],
  );
  call.cancel();
});

test("the frames are gzip in both directions", async (t) => {
  const global = await globalWithMesh(t);
  const session = connect(`https://127.0.0.1:${global.target.port}`, { ca: global.ca });
  const stream = session.request({
    ":method": "POST",
    ":path": path.globalToZone,
    "content-type": "application/grpc",
    te: "trailers",
    "grpc-encoding": "gzip",
    "client-id": "a",
    features: "hash-suffix",
  });
  const packed = gzipSync(subscription);
  const header = Buffer.alloc(5);
  header[0] = 1;
  header.writeUInt32BE(packed.length, 1);
  stream.write(Buffer.concat([header, packed]));
  const [headers] = (await once(stream, "response")) as [Record<string, string>];
  assert.equal(headers["grpc-encoding"], "gzip");
  const [frame] = (await once(stream, "data")) as [Buffer];
  assert.equal(frame[0], 1);
  assert.equal(frame.length, 5 + frame.readUInt32BE(1));
  assert.equal(fromBinary(DeltaDiscoveryResponseSchema, gunzipSync(frame.subarray(5))).typeUrl, "Mesh");
  session.destroy();
});

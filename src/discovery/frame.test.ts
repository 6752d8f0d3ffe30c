import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { encodeItem, framed, resourceIn } from "#discovery/frame.ts";
import { DeltaDiscoveryResponseSchema, ResourceSchema } from "#gen/envoy/service/discovery/v3/discovery_pb.ts";

const typeUrl = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

test("an item is an encoded Resource, its version the SHA-256 of the message within", () => {
  const value = new TextEncoder().encode("cluster");
  const item = encodeItem("a", typeUrl, value);
  const version = createHash("sha256").update(value).digest("hex");
  assert.equal(item.version, version);
  const resource = create(ResourceSchema, { name: "a", version, resource: { typeUrl, value } });
  assert.deepEqual(resourceIn(item), resource);
  const response = create(DeltaDiscoveryResponseSchema, { resources: [resource] });
  assert.deepEqual(item.bytes, toBinary(DeltaDiscoveryResponseSchema, response));
});

test("a response in pieces is byte for byte the encoded message", () => {
  const resource = fc.record({ name: fc.string(), value: fc.uint8Array({ maxLength: 300 }) });
  const response = fc.record({
    resources: fc.array(resource),
    remove: fc.array(fc.string()),
    nonce: fc.string(),
    revision: fc.string(),
    controlPlane: fc.option(fc.string(), { nil: undefined }),
  });
  fc.assert(
    fc.property(response, ({ resources, remove, nonce, revision, controlPlane }) => {
      const upsert = resources.map(({ name, value }) => encodeItem(name, typeUrl, value));
      const identifier = controlPlane === undefined ? {} : { controlPlane };
      const message = create(DeltaDiscoveryResponseSchema, {
        systemVersionInfo: revision,
        resources: resources.map(({ name, value }, i) => ({
          name,
          version: upsert[i]!.version,
          resource: { typeUrl, value },
        })),
        typeUrl,
        nonce,
        removedResources: remove,
        ...(controlPlane === undefined ? {} : { controlPlane: { identifier: controlPlane } }),
      });
      const pieces = framed({ typeUrl, nonce, upsert, remove, revision, ...identifier });
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message)));
    }),
  );
});

test("many items are joined once for all who get the same, and never for who gets others", () => {
  const items = (text: string) =>
    Array.from({ length: 100 }, (_, i) => encodeItem(`${i}`, typeUrl, new TextEncoder().encode(text)));
  const [some, others] = [items("some"), items("others")];
  const sent = [some, [...some], others, some].map((upsert) => framed({ typeUrl, nonce: "1", upsert, remove: [] }));
  const [first, second, third, fourth] = sent;
  assert.equal(second?.[0], first?.[0]);
  assert.deepEqual(fourth, first);
  const message = create(DeltaDiscoveryResponseSchema, {
    ...{ typeUrl, nonce: "1" },
    resources: others.map(({ name, version }) => ({
      ...{ name, version },
      resource: { typeUrl, value: new TextEncoder().encode("others") },
    })),
  });
  assert.deepEqual(Buffer.concat(third ?? []), Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message)));
});

test("however many names are removed, they are one piece", () => {
  const remove = Array.from({ length: 10_000 }, (_, i) => `${i}`);
  assert.equal(framed({ typeUrl, nonce: "1", upsert: [], remove }).length, 3);
});

test("items' bytes are not copied", () => {
  const item = encodeItem("a", typeUrl, new Uint8Array(1000));
  assert.ok(framed({ typeUrl, nonce: "1", upsert: [item], remove: [] }).includes(item.bytes));
});

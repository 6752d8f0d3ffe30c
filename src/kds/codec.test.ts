import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type DescField, type DescMessage, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { KumaResourceSchema } from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import { decodeResource, encodeResource, itemOf } from "#kds/codec.ts";
import { sha256Hex } from "#lib/hash.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { kindNamed, kinds } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { normalLegacy, zeroTime } from "#resources/rest.ts";

const text = fc.string({ maxLength: 8 });
const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);

/** Any spec of a kind: proto JSON made from the message's own description, or any JSON object. */
function specOf(kind: Kind): fc.Arbitrary<JsonObject> {
  if (!kind.message) return fc.dictionary(name, fc.jsonValue({ maxDepth: 3 })) as fc.Arbitrary<JsonObject>;
  return messageJson(kind.message, 4).map((json) => normalLegacy(kind, json));
}

function messageJson(message: DescMessage, depth: number): fc.Arbitrary<JsonObject> {
  const known = wellKnown[message.typeName];
  if (known) return known as fc.Arbitrary<JsonObject>;
  const alternatives = new Map<string, DescField[]>();
  for (const field of message.fields) {
    if (depth === 0 && field.message) continue;
    const group = field.oneof?.name ?? field.name;
    alternatives.set(group, [...(alternatives.get(group) ?? []), field]);
  }
  const members = [...alternatives.values()].map((fields) =>
    fc.oneof(
      fc.constant([] as [string, unknown][]),
      ...fields.map((field) => fieldJson(field, depth).map((value): [string, unknown][] => [[field.jsonName, value]])),
    ),
  );
  return fc.tuple(...members).map((lists) => Object.fromEntries(lists.flat()) as JsonObject);
}

function fieldJson(field: DescField, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return scalarJson(field.scalar);
    case "enum":
      return fc.constantFrom(...field.enum.values.map((value) => value.name));
    case "message":
      return messageJson(field.message, depth - 1);
    case "list":
      return fc.array(itemJson(field, depth), { maxLength: 2 });
    case "map":
      return fc.dictionary(field.mapKey === 9 ? name : fc.nat().map(String), itemJson(field, depth), { maxKeys: 3 });
  }
}

function itemJson(field: DescField & { fieldKind: "list" | "map" }, depth: number): fc.Arbitrary<unknown> {
  if (field.message) return messageJson(field.message, depth - 1);
  if (field.enum) return fc.constantFrom(...field.enum.values.map((value) => value.name));
  return scalarJson(field.scalar!);
}

/** Numbers of `ScalarType`: double 1, float 2, int64 3, uint64 4, int32 5, bool 8, string 9, bytes 12, uint32 13, … */
function scalarJson(scalar: number): fc.Arbitrary<unknown> {
  if (scalar === 9) return text;
  if (scalar === 8) return fc.boolean();
  if (scalar === 12) return fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString("base64"));
  if (scalar === 1 || scalar === 2) return fc.integer({ min: -1000, max: 1000 });
  return fc.nat({ max: 100_000 });
}

const wellKnown: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  "google.protobuf.Duration": fc.nat({ max: 90_000 }).map((seconds) => `${seconds}s`),
  "google.protobuf.Timestamp": fc.nat({ max: 2_000_000_000 }).map((s) => new Date(s * 1000).toISOString()),
  "google.protobuf.Struct": fc.dictionary(name, fc.oneof(text, fc.boolean(), fc.nat(), fc.constant(null))),
  "google.protobuf.Value": fc.oneof(text, fc.boolean(), fc.nat()),
  "google.protobuf.BoolValue": fc.boolean(),
  "google.protobuf.StringValue": text,
  "google.protobuf.BytesValue": scalarJson(12),
  "google.protobuf.UInt32Value": fc.nat({ max: 100_000 }),
  "google.protobuf.UInt64Value": fc.nat({ max: 100_000 }).map(String),
  "google.protobuf.Int32Value": fc.nat({ max: 100_000 }),
  "google.protobuf.DoubleValue": fc.nat({ max: 1000 }),
  "google.protobuf.FloatValue": fc.nat({ max: 1000 }),
  "google.protobuf.Empty": fc.constant({}),
};

const resourceOf = (kind: Kind): fc.Arbitrary<Resource> =>
  fc
    .record({ name, labels: fc.dictionary(name, text, { maxKeys: 3 }), spec: specOf(kind), status: specOf(statusKind) })
    .map(({ name, labels, spec, status }) => ({
      kind: kind.name,
      mesh: kind.scope === "Mesh" ? "default" : "",
      name,
      labels,
      spec,
      ...(kind.hasStatus && { status }),
      creationTime: zeroTime,
      modificationTime: zeroTime,
    }));
/** Without what JSON can't say: prototypes, and a zero that is negative. */
const asJson = (value: object): unknown => JSON.parse(JSON.stringify(value));
const statusKind = kindNamed("MeshService");

describe("every kind survives the wire", () => {
  for (const kind of kinds) {
    it(kind.name, () =>
      fc.assert(
        fc.property(resourceOf(kind), (resource) => {
          const { resource: read, issues } = decodeResource(kind, encodeResource(kind, resource));
          assert.deepEqual(issues, []);
          assert.deepEqual(asJson(read), asJson(resource));
          assert.deepEqual(encodeResource(kind, read), encodeResource(kind, resource));
        }),
        { numRuns: 30 },
      ),
    );
  }
});

describe("fields that this version doesn't know survive a pass", () => {
  for (const kind of kinds.filter(({ message }) => message)) {
    it(`${kind.name}, with field 1999`, () =>
      fc.assert(
        fc.property(resourceOf(kind), text, (resource, unknown) => {
          const received = withUnknownField(encodeResource(kind, resource), unknown);
          const { resource: read, issues } = decodeResource(kind, received);
          assert.deepEqual(issues, []);
          assert.deepEqual(asJson(read.spec), asJson(resource.spec));
          assert.deepEqual(encodeResource(kind, read), received);
        }),
        { numRuns: 10 },
      ));
  }

  it("also deep inside, and also when the spec is changed on arrival", () => {
    const kind = kindNamed("ZoneIngress");
    const inner = new BinaryWriter().tag(1999, WireType.LengthDelimited).string("kept").finish();
    const networking = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(inner).finish();
    const received = withSpec(encodeResource(kind, plain("ZoneIngress", {})), networking);
    const { resource } = decodeResource(kind, received, (spec) => Reflect.set(spec, "zone", "zone-1"));
    assert.deepEqual(resource.spec, { zone: "zone-1", networking: {} });
    const sent = fromBinary(KumaResourceSchema, encodeResource(kind, resource)).spec!.value;
    assert.ok(Buffer.from(sent).includes("kept"));
    assert.ok(Buffer.from(sent).includes("zone-1"));
  });

  it("members of JSON specs in their order", () => {
    const kind = kindNamed("MeshTimeout");
    const resource = plain("MeshTimeout", { targetRef: { kind: "Mesh", later: [1] }, aNewMember: { b: 1, a: null } });
    const { resource: read } = decodeResource(kind, encodeResource(kind, resource));
    assert.equal(JSON.stringify(read.spec), JSON.stringify(resource.spec));
  });
});

it("equal resources have equal bytes: labels and maps are sorted", () => {
  const tags = (names: string[]) => ({
    networking: { inbound: [{ tags: Object.fromEntries(names.map((n) => [n, n])) }] },
  });
  const labels = (names: string[]) => Object.fromEntries(names.map((n) => [n, n]));
  const kind = kindNamed("Dataplane");
  const a = encodeResource(kind, { ...plain("Dataplane", tags(["a", "b", "c"])), labels: labels(["x", "y"]) });
  const b = encodeResource(kind, { ...plain("Dataplane", tags(["c", "a", "b"])), labels: labels(["y", "x"]) });
  assert.deepEqual(a, b);
});

it("an item has the name with the mesh and the hash of its bytes as version", () => {
  const [timeout, mesh] = [kindNamed("MeshTimeout"), kindNamed("Mesh")];
  const resource = plain("MeshTimeout", {});
  assert.equal(itemOf(timeout, resource).name, "it.default");
  assert.equal(itemOf(timeout, resource).version, sha256Hex(encodeResource(timeout, resource)));
  assert.equal(itemOf(mesh, plain("Mesh", {})).name, "it.");
});

it("an absent status and an empty legacy spec are taken; times of old peers are ignored", () => {
  const read = decodeResource(kindNamed("MeshService"), encodeKuma({ meta, spec: jsonSpec("{}") }));
  assert.deepEqual(read.issues, []);
  assert.equal(read.resource.status, undefined);
  const mesh = fromJson(KumaResourceSchema, { meta: { name: "it" } });
  // Fields 3 and 4: creation and modification time.
  const time = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(new Uint8Array()).finish();
  mesh.meta!.$unknown = [{ no: 3, wireType: WireType.LengthDelimited, data: time.subarray(1) }];
  assert.deepEqual(decodeResource(kindNamed("Mesh"), toBinary(KumaResourceSchema, mesh)).resource.spec, {});
});

const meta = { name: "it", mesh: "default" };
const malformed: readonly (readonly [what: string, kind: string, bytes: Uint8Array, issue: RegExp])[] = [
  ["no KumaResource", "MeshTimeout", Uint8Array.of(0xff), /^: cannot be decoded/],
  ["no name", "MeshTimeout", encodeKuma({ meta: { mesh: "default" } }), /^meta.name: must not be empty/],
  ["no mesh", "MeshTimeout", encodeKuma({ meta: { name: "it" } }), /^meta.mesh: must not be empty/],
  ["broken JSON", "MeshTimeout", encodeKuma({ meta, spec: jsonSpec("{") }), /^spec: cannot be decoded/],
  ["no JSON", "MeshTimeout", encodeKuma({ meta }), /^spec: cannot be decoded/],
  [
    "JSON of which nothing must be told",
    "MeshTimeout",
    encodeKuma({ meta, spec: jsonSpec('{"data":hunter2}') }),
    /^spec: cannot be decoded (?!.*hunter)/,
  ],
  ["JSON that is no object", "MeshTimeout", encodeKuma({ meta, spec: jsonSpec("[]") }), /^spec: .*JSON object/],
  ["broken UTF-8", "MeshTimeout", encodeKuma({ meta, spec: "e/8=" }), /^spec: cannot be decoded/],
  [
    "a message of another kind",
    "Dataplane",
    encodeResource(kindNamed("Secret"), plain("Secret", {})),
    /^spec: must be/,
  ],
  [
    "broken protobuf",
    "Dataplane",
    withSpec(encodeResource(kindNamed("Dataplane"), plain("Dataplane", {})), [0x0a, 9]),
    /^spec: /,
  ],
];
for (const [what, kind, bytes, issue] of malformed) {
  it(`${what} is an issue of that object`, () => {
    const { issues } = decodeResource(kindNamed(kind), bytes);
    assert.equal(issues.length, 1);
    assert.match(`${issues[0]!.path}: ${issues[0]!.message}`, issue);
  });
}

function plain(kind: string, spec: JsonObject): Resource {
  const mesh = kindNamed(kind).scope === "Mesh" ? "default" : "";
  return { kind, mesh, name: "it", labels: {}, spec, creationTime: zeroTime, modificationTime: zeroTime };
}

function jsonSpec(json: string): string {
  return Buffer.from(json).toString("base64");
}

/** `spec`: base64 of the Any's value. */
function encodeKuma({ meta, spec }: { meta: Record<string, string>; spec?: string }): Uint8Array {
  const message = fromJson(KumaResourceSchema, { meta });
  const value = Buffer.from(spec ?? "", "base64");
  if (spec !== undefined) message.spec = { $typeName: "google.protobuf.Any", typeUrl: "", value };
  return toBinary(KumaResourceSchema, message);
}

function withSpec(bytes: Uint8Array, value: Iterable<number>): Uint8Array {
  const message = fromBinary(KumaResourceSchema, bytes);
  message.spec!.value = Uint8Array.from(value);
  return toBinary(KumaResourceSchema, message);
}

function withUnknownField(bytes: Uint8Array, text: string): Uint8Array {
  const { spec } = fromBinary(KumaResourceSchema, bytes);
  const unknown = new BinaryWriter().tag(1999, WireType.LengthDelimited).string(text).finish();
  return withSpec(bytes, [...spec!.value, ...unknown]);
}

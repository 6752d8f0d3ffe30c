// One of each kind of interop 1.7 travels each way that it may, whole: every field of its message, and fields of tomorrow.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type DescField, type DescMessage, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { registry } from "#gen/registry.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { kinds } from "#resources/kinds.ts";
import { displayNameOf, type Labels, type Resource } from "#resources/resource.ts";
import { type Place, resource, startGlobal, startZone } from "./control-planes.ts";

/** A zone may speak for itself only, so this is also what each text says. */
const sender = "zone-a";

const wellKnown: Readonly<Record<string, unknown>> = {
  "google.protobuf.Any": { "@type": "type.googleapis.com/google.protobuf.Duration", value: "1s" },
  "google.protobuf.BoolValue": true,
  "google.protobuf.BytesValue": "AQ==",
  "google.protobuf.DoubleValue": 1.5,
  "google.protobuf.FloatValue": 1.5,
  "google.protobuf.Duration": "1.5s",
  "google.protobuf.StringValue": sender,
  "google.protobuf.Struct": { tomorrow: [1, "a", { b: true }] },
  "google.protobuf.Timestamp": "2026-11-24T12:00:00Z",
  "google.protobuf.UInt32Value": 1,
};

/** Every field of the message, of alternatives the last; `depth` levels of messages. */
function filled(message: DescMessage, depth: number): JsonObject {
  const fields = new Map<string, DescField>();
  for (const field of message.fields) {
    // A sign of life between instances of one zone, which stays there.
    if (field.name === "generation" || (field.message && depth === 0 && !(field.message.typeName in wellKnown)))
      continue;
    fields.set(field.oneof?.name ?? field.name, field);
  }
  return Object.fromEntries(
    [...fields.values()].map((field) => [field.jsonName, sampleOf(field, depth)]),
  ) as JsonObject;
}

function sampleOf(field: DescField, depth: number): unknown {
  const one = field.message
    ? (wellKnown[field.message.typeName] ?? filled(field.message, depth - 1))
    : field.enum
      ? field.enum.values.at(-1)?.name
      : scalar(field);
  if (field.fieldKind === "map") return { "kuma.io/service": one };
  return field.fieldKind === "list" ? [one] : one;
}

const scalarTypes: Readonly<Record<number, unknown>> = { 1: 1.5, 2: 1.5, 8: true, 9: sender, 12: "AQ==" };
const scalar = (field: DescField): unknown => scalarTypes[field.scalar ?? 0] ?? 1;

/** Field 9999 of a message, which none has. */
const unknownField = new BinaryWriter().tag(9999, WireType.LengthDelimited).string("tomorrow").finish();

function withEverything(kind: Kind, name: string, labels: Labels = {}): Resource {
  if (!kind.message) {
    const ref = { kind: "MeshService", name: "backend" };
    const spec = { to: [{ targetRef: ref, tomorrow: [1, null, { a: "b" }] }], tomorrow: { deep: true } };
    return { ...resource(kind.name, name, spec, labels), ...(kind.hasStatus && { status: { tomorrow: 1 } }) };
  }
  const message = fromJson(kind.message, filled(kind.message, 5) as Parameters<typeof fromJson>[1], { registry });
  const spec = toJson(kind.message, message, { registry }) as JsonObject;
  const wire = new Uint8Array([...toBinary(kind.message, message), ...unknownField]);
  return { ...resource(kind.name, name, spec, labels), wire };
}

/** Waits for what was called so at its origin. */
async function arrival(at: Place, { kind, ...sent }: Resource): Promise<Resource> {
  const found = (): Resource | undefined =>
    at.store.list(kind).find((one) => displayNameOf(one) === displayNameOf(sent));
  await at.changed.until(
    () => found() !== undefined,
    () => `${kind} ${sent.name}`,
  );
  const arrived = found();
  assert.ok(arrived);
  return arrived;
}

const content = ({ spec, wire }: Resource) => ({ spec, wire: wire && Buffer.from(wire).toString("hex") });

const down = kinds.filter(({ sync }) => sync.globalToZone);
const up = kinds.filter(({ sync }) => sync.zoneToGlobal);
const across = kinds.filter(({ sync }) => sync.acrossZones);
const nowhere = kinds.filter(({ sync }) => !sync.globalToZone && !sync.zoneToGlobal);

test("all kinds travel", async (t) => {
  const global = await startGlobal(t, { zones: [sender, "zone-b"] });
  const a = startZone(t, sender, global.target);
  const b = startZone(t, "zone-b", global.target);

  await t.test("no kind is left out", () => {
    assert.equal(kinds.length, 55);
    assert.deepEqual(nowhere.map(({ name }) => name).sort(), ["MeshInsight", "Role", "Zone", "ZoneInsight"]);
  });

  // Of Config, only this one is the zones' business.
  const fromGlobal = down.map((kind) => withEverything(kind, kind.name === "Config" ? "kuma-cluster-id" : "of-global"));
  await global.put(...fromGlobal, ...nowhere.map((kind) => withEverything(kind, "of-global")));
  for (const sent of fromGlobal)
    await t.test(`${sent.kind}: from global to the zones`, async () => {
      for (const zone of [a, b]) assert.deepEqual(content(await arrival(zone, sent)), content(sent));
    });

  const ofZone = { "kuma.io/origin": "zone", "kuma.io/zone": sender };
  // A policy goes on to other zones if it speaks to the clients of a service in its own namespace.
  const producer = { ...ofZone, "kuma.io/policy-role": "producer", "k8s.kuma.io/namespace": "shop" };
  const fromZone = up.map((kind) => withEverything(kind, "of-zone", kind.isPolicy ? producer : ofZone));
  await a.put(...fromZone, ...nowhere.map((kind) => withEverything(kind, "of-zone")));
  for (const sent of fromZone)
    await t.test(`${sent.kind}: from a zone to global`, async () => {
      const arrived = await arrival(global, sent);
      assert.deepEqual(content(arrived), content(sent));
      assert.deepEqual(arrived.status, sent.status);
      assert.equal(arrived.labels["kuma.io/zone"], sender);
    });
  for (const { name } of across)
    await t.test(`${name}: from one zone to the other`, async () => {
      const sent = fromZone.find(({ kind }) => kind === name);
      assert.ok(sent);
      assert.deepEqual(content(await arrival(b, sent)), content(sent));
    });

  await t.test("what belongs to one control plane stays there", () => {
    const has = (at: Place, kind: string, called: string): boolean =>
      at.store.list(kind).some((one) => displayNameOf(one) === called);
    for (const { name } of nowhere) {
      assert.ok(!has(global, name, "of-zone"), `${name} on global`);
      assert.ok(!has(a, name, "of-global"), `${name} in the zone`);
    }
    for (const { name } of up.filter(({ sync }) => !sync.acrossZones))
      assert.ok(!has(b, name, "of-zone"), `${name} in the other zone`);
  });
});

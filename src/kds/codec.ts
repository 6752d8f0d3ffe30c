// A resource as KDS carries it, and back: a `KumaResource` whose spec is a protobuf message for legacy kinds and JSON text
// for the others (interop 4.3.2). Equal resources give equal bytes. What a legacy spec has beyond this version's messages
// stays: such a spec keeps its own bytes in `wire`, and those are what is sent on.

import { create, type DescMessage, fromBinary, fromJson, type Message, toBinary, toJson } from "@bufbuild/protobuf";
import { encodeItem } from "#discovery/frame.ts";
import type { Item } from "#discovery/item.ts";
import { KumaResourceSchema } from "#gen/kuma/mesh/v1alpha1/kds_pb.ts";
import { registry } from "#gen/registry.ts";
import { wireNameOf } from "#kds/name.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject, type JsonValue, parseJson, whyNotJson } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

const googleTypes = "type.googleapis.com/";
const kumaResourceUrl = `${googleTypes}${KumaResourceSchema.typeName}`;

/** What is sent of a resource: encoded once, for every stream that carries it. */
export const itemOf = (kind: Kind, resource: Resource): Item =>
  encodeItem(wireNameOf(resource), kumaResourceUrl, encodeResource(kind, resource));

/** A `KumaResource`. */
export function encodeResource(kind: Kind, resource: Resource): Uint8Array {
  const { name, mesh, labels, status } = resource;
  const message = create(KumaResourceSchema, {
    meta: { name, mesh, labels: sortedMembers(labels) },
    spec: kind.message
      ? { typeUrl: specUrlOf(kind.message), value: legacyBytes(kind.message, resource) }
      : { typeUrl: "", value: jsonBytes(resource.spec) },
    ...(kind.hasStatus && { status: { typeUrl: "", value: jsonBytes(status ?? {}) } }),
  });
  return toBinary(KumaResourceSchema, message);
}

/** What can be read of a received resource, and what is wrong with it. With issues it must not be stored. */
export interface Decoded {
  readonly resource: Resource;
  readonly issues: readonly Issue[];
}

/** `amend` may change the spec of a legacy kind before it is taken over. */
export function decodeResource(kind: Kind, bytes: Uint8Array, amend?: (spec: Message) => void): Decoded {
  const unread: Resource = {
    kind: kind.name,
    mesh: "",
    name: "",
    labels: {},
    spec: {},
    creationTime: zeroTime,
    modificationTime: zeroTime,
  };
  try {
    const { meta, spec, status } = fromBinary(KumaResourceSchema, bytes);
    const { name = "", mesh = "", labels = {} } = meta ?? {};
    const named: Resource = { ...unread, name, mesh: kind.scope === "Mesh" ? mesh : "", labels };
    if (name === "") return { resource: named, issues: [{ path: "meta.name", message: "must not be empty" }] };
    if (kind.scope === "Mesh" && mesh === "")
      return { resource: named, issues: [{ path: "meta.mesh", message: `must not be empty for ${kind.name}` }] };
    return { resource: named, issues: [], ...withSpec(named, kind, spec, status, amend) };
  } catch (error) {
    return { resource: unread, issues: [malformed("", error)] };
  }
}

interface PackedSpec {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

function withSpec(
  resource: Resource,
  kind: Kind,
  spec: PackedSpec | undefined,
  status: PackedSpec | undefined,
  amend: ((spec: Message) => void) | undefined,
): Partial<Decoded> {
  const wanted = kind.message ? specUrlOf(kind.message) : "";
  const typeUrl = spec?.typeUrl ?? wanted;
  if (typeUrl !== wanted)
    return { issues: [{ path: "spec", message: `must be of type "${wanted}" for ${kind.name}, not "${typeUrl}"` }] };
  const value = spec?.value ?? new Uint8Array();
  try {
    const read = kind.message ? legacySpec(kind.message, value, amend) : { spec: jsonOf(value) };
    const hasStatus = kind.hasStatus && status !== undefined && status.value.length > 0;
    return { resource: { ...resource, ...read, ...(hasStatus && { status: jsonOf(status.value) }) } };
  } catch (error) {
    return { issues: [malformed("spec", error)] };
  }
}

function legacySpec(
  message: DescMessage,
  bytes: Uint8Array,
  amend: ((spec: Message) => void) | undefined,
): Pick<Resource, "spec" | "wire"> {
  const read = fromBinary(message, bytes);
  amend?.(read);
  const all = toBinary(message, read);
  const hasUnknown = all.length > toBinary(message, read, { writeUnknownFields: false }).length;
  const spec = toJson(message, read, { registry }) as JsonObject;
  return { spec, ...(hasUnknown && { wire: all }) };
}

function legacyBytes(message: DescMessage, { spec, wire }: Resource): Uint8Array {
  if (wire) return wire;
  // Maps are written in the order in which JSON has them.
  const json = sortedDeep(spec) as Parameters<typeof fromJson>[1];
  return toBinary(message, fromJson(message, json, { registry, ignoreUnknownFields: true }));
}

const specUrlOf = (message: DescMessage): string => `${googleTypes}${message.typeName}`;

const jsonBytes = (json: JsonObject): Uint8Array => new TextEncoder().encode(JSON.stringify(json));

const utf8 = new TextDecoder("utf-8", { fatal: true });

function jsonOf(bytes: Uint8Array): JsonObject {
  const value: unknown = parseJson(utf8.decode(bytes));
  if (!isObject(value)) throw new TypeError("must be a JSON object");
  return value;
}

const malformed = (path: string, error: unknown): Issue => ({
  path,
  message: `cannot be decoded (${whyNotJson(error)})`,
});

function sortedMembers(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sortedDeep(value: JsonValue | undefined): JsonValue | undefined {
  if (Array.isArray(value)) return value.map((item: JsonValue) => sortedDeep(item) ?? null);
  if (!isObject(value)) return value;
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, inner]) => [name, sortedDeep(inner)]));
}

// The HTTP and YAML form of a resource (interop 1.1) and back.

import { fromJson, type JsonValue as ProtoJson, toJson } from "@bufbuild/protobuf";
import { registry } from "#gen/registry.ts";
import type { Issue } from "#lib/issue.ts";
import { isEqual, isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { displayNameOf, type Labels, label, type Resource } from "#resources/resource.ts";

export const zeroTime = "0001-01-01T00:00:00Z";
const metaMembers: ReadonlySet<string> = new Set([
  "type",
  "mesh",
  "name",
  "creationTime",
  "modificationTime",
  "labels",
  "kri",
]);

export interface Parsed {
  readonly resource: Resource;
  /** Paths of members that this version doesn't know: kept in spec kinds, lost in legacy ones. */
  readonly unknown: readonly string[];
  readonly issues: readonly Issue[];
}

/** Reads the HTTP form. Meta fields that are control planes' business (times, kri, status, snis) are ignored. */
export function fromRest(kind: Kind, body: JsonObject): Parsed {
  const issues: Issue[] = [];
  const text = (member: string, missing: string): string => {
    const value = body[member];
    if (value === undefined || value === null) return missing;
    if (typeof value === "string") return value;
    issues.push({ path: member, message: "must be a string; quote it" });
    return missing;
  };
  const name = text("name", "");
  const mesh = kind.scope === "Mesh" ? text("mesh", "default") : "";
  if (!body.name) issues.push({ path: "name", message: "is required" });
  if (text("type", kind.name) !== kind.name) issues.push({ path: "type", message: `must be ${kind.name}` });
  const labels = labelsOf(body.labels, issues);
  const { spec, unknown } = kind.style === "legacy" ? legacySpec(kind, body, issues) : plainSpec(body, issues);
  const resource = { kind: kind.name, mesh, name, labels, spec, creationTime: zeroTime, modificationTime: zeroTime };
  return { resource, unknown, issues };
}

function labelsOf(value: JsonValue | undefined, issues: Issue[]): Labels {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) {
    issues.push({ path: "labels", message: "must be an object of strings" });
    return {};
  }
  const labels: Record<string, string> = {};
  for (const [key, text] of Object.entries(value)) {
    if (typeof text === "string") labels[key] = text;
    else issues.push({ path: `labels[${JSON.stringify(key)}]`, message: "must be a string; quote it" });
  }
  return labels;
}

function plainSpec(body: JsonObject, issues: Issue[]): { spec: JsonObject; unknown: string[] } {
  const unknown = Object.keys(body).filter((member) => !metaMembers.has(member) && !specMembers.has(member));
  const spec = body.spec;
  if (isObject(spec)) return { spec, unknown };
  issues.push({ path: "spec", message: spec === undefined ? "is required" : "must be an object" });
  return { spec: {}, unknown };
}
const specMembers: ReadonlySet<string> = new Set(["spec", "status", "snis"]);

function legacySpec(kind: Kind, body: JsonObject, issues: Issue[]): { spec: JsonObject; unknown: string[] } {
  const members = Object.entries(body).filter(([member]) => !metaMembers.has(member));
  const json = Object.fromEntries(members);
  try {
    const spec = normalLegacy(kind, json);
    return { spec, unknown: unknownMembers(json, kind) };
  } catch (error) {
    issues.push({ path: "", message: protoMessage(error) });
    return { spec: {}, unknown: [] };
  }
}

/** The proto JSON form with defaults omitted, durations normalised, enums as names. Throws on what does not fit the message. */
export function normalLegacy(kind: Kind, json: JsonObject): JsonObject {
  const message = fromJson(kind.message!, json as ProtoJson, { ignoreUnknownFields: true, registry });
  return toJson(kind.message!, message, { registry }) as JsonObject;
}

/** `cannot decode field kuma.….port from JSON: expected uint32: …` without the library's prefix. */
const protoMessage = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error))
    .replace(/^cannot decode /, "")
    // What stands in the place of a message may be a secret.
    .replace(/^(message \S+) from JSON: ".*"$/s, "$1: must be an object")
    .replace(/kuma\.\w+\.v1alpha1\./, "");

/** Paths of members that the message does not have. */
function unknownMembers(input: JsonObject, kind: Kind): string[] {
  const unknown: string[] = [];
  walk(kind.message!, input, "");
  return unknown.sort();

  function walkItem(message: NonNullable<Kind["message"]>, item: unknown, path: string): void {
    if (isObject(item)) walk(message, item, path);
  }
  function walk(message: NonNullable<Kind["message"]>, value: JsonObject, path: string): void {
    if (message.typeName.startsWith("google.protobuf.")) return;
    for (const [member, inner] of Object.entries(value)) {
      const field = message.fields.find((f) => f.jsonName === member || f.name === member);
      const here = path === "" ? member : `${path}.${member}`;
      if (!field) unknown.push(here);
      else if (field.fieldKind === "message" && isObject(inner)) walk(field.message, inner, here);
      else if (field.fieldKind === "list" && field.listKind === "message" && Array.isArray(inner))
        for (const [i, item] of inner.entries()) walkItem(field.message, item, `${here}[${i}]`);
      else if (field.fieldKind === "map" && field.mapKind === "message" && isObject(inner))
        for (const [key, item] of Object.entries(inner))
          walkItem(field.message, item, `${here}[${JSON.stringify(key)}]`);
    }
  }
}

/** The HTTP form, members in the order of interop 1.1. */
export function toRest(kind: Kind, resource: Resource): JsonObject {
  return {
    type: resource.kind,
    ...(kind.scope === "Mesh" && { mesh: resource.mesh }),
    name: resource.name,
    creationTime: resource.creationTime,
    modificationTime: resource.modificationTime,
    ...(Object.keys(resource.labels).length > 0 && { labels: resource.labels }),
    ...(kind.short !== "" && { kri: kriOf(kind, resource) }),
    ...(kind.style === "legacy"
      ? resource.spec
      : { spec: resource.spec, ...(kind.hasStatus && { status: resource.status ?? {} }) }),
  };
}

/** `kri_<short>_<mesh>_<zone>_<namespace>_<name>_<section>` (interop 1.3). */
export function kriOf(kind: Kind, resource: Pick<Resource, "kind" | "mesh" | "name" | "labels">, section = ""): string {
  const isMesh = kind.name === "Mesh";
  const { labels } = resource;
  const zone = isMesh ? "" : (labels[label.zone] ?? "");
  const namespace = isMesh ? "" : (labels[label.namespace] ?? "");
  return ["kri", kind.short, resource.mesh, zone, namespace, displayNameOf(resource), section].join("_");
}

/** Equal in everything that users wrote: labels and spec. */
export const isSameContent = (a: Resource, b: Resource): boolean =>
  isEqual(a.labels, b.labels) && isEqual(a.spec, b.spec) && isEqual(a.status, b.status) && isEqual(a.wire, b.wire);

// Values that do not fit the message of their kind: a text for a port, a number for a tag. The library that decodes messages
// stops at the first and does not say where it is; here each is found with its path and what it must be.

import {
  type DescField,
  type DescMessage,
  fromJson,
  type JsonValue as ProtoJson,
  ScalarType,
} from "@bufbuild/protobuf";
import { registry } from "#gen/registry.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";

/** Of a kind with a message; members that the message does not have are not looked at. */
export function misfitIssues(kind: Kind, body: JsonObject): Issue[] {
  const meta = new Set(["type", "mesh", "name", "labels"]);
  const members = Object.entries(body).filter(([member]) => !meta.has(member));
  return kind.message ? inMessage(kind.message, Object.fromEntries(members), "") : [];
}

function inMessage(message: DescMessage, value: unknown, path: string): Issue[] {
  if (!isObject(value)) return [misfit(path, "an object", value)];
  return Object.entries(value).flatMap(([member, inner]) => {
    const field = message.fields.find(({ jsonName, name }) => jsonName === member || name === member);
    return field && inner !== null && inner !== undefined
      ? inField(message, field, inner, path === "" ? member : `${path}.${member}`)
      : [];
  });
}

function inField(message: DescMessage, field: DescField, value: unknown, path: string): Issue[] {
  const inner = field.message;
  const check = (item: unknown, where: string, alone: (item: unknown) => unknown): Issue[] =>
    inner && !isWellKnown(inner)
      ? inMessage(inner, item, where)
      : fits(message, { [field.jsonName]: alone(item) })
        ? []
        : [misfit(where, expected(field), item)];
  switch (field.fieldKind) {
    case "list":
      if (!Array.isArray(value)) return [misfit(path, "a list", value)];
      return value.flatMap((item, i) => check(item, `${path}[${i}]`, (item) => [item]));
    case "map":
      if (!isObject(value)) return [misfit(path, "an object", value)];
      return Object.entries(value).flatMap(([key, item]) =>
        check(item, `${path}[${JSON.stringify(key)}]`, (item) => ({ [key]: item })),
      );
    case "message":
    case "scalar":
    case "enum":
      return check(value, path, (item) => item);
  }
}

function fits(message: DescMessage, json: unknown): boolean {
  try {
    fromJson(message, json as ProtoJson, { registry });
    return true;
  } catch {
    return false;
  }
}

/** Those have a form of their own in JSON. */
const isWellKnown = ({ typeName }: DescMessage): boolean => typeName.startsWith("google.protobuf.");

function expected(field: DescField): string {
  if (field.enum) return `one of ${field.enum.values.map(({ name }) => name).join(", ")}`;
  const { message } = field;
  if (message?.typeName === "google.protobuf.Duration") return "a duration, like 5s";
  // A wrapper is written as what it wraps.
  return expectedScalar(field.scalar ?? message?.fields[0]?.scalar);
}

function expectedScalar(scalar: ScalarType | undefined): string {
  switch (scalar) {
    case ScalarType.STRING:
      return "a string";
    case ScalarType.BOOL:
      return "true or false";
    case ScalarType.UINT32:
    case ScalarType.UINT64:
      return "a whole number, 0 or more";
    case ScalarType.INT32:
    case ScalarType.INT64:
      return "a whole number";
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      return "a number";
    case ScalarType.BYTES:
      return bytes;
    default:
      return "an object";
  }
}

/** Secrets and inline keys are: what is there is not shown. */
const bytes = "bytes in base64";

function misfit(path: string, must: string, value: unknown): Issue {
  const quote = must === "a string" && (typeof value === "number" || typeof value === "boolean") ? "; quote it" : "";
  if (must === bytes) return { path, message: `must be ${must} (the value is not shown)` };
  return { path, message: `must be ${must}, not ${shown(value)}${quote}` };
}

const shown = (value: unknown): string =>
  Array.isArray(value) ? "a list" : isObject(value) ? "an object" : JSON.stringify(value);

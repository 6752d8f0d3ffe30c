// Members that a manifest has and this version doesn't know: most of them are typing errors, so the nearest known one is named.

import type { DescMessage } from "@bufbuild/protobuf";
import { z } from "zod";
import { stepsOf } from "#cli/documents.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import { didYouMean } from "#lib/nearest.ts";
import { findPolicy } from "#policies/all.ts";
import { unknownMembers } from "#policies/kinds.ts";
import type { Kind } from "#resources/kind.ts";
import { fromRest } from "#resources/rest.ts";

const meta = ["type", "mesh", "name", "labels"];

export function unknownMemberIssues(kind: Kind, body: JsonObject): Issue[] {
  const { unknown, resource } = fromRest(kind, body);
  const inSpec = kind.style === "spec" ? unknownMembers(kind, resource.spec) : [];
  return [...unknown, ...inSpec].map((path) => ({ path, message: `is not known here${suggestion(kind, path)}` }));
}

function suggestion(kind: Kind, path: string): string {
  const steps = stepsOf(path);
  const last = steps.at(-1);
  return typeof last === "string" ? didYouMean(last, membersAt(kind, steps.slice(0, -1))) : "";
}

function membersAt(kind: Kind, steps: readonly (string | number)[]): readonly string[] {
  const isTop = steps.length === 0;
  if (kind.message) return [...messageMembers(kind.message, steps), ...(isTop ? meta : [])];
  if (isTop) return [...meta, "spec"];
  const policy = findPolicy(kind.name);
  if (!policy) return [];
  // What a schema says to people is all that is needed of it: no transforms.
  const schema: unknown = z.toJSONSchema(policy.schema, { io: "input", unrepresentable: "any" });
  return schemaMembers(schema, steps.slice(1));
}

function messageMembers(message: DescMessage, steps: readonly (string | number)[]): readonly string[] {
  const [step, ...rest] = steps;
  if (step === undefined) return message.fields.map(({ jsonName }) => jsonName);
  // An index, or the key of a map, stays within the same message.
  const field = typeof step === "string" ? message.fields.find(({ jsonName }) => jsonName === step) : undefined;
  const inner = field?.message;
  if (!inner) return typeof step === "number" ? messageMembers(message, rest) : [];
  return messageMembers(inner, field.fieldKind === "map" ? rest.slice(1) : rest);
}

/** Of a JSON Schema without references: alternatives count together. */
function schemaMembers(schema: unknown, steps: readonly (string | number)[]): readonly string[] {
  if (!isObject(schema)) return [];
  const alternatives = [schema.anyOf, schema.oneOf, schema.allOf].flatMap((list) => (Array.isArray(list) ? list : []));
  const inAlternatives = alternatives.flatMap((alternative) => schemaMembers(alternative, steps));
  const [step, ...rest] = steps;
  const properties = isObject(schema.properties) ? schema.properties : {};
  if (step === undefined) return [...Object.keys(properties), ...inAlternatives];
  const next = typeof step === "number" ? schema.items : (properties[step] ?? schema.additionalProperties);
  return [...schemaMembers(next, rest), ...inAlternatives];
}

// Shapes that several policies share (interop 3.2), as zod schemas from which the types derive, and what a zod error
// says as issues. Unknown members are let through here: the store keeps them, and `unknownIn` names them.

import { z } from "zod";
import { parseGoDuration } from "#lib/duration.ts";
import { at, type Issue } from "#lib/issue.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { isDnsName } from "#resources/meta.ts";

/** What a schema yields, read-only all the way down. */
export type Read<T> = T extends readonly (infer Item)[]
  ? readonly Read<Item>[]
  : T extends object
    ? { readonly [Member in keyof T]: Read<T[Member]> }
    : T;
export type SpecOf<Schema extends z.ZodType> = Read<z.infer<Schema>>;

export const targetKinds = [
  "Mesh",
  "Dataplane",
  "MeshSubset",
  "MeshGateway",
  "MeshService",
  "MeshExternalService",
  "MeshMultiZoneService",
  "MeshServiceSubset",
  "MeshHTTPRoute",
] as const;
export type TargetKind = (typeof targetKinds)[number];

const texts = z.record(z.string(), z.string());

export const targetRef = z.object({
  kind: z.enum(targetKinds),
  name: z.string().optional(),
  namespace: z.string().optional(),
  labels: texts.optional(),
  sectionName: z.string().optional(),
  tags: texts.optional(),
  proxyTypes: z.array(z.enum(["Sidecar", "Gateway"])).optional(),
  mesh: z.string().optional(),
});
export type TargetRef = SpecOf<typeof targetRef>;

/** What every policy has of these. */
export interface PolicySpec {
  /** Absent: the whole mesh. */
  readonly targetRef?: TargetRef | undefined;
  readonly to?: readonly { readonly targetRef: TargetRef }[] | undefined;
  readonly from?: readonly { readonly targetRef: TargetRef }[] | undefined;
  readonly rules?: readonly object[] | undefined;
  /** Of policies that say one thing of the proxy as a whole. */
  readonly default?: object | undefined;
}

export const backendRef = targetRef.extend({
  weight: z.int().min(0).max(1_000_000).optional(),
  port: z.int().min(1).max(65535).optional(),
});
export type BackendRef = SpecOf<typeof backendRef>;

/** What Go and Envoy can count in nanoseconds: 292 years. */
const longestMs = 9.2e12;

/** A Go duration text; what is allowed of its value is each policy's business. */
export const duration = z
  .string()
  .refine((text) => Math.abs(parseGoDuration(text) ?? Infinity) < longestMs, "must be a duration, like 5s or 1h30m");

/** A number that counts: of connections, hosts, requests. */
export const atLeastOne = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);

/** 0 to 100, an integer or a decimal in a string. */
export const percentage = z
  .union([z.number(), z.string()], 'must be a number from 0 to 100, a decimal in quotes, like "0.5"')
  .refine(
    (value) => (typeof value === "string" ? /^\d+(\.\d+)?$/.test(value) : Number.isInteger(value)) && inPercent(value),
    'must be a number from 0 to 100, a decimal in quotes, like "0.5"',
  );
const inPercent = (value: number | string): boolean => Number(value) >= 0 && Number(value) <= 100;

export const headerName = z
  .string()
  .regex(/^[a-z0-9!#$%&'*+\-.^_`|~]{1,256}$/, "must be a header name in lower case, like x-request-id");

export const headerValues = z
  .array(z.object({ name: headerName, value: z.string().regex(/^[^\0\r\n]*$/, "must be one line") }))
  .max(16)
  .optional();

const spiffeId = z.string().superRefine((value, context) => {
  const message = spiffeIdMistake(value);
  if (message !== undefined) context.addIssue(message);
});

/** https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md */
function spiffeIdMistake(value: string): string | undefined {
  const [, domain, path] = /^spiffe:\/\/([^/]*)(.*)$/.exec(value) ?? [];
  if (domain === undefined || path === undefined) return "must be a SPIFFE ID, like spiffe://default/backend";
  if (!/^[a-z0-9._-]+$/.test(domain))
    return "must have a trust domain of lower case letters, digits and . - _ after spiffe://";
  if (path.endsWith("/")) return "must not end in a slash; a prefix matches what begins with it anyway";
  if (!/^(\/[A-Za-z0-9._-]+)*$/.test(path) || /\/\.{1,2}(\/|$)/.test(path))
    return "must have a path of letters, digits and . - _ between slashes";
  return undefined;
}

/** Who a client is, of a rule on the inbound side. */
export const clientMatch = z
  .object({
    spiffeID: z.object({ type: z.enum(["Exact", "Prefix"]), value: spiffeId }).optional(),
    sni: z
      .object({
        type: z.enum(["Exact"]),
        value: z.string().refine(isDnsName, "must be a DNS name, like backend.example.com"),
      })
      .optional(),
  })
  .refine((match) => match.spiffeID || match.sni, "must have spiffeID or sni");
export type ClientMatch = SpecOf<typeof clientMatch>;
export type SpiffeMatch = NonNullable<ClientMatch["spiffeID"]>;

/** As Go reads JSON: `null` is the same as absent (interop 3.1), and half a character is U+FFFD, as no message can carry it. */
export function asGoReads(value: JsonValue): JsonValue {
  if (typeof value === "string") return value.toWellFormed();
  if (Array.isArray(value)) return value.map(asGoReads);
  if (!isObject(value)) return value;
  const members = Object.entries(value).flatMap(([name, inner]) =>
    inner === undefined || inner === null ? [] : [[name.toWellFormed(), asGoReads(inner)] as const],
  );
  return Object.fromEntries(members);
}

/** What zod found, in Kuma's paths and in words that say what to do. */
export const issuesOf = (error: z.ZodError): readonly Issue[] =>
  error.issues.map((issue) => ({
    path: at("spec", ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))),
    message: messageOf(issue),
  }));

function messageOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.message === missing ? missing : `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return issue.message === missing ? missing : `must be one of ${issue.values.join(", ")}`;
    case "too_small":
      return issue.origin === "array" ? `must have ${count(issue.minimum)} or more` : tooSmall(issue);
    case "too_big":
      return issue.origin === "array" ? `must have ${count(issue.maximum)} or fewer` : tooBig(issue);
    default:
      return issue.message;
  }
}

const count = (items: number | bigint): string => `${items} ${items === 1 ? "item" : "items"}`;
const tooSmall = ({ origin, minimum }: z.core.$ZodIssueTooSmall): string =>
  origin === "string"
    ? minimum === 1
      ? "must not be empty"
      : `must have ${minimum} characters or more`
    : `must be ${minimum} or more`;
const tooBig = ({ origin, maximum }: z.core.$ZodIssueTooBig): string =>
  origin === "string" ? `must have ${maximum} characters or fewer` : `must be ${maximum} or less`;

const missing = "is required";
const typeNames: Readonly<Record<string, string>> = {
  string: "a string; put quotes around it",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object of strings",
};

/** For `safeParse`: tells what is absent from what is wrong. */
export const sayMissing: z.core.$ZodErrorMap = (issue) => (issue.input === undefined ? missing : undefined);

/** Paths of members of `input` that are not in `known`, which is what a schema made of it. */
export function unknownIn(input: JsonObject, known: JsonObject, ...path: readonly (string | number)[]): string[] {
  const within = (value: unknown, inner: unknown, ...steps: readonly (string | number)[]): string[] => {
    if (Array.isArray(value) && Array.isArray(inner))
      return value.flatMap((item, i) => within(item, inner[i], ...steps, i));
    return isObject(value) && isObject(inner) ? unknownIn(value, inner, ...steps) : [];
  };
  return Object.entries(input).flatMap(([member, value]) => {
    if (value === undefined || value === null) return [];
    return member in known ? within(value, known[member], ...path, member) : [at(...path, member)];
  });
}

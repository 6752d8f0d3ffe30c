// Private keys that are written into a resource itself instead of a Secret: answers show them as `*****`, which, written back, stands for
// what is stored there.

import { at, type Issue } from "#lib/issue.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import type { Resource } from "#resources/resource.ts";
import { toRest } from "#resources/rest.ts";

/** Members that are a source of a private key (interop 2.7, 3.5), at any depth. Meshes and MeshGateways take none but Secrets. */
const holders: ReadonlyMap<string, string> = new Map([
  ["ExternalService", "clientKey"],
  ["MeshExternalService", "clientKey"],
]);
export const hidden = "*****";

/** The HTTP form as it is shown. */
export function shownRest(kind: Kind, resource: Resource): JsonObject {
  const json = toRest(kind, resource);
  const holder = holders.get(kind.name);
  return holder === undefined ? json : replaced(json, holder, () => hidden);
}

/** A body as it is meant. */
export function withStoredKeys(
  kind: Kind,
  body: JsonObject,
  before: Resource | undefined,
): { readonly body: JsonObject; readonly issues: readonly Issue[] } {
  const holder = holders.get(kind.name);
  if (holder === undefined) return { body, issues: [] };
  const stored = before && toRest(kind, before);
  const issues: Issue[] = [];
  const whole = replaced(body, holder, (written, steps) => {
    if (written !== hidden) return written;
    const kept = steps.reduce<unknown>((from, step) => isHolder(from) && Reflect.get(from, step), stored);
    if (typeof kept === "string") return kept;
    issues.push({
      path: at(...steps),
      message: `must be the key itself: ${hidden} stands for one that is stored here`,
    });
    return written;
  });
  return { body: whole, issues };
}

const isHolder = (value: unknown): value is object => typeof value === "object" && value !== null;

type Steps = readonly (string | number)[];

/** `by`: of each text in them but the name of a Secret, and where. */
function replaced(json: JsonObject, holder: string, by: (key: string, steps: Steps) => string): JsonObject {
  const walk = (value: JsonValue, steps: Steps, isPrivate: boolean): JsonValue => {
    if (typeof value === "string") return isPrivate && steps.at(-1) !== "secret" ? by(value, steps) : value;
    if (Array.isArray(value)) return value.map((item: JsonValue, i) => walk(item, [...steps, i], isPrivate));
    if (!isObject(value)) return value;
    const members = Object.entries(value).flatMap(([name, inner]): [string, JsonValue][] =>
      inner === undefined ? [] : [[name, walk(inner, [...steps, name], isPrivate || name === holder)]],
    );
    return Object.fromEntries(members);
  };
  return walk(json, [], false) as JsonObject;
}

// What of a document validation accepts: the innermost list items in which it finds something wrong are taken out, until it
// finds nothing. So every odd value that validation lets through is tried, beside others.

import type { JsonObject, JsonValue } from "#lib/json.ts";
import { isObject } from "#lib/json.ts";
import { validateResource } from "#policies/kinds.ts";
import { written } from "#policies/policy-for-test.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";

/** `undefined` where nothing is left. */
export function acceptedPolicy(kind: string, spec: JsonObject): Resource | undefined {
  const policy = written(kind, { spec });
  const [issue] = validateResource(kindNamed(kind), policy);
  if (!issue) return policy;
  const rest = withoutItem(spec, stepsOf(issue.path).slice(1));
  return isObject(rest) ? acceptedPolicy(kind, rest) : undefined;
}

/** `spec.to[0].tags["a b"]` is `spec`, `to`, 0, `tags`, `a b`. */
const stepsOf = (path: string): readonly (string | number)[] =>
  [...path.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)].map(([, index, quoted, name]) =>
    index !== undefined ? Number(index) : quoted !== undefined ? String(JSON.parse(quoted)) : (name ?? ""),
  );

/** `undefined` where the path leads through no list. */
function withoutItem(value: JsonValue | undefined, steps: readonly (string | number)[]): JsonValue | undefined {
  const [step, ...rest] = steps;
  if (step === undefined) return undefined;
  if (Array.isArray(value)) {
    const inner = withoutItem(value[Number(step)], rest);
    return value.flatMap((item, i) => (i !== step ? [item] : inner === undefined ? [] : [inner]));
  }
  if (!isObject(value)) return undefined;
  const inner = withoutItem(value[step], rest);
  return inner === undefined ? undefined : { ...value, [step]: inner };
}

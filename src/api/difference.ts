// What a change changes, path by path, for people who ask afterwards. Secrets are told as changed, never as what they are.

import { hidden } from "#api/written-keys.ts";
import type { Difference } from "#host/audit-log.ts";
import { at } from "#lib/issue.ts";
import { isEqual, isObject, type JsonValue } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import type { Resource } from "#resources/resource.ts";

type Steps = readonly (string | number)[];
type Value = JsonValue | undefined;

/** Of labels and spec, with paths as in the HTTP form; nothing where only times differ. */
export function differences(kind: Kind, before: Resource | undefined, after: Resource | undefined): Difference[] {
  const found: Difference[] = [];
  compare({ labels: before?.labels }, { labels: after?.labels }, [], found);
  const isSecret = kind.name === "Secret" || kind.name === "GlobalSecret";
  if (isSecret && !isEqual(before?.spec, after?.spec))
    found.push({ path: "data", ...(before && { before: hidden }), ...(after && { after: hidden }) });
  if (isSecret) return found;
  const [was, is] = [before?.spec, after?.spec];
  if (kind.style === "spec") compare({ spec: was }, { spec: is }, [], found);
  else compare(was ?? {}, is ?? {}, [], found);
  return found;
}

function compare(before: Value, after: Value, steps: Steps, found: Difference[]): void {
  if (isEqual(before, after)) return;
  if (isObject(before) && isObject(after)) {
    for (const name of new Set([...Object.keys(before), ...Object.keys(after)]))
      compare(before[name], after[name], [...steps, name], found);
    return;
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++) compare(before[i], after[i], [...steps, i], found);
    return;
  }
  const step = steps.at(-1) ?? "";
  found.push({
    path: at(...steps),
    ...(before !== undefined && { before: shown(step, before) }),
    ...(after !== undefined && { after: shown(step, after) }),
  });
}

/** Kuma's DataSource may hold a key itself. */
function shown(step: string | number, value: JsonValue): JsonValue {
  if (step === "inline" || step === "inlineString") return hidden;
  if (Array.isArray(value)) return value.map((item: JsonValue, i) => shown(i, item));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, item]) => (item === undefined ? [] : [[name, shown(name, item)]])),
  );
}

// How the confs of several policies become one: JSON merge patch (RFC 7396), where lists whose name begins with `append` are
// joined instead of replaced. Users can't write null, so nothing is ever deleted.

import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";

/** `patch` wins. Members that are `undefined` are absent. */
export function mergeConf<Conf extends JsonObject>(base: Conf, patch: Conf): Conf;
export function mergeConf(base: JsonObject, patch: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = { ...base };
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    const before = merged[name];
    merged[name] = mergeMember(name, before, value);
  }
  return merged;
}

function mergeMember(name: string, before: JsonValue | undefined, value: JsonValue): JsonValue {
  if (isObject(before) && isObject(value)) return mergeConf(before, value);
  if (name.startsWith("append") && Array.isArray(before) && Array.isArray(value)) return [...before, ...value];
  return value;
}

/** Later ones win; `undefined` of none. */
export const mergeConfs = <Conf extends JsonObject>(confs: readonly Conf[]): Conf | undefined =>
  confs.length === 0 ? undefined : confs.reduce((base, patch) => mergeConf(base, patch));

// Plain JSON as a type, and what everything else does with it: read, compare and look inside.

export type JsonValue = string | number | boolean | null | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue | undefined;
}

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** As protobuf has it for its messages. */
const mostLevels = 100;

/** `JSON.parse` of what comes from outside. Throws, too, where it is nested so deep that who goes through it would run out of stack. */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  if (isTooDeep(value)) throw new SyntaxError(`nested more than ${mostLevels} deep`);
  return value;
}

export const isTooDeep = (value: unknown, levels = mostLevels): boolean =>
  typeof value === "object" &&
  value !== null &&
  (levels === 0 || Object.values(value).some((inner) => isTooDeep(inner, levels - 1)));

/** What `parseJson` says of a text, without the piece of it that V8 quotes: there may be a secret in it. */
export const whyNotJson = (error: unknown): string =>
  String(error instanceof Error ? error.message : error).replace(/, (\.\.\.)?".*$/s, " in JSON");

type Defined<T> = { -readonly [Member in keyof T]?: Exclude<T[Member], undefined> };

/** Without the members that are `undefined`, for messages whose types know only absent ones. */
export const definedOf = <T extends object>(members: T): Defined<T> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Defined<T>;

/** Deep equality of JSON values, `undefined` members counting as absent. Identical objects cost nothing. */
export function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => isEqual(item, b[i]));
  if (Array.isArray(b)) return false;
  if (a instanceof Map) return b instanceof Map && isEqualMap(a, b);
  if (a instanceof Set) return b instanceof Set && a.size === b.size && [...a].every((item) => b.has(item));
  if (a instanceof Uint8Array) return b instanceof Uint8Array && isEqualBytes(a, b);
  return isEqualObject(a as Members, b as Members);
}

type Members = Readonly<Record<string, unknown>>;

// Plain objects only, whose members are their own; without lists of entries, as this runs for all that is recomputed.
function isEqualObject(a: Members, b: Members): boolean {
  for (const name in a) if (a[name] !== undefined && !isEqual(a[name], b[name])) return false;
  for (const name in b) if (b[name] !== undefined && a[name] === undefined) return false;
  return true;
}

function isEqualMap(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (!b.has(key) || !isEqual(value, b.get(key))) return false;
  return true;
}

function isEqualBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

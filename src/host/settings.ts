// Settings of a program: one schema says what there is; values come from flags, KODIAK_… variables and a YAML file, and have
// one name in all three: `--kds-port 5685`, `KODIAK_KDS_PORT=5685`, `kds-port: 5685`. The first source that has it wins.

import { isMap, isScalar, LineCounter, parseDocument } from "yaml";
import { messageOf } from "#host/connection-failure.ts";
import { readTextFile } from "#host/text-file.ts";
import { parseGoDuration } from "#lib/duration.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject } from "#lib/json.ts";
import { didYouMean } from "#lib/nearest.ts";

export type Setting = {
  /** One sentence, without a full stop. */
  readonly help: string;
  /** What the help calls the value: `HOST`, `FILE`. */
  readonly value?: string;
  readonly required?: boolean;
  /** One letter, for a second flag: `m` is `-m`. */
  readonly short?: string;
  /** Never printed, neither in messages nor by `shownSettings`. */
  readonly secret?: boolean;
} & (
  | { readonly type: "string" | "file"; readonly default?: string; readonly choices?: readonly string[] }
  | { readonly type: "integer"; readonly default?: number; readonly min?: number; readonly max?: number }
  | { readonly type: "boolean"; readonly default?: boolean }
  /** `separator` stands between items, `,` if it is absent. */
  | { readonly type: "list"; readonly default?: readonly string[]; readonly separator?: string }
  /** `--var a=b --var c=d`, `KODIAK_VAR=a=b,c=d`, in YAML a map. */
  | { readonly type: "map"; readonly default?: Readonly<Record<string, string>> }
  /** Written as in Go (`1h30m`), read as milliseconds. */
  | { readonly type: "duration"; readonly default?: string }
);

/** By camelCase name: `kdsPort` is the flag `--kds-port`. */
export type Schema = Readonly<Record<string, Setting>>;

type ValueOf<T extends Setting> = T["type"] extends "integer" | "duration"
  ? number
  : T["type"] extends "boolean"
    ? boolean
    : T["type"] extends "list"
      ? readonly string[]
      : T["type"] extends "map"
        ? Readonly<Record<string, string>>
        : string;
type IsPresent<T extends Setting> = T extends { readonly required: true } | { readonly default: unknown }
  ? true
  : false;
export type Settings<S extends Schema> = {
  readonly [Name in keyof S]: IsPresent<S[Name]> extends true ? ValueOf<S[Name]> : ValueOf<S[Name]> | undefined;
};

export interface Sources {
  /** By name as in the schema; a boolean flag without a value is `true`, a list or map holds each time it was given. */
  readonly flags: Readonly<Record<string, string | boolean | readonly string[] | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly file?: { readonly name: string; readonly text: string };
}

export const flagOf = (name: string): string => `--${kebab(name)}`;
export const variableOf = (name: string): string => `KODIAK_${kebab(name).replaceAll("-", "_").toUpperCase()}`;
const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Reads the file that `--config` or KODIAK_CONFIG names, if any, then all settings. Throws `invalid` with all issues at once. */
export function loadSettings<S extends Schema>(schema: S, { flags, env }: Omit<Sources, "file">): Settings<S> {
  const name = flags.config ?? env.KODIAK_CONFIG;
  if (typeof name !== "string" || name === "") return readSettings(schema, { flags, env });
  return readSettings(schema, { flags, env, file: { name, text: textOf(name) } });
}

function textOf(file: string): string {
  try {
    return readTextFile(file);
  } catch (error) {
    if (!(error instanceof KodiakError)) throw error;
    const issue = { path: flagOf("config"), message: error.message };
    throw new KodiakError({ kind: "invalid", what: "settings", issues: [issue] }, { cause: error });
  }
}

export function readSettings<S extends Schema>(schema: S, sources: Sources): Settings<S> {
  const issues: Issue[] = [];
  const inFile = sources.file ? entriesOf(schema, sources.file, issues) : new Map<string, Given>();
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(schema)) {
    const given = givenIn(name, sources) ?? inFile.get(name);
    if (given === undefined) {
      if (setting.required)
        issues.push({
          path: flagOf(name),
          message: `is required (or the variable ${variableOf(name)}): ${setting.help}`,
        });
      values[name] = setting.default === undefined ? undefined : parsed(setting, setting.default);
      continue;
    }
    const value = parsed(setting, given.value);
    if (value === undefined) issues.push({ path: given.source, message: refusal(setting, given.value) });
    values[name] = value;
  }
  if (issues.length > 0) throw new KodiakError({ kind: "invalid", what: "settings", issues });
  return values as Settings<S>;
}

interface Given {
  readonly source: string;
  readonly value: unknown;
}

function givenIn(name: string, { flags, env }: Sources): Given | undefined {
  const flag = flags[name];
  if (flag !== undefined) return { source: `flag ${flagOf(name)}`, value: flag };
  const variable = env[variableOf(name)];
  // An empty variable counts as unset: that is how service managers and compose files write "not given".
  return variable ? { source: `variable ${variableOf(name)}`, value: variable } : undefined;
}

function entriesOf(schema: Schema, file: { name: string; text: string }, issues: Issue[]): Map<string, Given> {
  const lines = new LineCounter();
  const document = parseDocument(file.text, { lineCounter: lines, prettyErrors: false });
  const at = (offset = 0): string => `${file.name}:${lines.linePos(offset).line}`;
  for (const error of document.errors) issues.push({ path: at(error.pos[0]), message: error.message });
  const entries = new Map<string, Given>();
  if (document.errors.length > 0 || document.contents === null) return entries;
  if (!isMap(document.contents)) {
    issues.push({ path: at(), message: "must be settings, one `name: value` a line" });
    return entries;
  }
  const names = new Map(Object.keys(schema).map((name) => [kebab(name), name]));
  for (const { key, value } of document.contents.items) {
    const text = isScalar(key) ? String(key.value) : String(key);
    const source = `${at(isScalar(key) ? key.range?.[0] : 0)} ${text}`;
    const name = names.get(text);
    if (name === undefined) {
      issues.push({ path: source, message: `is not a setting of this program${didYouMean(text, names.keys())}` });
      continue;
    }
    try {
      entries.set(name, { source, value: isYamlNode(value) ? value.toJS(document) : undefined });
    } catch (error) {
      // YAML's `*name` without a `&name` before it, which the parser lets pass.
      issues.push({ path: source, message: `${messageOf(error)}; quote it if it is a text` });
    }
  }
  return entries;
}
const isYamlNode = (value: unknown): value is { toJS: (document: unknown) => unknown } =>
  typeof value === "object" && value !== null && "toJS" in value;

/** `undefined`: not a value of this type. Flags and variables bring texts, files bring YAML's types. */
function parsed(setting: Setting, value: unknown): unknown {
  switch (setting.type) {
    case "string":
    case "file": {
      const text = typeof value === "number" ? String(value) : value;
      if (typeof text !== "string" || text === "") return undefined;
      return setting.choices && !setting.choices.includes(text) ? undefined : text;
    }
    case "integer": {
      const number = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
      const isInRange =
        typeof number === "number" && number >= (setting.min ?? -Infinity) && number <= (setting.max ?? Infinity);
      return isInRange && Number.isSafeInteger(number) ? number : undefined;
    }
    case "boolean":
      return typeof value === "boolean" ? value : value === "true" ? true : value === "false" ? false : undefined;
    case "list": {
      const items = textsIn(value)?.flatMap((item) => item.split(setting.separator ?? ",").map((part) => part.trim()));
      return items?.every((item) => item !== "") ? items : undefined;
    }
    case "map":
      return mapIn(value);
    case "duration": {
      const ms = typeof value === "string" ? parseGoDuration(value) : value === 0 ? 0 : undefined;
      return ms !== undefined && ms >= 0 ? ms : undefined;
    }
  }
}

function textsIn(value: unknown): readonly string[] | undefined {
  const items = typeof value === "string" ? [value] : value;
  return Array.isArray(items) && items.every((item) => typeof item === "string") ? items : undefined;
}

function mapIn(value: unknown): Readonly<Record<string, string>> | undefined {
  if (isObject(value)) {
    const entries = Object.entries(value).map(([name, item]) => [name, typeof item === "number" ? `${item}` : item]);
    return entries.every(([, item]) => typeof item === "string") ? Object.fromEntries(entries) : undefined;
  }
  // A flag's value may hold commas; a variable has no other way to hold several.
  const pairs = typeof value === "string" ? value.split(",") : textsIn(value);
  const entries = pairs?.map((pair) => /^\s*([^=]+)=(.*)$/s.exec(pair)?.slice(1));
  return entries?.every((entry) => entry !== undefined) ? Object.fromEntries(entries) : undefined;
}

const refusal = (setting: Setting, value: unknown): string =>
  setting.secret
    ? `must be ${expected(setting)} (the value is not shown)`
    : `must be ${expected(setting)}, not ${JSON.stringify(value) ?? "empty"}`;

function expected(setting: Setting): string {
  switch (setting.type) {
    case "string":
      return setting.choices ? `one of ${setting.choices.join(", ")}` : "a text";
    case "file":
      return "the path of a file";
    case "integer": {
      const { min, max } = setting;
      if (min !== undefined && max !== undefined) return `an integer from ${min} to ${max}`;
      return min === undefined ? "an integer" : `an integer of at least ${min}`;
    }
    case "boolean":
      return "true or false";
    case "list":
      return "a list of texts, like a,b";
    case "map":
      return "a name and a value, like name=value";
    case "duration":
      return "a duration, like 30s or 1m30s";
  }
}

/** One line of help: the flag with its value, and what it is, with variable and default. */
export function helpOf(name: string, setting: Setting): { readonly flag: string; readonly text: string } {
  const choices = "choices" in setting ? setting.choices?.join("|") : undefined;
  const value = setting.value ?? choices ?? (setting.type === "boolean" ? undefined : placeholders[setting.type]);
  const placeholder = value === undefined ? "" : ` <${value}>`;
  const short = setting.short === undefined ? "" : `-${setting.short}, `;
  // An empty list or map by default is no default that anybody needs to know.
  const shownDefault = setting.type === "map" || setting.default === undefined ? "" : String(setting.default);
  const notes = [
    variableOf(name),
    ...(setting.required ? ["required"] : []),
    ...(shownDefault === "" || setting.secret ? [] : [`default ${shownDefault}`]),
  ];
  return { flag: `${short}${flagOf(name)}${placeholder}`, text: `${setting.help} (${notes.join(", ")})` };
}
const placeholders = {
  string: "text",
  file: "file",
  integer: "n",
  list: "a,b",
  map: "name=value",
  duration: "duration",
} as const;

/** As they may be shown and logged: secrets as `*****`. */
export const shownSettings = (schema: Schema, values: Readonly<Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(schema).map(([name, setting]) => {
      const value = values[name];
      return [kebab(name), setting.secret && value !== undefined ? "*****" : value];
    }),
  );

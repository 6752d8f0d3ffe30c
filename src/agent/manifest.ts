// The Dataplane or ZoneIngress that a proxy brings: a YAML document whose `{{ name }}` places are filled from variables.

import { parseAllDocuments } from "yaml";
import { KodiakError } from "#lib/failure.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject } from "#lib/json.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";

export interface Manifest {
  readonly text: string;
  /** What messages call it: the file's name. */
  readonly source: string;
}

/** Throws `invalid`, naming the source and the place, for what is no manifest of that kind. */
export function resourceOf(
  manifest: Manifest,
  kindName: string,
  variables: Readonly<Record<string, string>>,
): Resource {
  const documents = parseAllDocuments(filled(manifest, variables)).filter((document) => document.contents !== null);
  const syntax = documents.flatMap((document) => document.errors)[0];
  if (syntax) throw invalid(manifest, [{ path: "", message: syntax.message.split("\n")[0]?.replace(/:$/, "") ?? "" }]);
  const [document, second] = documents;
  const value: unknown = document?.toJS();
  if (second || !isObject(value)) throw invalid(manifest, [{ path: "", message: `must hold one ${kindName}` }]);
  if (value.type !== kindName)
    throw invalid(manifest, [{ path: "type", message: `must be ${kindName}, not ${JSON.stringify(value.type)}` }]);
  const { resource, issues, unknown } = fromRest(kindNamed(kindName), value);
  const all = [...issues, ...unknown.map((path): Issue => ({ path, message: `is not a member of ${kindName}` }))];
  if (all.length > 0) throw invalid(manifest, all);
  return resource;
}

function filled(manifest: Manifest, variables: Readonly<Record<string, string>>): string {
  const missing = new Set<string>();
  const text = manifest.text.replaceAll(/\{\{\s*([\w.-]+)\s*\}\}/g, (place, name: string) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined;
    if (value === undefined) missing.add(name);
    return value ?? place;
  });
  if (missing.size > 0)
    throw invalid(
      manifest,
      [...missing].map((name) => ({ path: `{{ ${name} }}`, message: `has no value: give it as variable ${name}=…` })),
    );
  return text;
}

const invalid = (manifest: Manifest, issues: readonly Issue[]): KodiakError =>
  new KodiakError({ kind: "invalid", what: manifest.source, issues });

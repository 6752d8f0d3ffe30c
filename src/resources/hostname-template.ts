// The template of a HostnameGenerator (interop 8.2.1), of Go's template language what names need: `{{ .Field }}` and `{{ label "key" }}`.
//
//   {{ .DisplayName }}.svc.{{ .Zone }}.mesh.local

import { isDnsName } from "#resources/meta.ts";
import { displayNameOf, label, type Resource } from "#resources/resource.ts";

export type Hostname = { readonly hostname: string } | { readonly error: string };

type Named = Pick<Resource, "mesh" | "name" | "labels">;

const fields: Readonly<Record<string, (resource: Named, zone: string) => string>> = {
  Name: ({ name }) => name,
  DisplayName: displayNameOf,
  Namespace: ({ labels }) => labels[label.namespace] ?? "",
  Mesh: ({ mesh }) => mesh,
  Zone: ({ labels }, zone) => labels[label.zone] ?? zone,
};

const action = /\{\{-?\s*(?:\.(\w+)|label\s+(?:"([^"]*)"|`([^`]*)`))\s*-?\}\}/g;

/** What no template can be; `undefined`: it may be one, in Go's language at least. */
export function templateIssue(template: string): string | undefined {
  if (template === "") return "is required";
  return template.split("{{").length === template.split("}}").length
    ? undefined
    : "has a {{ without }}, or the reverse";
}

/** `zone`: this one, for what has no zone of its own. */
export function hostnameOf(template: string, resource: Named, zone: string): Hostname {
  const errors: string[] = [];
  const hostname = template.replace(action, (_, field?: string, quoted?: string, raw?: string) => {
    const key = quoted ?? raw;
    const value = field === undefined ? resource.labels[key ?? ""] : fields[field]?.(resource, zone);
    if (value === undefined)
      errors.push(
        field === undefined ? `label ${key} is not there` : `.${field} is none of .${Object.keys(fields).join(", .")}`,
      );
    return value ?? "";
  });
  const [error] = errors;
  if (error !== undefined) return { error };
  const other = /\{\{.*?\}\}/.exec(hostname)?.[0];
  if (other !== undefined) return { error: `${other} is neither {{ .Field }} nor {{ label "key" }}` };
  return isDnsName(hostname) ? { hostname } : { error: `${JSON.stringify(hostname)} is no DNS name` };
}

// A name of the user's making for instances with some tags, their service among them (interop 8.1): host and port are templates over
// the tags, `{{.version}}.{{.service}}.mesh`.

import type { VirtualOutboundJson } from "#gen/kuma/mesh/v1alpha1/virtual_outbound_pb.ts";
import { at, type Issue } from "#lib/issue.ts";
import { isDnsName } from "#resources/meta.ts";
import { type Labels, type Resource, tag } from "#resources/resource.ts";

/** The spec of a legacy kind is in its message's JSON form already. */
export const asVirtualOutbound = (resource: Resource): Resource<VirtualOutboundJson> =>
  resource as Resource<VirtualOutboundJson>;

const parameterName = /^[A-Za-z0-9_]+$/;
const placeholder = /\{\{\s*\.([A-Za-z0-9_]+)\s*\}\}/g;

export function virtualOutboundIssues({ selectors = [], conf = {} }: VirtualOutboundJson): readonly Issue[] {
  const issues: Issue[] = [];
  const say = (path: readonly (string | number)[], message: string) => issues.push({ path: at(...path), message });
  if (selectors.length === 0) say(["selectors"], "must have an item: the tags of instances that get a name");
  for (const [i, { match = {} }] of selectors.entries())
    if (Object.keys(match).length === 0) say(["selectors", i, "match"], 'must have a tag, like kuma.io/service: "*"');
  const parameters = conf.parameters ?? [];
  for (const [i, { name = "" }] of parameters.entries()) {
    const path = ["conf", "parameters", i, "name"];
    if (!parameterName.test(name)) say(path, "must be letters, digits and _, as it is in a template");
    else if (parameters.findIndex((other) => other.name === name) !== i) say(path, `must not be used twice: ${name}`);
  }
  if (!parameters.some((one) => tagOf(one) === tag.service))
    say(["conf", "parameters"], `must have an item with tagKey ${tag.service}: a name leads to one service`);
  for (const member of ["host", "port"] as const) {
    const template = conf[member] ?? "";
    if (template === "") say(["conf", member], "is required");
    const unknown = [...template.matchAll(placeholder)].map(([, name = ""]) => name);
    for (const name of unknown.filter((one) => !parameters.some((parameter) => parameter.name === one)))
      say(["conf", member], `has {{.${name}}}, but no parameter is called so`);
    const rest = template.replace(placeholder, "");
    if (/[{}]/.test(rest)) say(["conf", member], "must have no other template than {{.parameter}}");
  }
  return issues;
}

const tagOf = ({ name = "", tagKey = "" }: { readonly name?: string; readonly tagKey?: string }): string =>
  tagKey || name;

export interface VirtualName {
  /** Lower case. */
  readonly host: string;
  readonly port: number;
  /** The service, and what else tells instances apart. */
  readonly tags: Labels;
}

/** Of an instance with these tags; `undefined` where it gets no name, or none that is one. */
export function virtualNameOf(
  { selectors = [], conf = {} }: VirtualOutboundJson,
  tags: Labels,
): VirtualName | undefined {
  const isSelected = selectors.some(({ match = {} }) =>
    Object.entries(match).every(([key, value]) => tags[key] !== undefined && (value === "*" || tags[key] === value)),
  );
  const parameters = conf.parameters ?? [];
  if (!isSelected || parameters.some((one) => tags[tagOf(one)] === undefined)) return undefined;
  const values = new Map(parameters.map((one) => [one.name ?? "", tags[tagOf(one)] ?? ""]));
  const filled = (template = "") => template.replace(placeholder, (_, name: string) => values.get(name) ?? "");
  const host = filled(conf.host).toLowerCase();
  const text = filled(conf.port);
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (!isDnsName(host) || port < 1 || port > 65_535) return undefined;
  return { host, port, tags: Object.fromEntries(parameters.map((one) => [tagOf(one), tags[tagOf(one)] ?? ""])) };
}

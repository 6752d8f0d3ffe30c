// From a body to an edit, or to everything that is wrong with it at once. `PUT`, `DELETE` and `apply` all come through here.
// Order as in interop 1.9: JSON, shape and meaning, URL and labels, what the store holds.

import { type AuthorityIssues, meshAuthorityIssues, plaintextIssues, secretAuthorityIssues } from "#api/authorities.ts";
import { deletionIssues, dependents } from "#api/in-use.ts";
import { originIssues, requireOwn, requireWritable, type Site } from "#api/ownership.ts";
import { badRequest, invalid, notFound, type Problem } from "#api/problem.ts";
import { retiredIssues } from "#api/rotation.ts";
import { withStoredKeys } from "#api/written-keys.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject, parseJson, whyNotJson } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { completeLabels, immutableLabelIssues, labelPath, type Place } from "#resources/labels.ts";
import { asMesh } from "#resources/mesh.ts";
import { type Labels, label, type Resource, type ResourceId } from "#resources/resource.ts";
import { fromRest, isSameContent } from "#resources/rest.ts";
import type { ResourceEdit, View } from "#resources/store.ts";
import { issuingLabels } from "#topology/mesh.ts";

export interface Rules extends Site {
  /** Names, labels, and the meaning of the spec. */
  readonly validate: (kind: Kind, resource: Resource) => readonly Issue[];
  /** Paths of members of a spec that this version doesn't know, where it knows the kind. */
  readonly unknownMembers: (kind: Kind, spec: JsonObject) => readonly string[];
  readonly authorityIssues: AuthorityIssues;
  /** Whether anything of this kind has an effect yet. */
  readonly isActedOn: (kind: Kind) => boolean;
}

export interface Admitted {
  readonly edit: ResourceEdit & { readonly kind: "put" };
  readonly result: "created" | "updated" | "unchanged";
  readonly warnings: readonly string[];
}

export function bodyOf(kind: Kind, text: string): JsonObject {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw malformed(kind, whyNotJson(error));
  }
  if (!isObject(value)) throw malformed(kind, "must be a JSON object");
  return value;
}

const malformed = (kind: Kind, why: string): Problem =>
  badRequest(`invalid ${kind.name} object: ${JSON.stringify(why)}`);

/** Where the body says otherwise than the URL. */
function identityIssues(kind: Kind, body: JsonObject, url: ResourceId): Issue[] {
  const told: readonly (readonly [string, unknown, string])[] = [
    ["type", body.type, kind.name],
    ["name", body.name, url.name],
    ...(kind.scope === "Mesh" ? [["mesh", body.mesh ?? "default", url.mesh] as const] : []),
  ];
  return told
    .filter(([, inBody, inUrl]) => inBody !== inUrl)
    .map(([path]) => ({ path, message: `${path} from the URL has to be the same as in body` }));
}

/** On its way to global a zone's resource gets the zone's name and a dot in front, and must still be a name (interop 1.2). */
function prefixedNameIssues(place: Place, name: string): Issue[] {
  if (place.kind === "global" || !place.isFederated) return [];
  const max = 251 - place.zone.length;
  if (name.length <= max) return [];
  return [{ path: "name", message: `must have ${max} characters or fewer in zone "${place.zone}"` }];
}

/** `view`: the state in which this resource will be. `before`: what is stored now. Throws a Problem. */
export function admitPut(
  rules: Rules,
  kind: Kind,
  body: JsonObject,
  url: ResourceId,
  before: Resource | undefined,
  view: View,
): Admitted {
  requireWritable(rules, kind);
  const identity = identityIssues(kind, body, url);
  if (identity.length > 0) throw invalid("Could not process a resource", identity);
  const { body: whole, issues: unknownKeys } = withStoredKeys(kind, body, before);
  if (unknownKeys.length > 0) throw invalid("Could not process a resource", unknownKeys);
  const parsed = fromRest(kind, whole);
  // What does not fit its message has no path, and says nothing about meaning.
  const misfit = parsed.issues.find(({ path }) => path === "");
  if (misfit) throw malformed(kind, misfit.message);
  if (parsed.issues.length > 0) throw invalid("Could not process a resource", parsed.issues);
  const written = parsed.resource;
  const issues = [
    ...rules.validate(kind, written),
    ...prefixedNameIssues(rules.place, url.name),
    ...originIssues(rules, kind, written),
  ];
  if (issues.length > 0) throw invalid("Could not process a resource", issues);

  const title = before ? "Could not update a resource" : "Could not create a resource";
  if (before) {
    requireOwn(rules, before, title, labelPath(label.origin));
    const changed = immutableLabelIssues(before.labels, completeLabels(rules.place, kind, written));
    if (changed.length > 0) throw invalid(title, changed);
  }
  const inContext = contextIssues(rules, before, written, view);
  if (inContext.length > 0) throw invalid(`Failed to ${before ? "update" : "create"} a resource`, inContext);

  const resource: Resource = {
    ...written,
    labels: labelsOf(rules.place, kind, written, before),
    ...(before?.status && { status: before.status }),
  };
  const isUnchanged = before !== undefined && isSameContent(before, resource);
  return {
    edit: {
      kind: "put",
      resource,
      expected: before ? { modificationTime: before.modificationTime } : "absent",
    },
    result: before ? (isUnchanged ? "unchanged" : "updated") : "created",
    warnings: warningsOf(rules, kind, written, parsed.unknown),
  };
}

function labelsOf(place: Place, kind: Kind, written: Resource, before: Resource | undefined): Labels {
  const labels = completeLabels(place, kind, written);
  if (kind.name === "Mesh") return issuingLabels(before && asMesh(before), asMesh({ ...written, labels }));
  if (kind.name !== "Zone") return labels;
  // Said by `kodiak zone drain` and `restore` only.
  const { [label.drainedSince]: _, ...rest } = labels;
  const drainedSince = before?.labels[label.drainedSince];
  return drainedSince === undefined ? rest : { ...rest, [label.drainedSince]: drainedSince };
}

/** What is wrong with it beside what else there is. */
function contextIssues(rules: Rules, before: Resource | undefined, written: Resource, view: View): Issue[] {
  switch (written.kind) {
    case "Mesh":
      return [
        ...plaintextIssues(before, written),
        ...retiredIssues(view, before, written, rules),
        ...meshAuthorityIssues(view, written, rules.authorityIssues),
      ];
    case "Secret":
      return secretAuthorityIssues(view, written, rules.authorityIssues);
  }
  return [];
}

function warningsOf(rules: Rules, kind: Kind, resource: Resource, unknown: readonly string[]): string[] {
  const inSpec = kind.style === "spec" ? rules.unknownMembers(kind, resource.spec) : [];
  return [
    // What is beside the spec, and what a message has no field for, has no place to be kept in.
    ...unknown.map((path) => `${path}: unknown member; dropped`),
    ...inSpec.map((path) => `${path}: unknown member; kept and passed on, without effect`),
    ...(rules.isActedOn(kind) ? [] : [`${kind.name} is stored and passed on; not acted on yet`]),
  ];
}

/** Throws a Problem; 404 if there is nothing to delete. */
export function admitDelete(
  rules: Site,
  kind: Kind,
  stored: Resource | undefined,
  view: View,
  all: Iterable<Resource>,
): readonly ResourceEdit[] {
  requireWritable(rules, kind);
  const title = "Could not delete a resource";
  if (!stored) throw notFound(title);
  requireOwn(rules, stored, title, `[${JSON.stringify(label.origin)}]`);
  const issues = deletionIssues(view, stored, rules.isConnected);
  if (issues.length > 0) throw invalid(title, issues);
  return [
    { kind: "delete", id: stored, expected: { modificationTime: stored.modificationTime } },
    ...dependents(stored, all).map((id): ResourceEdit => ({ kind: "delete", id })),
  ];
}

// Which fields a targetRef may have, by its kind (interop 3.2.1), and which kinds are allowed where it stands.

import { at, type Issue } from "#lib/issue.ts";
import type { BackendRef, TargetKind, TargetRef } from "#policies/schema.ts";
import { atKey, isTagName, isTagValue } from "#resources/meta.ts";

type Field = Exclude<keyof TargetRef, "kind">;

const fieldsOf: Readonly<Record<TargetKind, readonly Field[]>> = {
  Mesh: ["proxyTypes"],
  MeshSubset: ["tags", "proxyTypes"],
  Dataplane: ["name", "namespace", "labels", "sectionName"],
  MeshService: ["name", "namespace", "labels", "sectionName"],
  MeshMultiZoneService: ["name", "namespace", "labels", "sectionName"],
  MeshExternalService: ["name", "namespace", "labels"],
  MeshServiceSubset: ["name", "tags"],
  MeshGateway: ["name", "tags"],
  MeshHTTPRoute: ["name", "namespace", "labels"],
};
const named: readonly TargetKind[] = ["MeshServiceSubset", "MeshGateway"];
const namedOrLabelled: readonly TargetKind[] = [
  "MeshService",
  "MeshMultiZoneService",
  "MeshExternalService",
  "MeshHTTPRoute",
];
const fields: readonly Field[] = ["name", "namespace", "labels", "sectionName", "tags", "proxyTypes", "mesh"];

export interface Allowed {
  readonly kinds: readonly TargetKind[];
  /** Of a Dataplane, one inbound may be meant: only where a policy says something of inbounds. */
  readonly section?: boolean;
  /** Of a MeshGateway, some of the listeners may be meant. */
  readonly listenerTags?: boolean;
}

type Path = readonly (string | number)[];

export function targetRefIssues(ref: TargetRef, allowed: Allowed, path: Path): readonly Issue[] {
  const { kind } = ref;
  if (!allowed.kinds.includes(kind))
    return [{ path: at(...path, "kind"), message: `must be one of ${allowed.kinds.join(", ")} here, not ${kind}` }];
  return [...fieldIssues(ref, allowed, path), ...nameIssues(ref, path), ...tagIssues(ref, path)];
}

function fieldIssues(ref: TargetRef, { section = false, listenerTags = false }: Allowed, path: Path): Issue[] {
  const { kind } = ref;
  const issues = fields
    .filter((field) => isSet(ref[field]) && !fieldsOf[kind].includes(field))
    .map((field) => ({ path: at(...path, field), message: `must not be set with kind ${kind}` }));
  if (kind === "Dataplane" && ref.sectionName !== undefined && !section)
    issues.push({ path: at(...path, "sectionName"), message: "can only be set in a policy with from or rules" });
  if (kind === "MeshGateway" && ref.tags !== undefined && !listenerTags)
    issues.push({ path: at(...path, "tags"), message: "must not be set with kind MeshGateway here" });
  if (ref.proxyTypes?.length === 0)
    issues.push({ path: at(...path, "proxyTypes"), message: "must have an item, Sidecar or Gateway, or be left out" });
  return issues;
}
const isSet = (value: unknown): boolean => value !== undefined && value !== "";

function nameIssues(ref: TargetRef, path: Path): Issue[] {
  const { kind, name, labels } = ref;
  const issues: Issue[] = [];
  if (name === undefined && named.includes(kind))
    issues.push({ path: at(...path, "name"), message: `is required with kind ${kind}` });
  if (name === undefined && labels === undefined && namedOrLabelled.includes(kind))
    issues.push({ path: at(...path), message: `must have name or labels with kind ${kind}` });
  if (name !== undefined && labels !== undefined)
    issues.push({ path: at(...path, "labels"), message: "must not be set beside name: use one of them" });
  if (name === undefined && ref.namespace !== undefined)
    issues.push({ path: at(...path, "namespace"), message: "can only be set beside name" });
  for (const field of ["name", "namespace"] as const)
    if (!/^[0-9a-z.\-_]*$/.test(ref[field] ?? ""))
      issues.push({ path: at(...path, field), message: "must have only lower case letters, digits and . - _" });
  return issues;
}

function tagIssues(ref: TargetRef, path: Path): Issue[] {
  return Object.entries(ref.tags ?? {}).flatMap(([key, value]) => {
    const where = atKey([...path, "tags"], key);
    if (!isTagName(key)) return [{ path: where, message: "must have a name of letters, digits and . - _ : /" }];
    if (value !== "*" && !isTagValue(value))
      return [{ path: where, message: "must be letters, digits and . - _ :, or * for any value" }];
    return [];
  });
}

/** A backend is a service by its tags, or a resource with a port. */
export function backendRefIssues(ref: BackendRef, kinds: readonly TargetKind[], path: Path): readonly Issue[] {
  const issues = targetRefIssues(ref, { kinds }, path);
  const needsPort = ref.kind === "MeshMultiZoneService" || (ref.kind === "MeshService" && ref.labels !== undefined);
  if (issues.length > 0 || !needsPort || ref.port !== undefined) return issues;
  return [{ path: at(...path, "port"), message: `is required with ${ref.labels ? "labels" : `kind ${ref.kind}`}` }];
}

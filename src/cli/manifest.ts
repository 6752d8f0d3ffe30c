// The Dataplane, ZoneIngress or ZoneEgress that a proxy brings: a file with one document, checked here as far as that goes without the
// control plane, as only here file and line are known.

import { documentIssues, located, problemText } from "#cli/document-issues.ts";
import { documentsIn, type SourceDocument, type SourceFile } from "#cli/documents.ts";
import type { Issue } from "#lib/issue.ts";
import { validateResource } from "#policies/kinds.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";

export type ProxyKind = "Dataplane" | "ZoneIngress" | "ZoneEgress";
export type Manifest =
  | { readonly kind: "resource"; readonly resource: Resource }
  | { readonly kind: "refused"; readonly problems: readonly string[] };

const verbOf: Readonly<Record<ProxyKind, string>> = {
  Dataplane: "`kodiak run proxy`",
  ZoneIngress: "`kodiak run ingress`",
  ZoneEgress: "`kodiak run egress`",
};

export function manifestIn(
  file: SourceFile,
  kindName: ProxyKind,
  variables: Readonly<Record<string, string>>,
): Manifest {
  const { documents, problems } = documentsIn(file, variables);
  if (problems.length > 0) return { kind: "refused", problems: problems.map(problemText) };
  const [document] = documents;
  if (!document || documents.length > 1) {
    const held = documents.length === 0 ? "it is empty" : `it holds ${documents.length} documents`;
    return { kind: "refused", problems: [`${file.name}: must hold one ${kindName}; ${held}`] };
  }
  const kind = kindNamed(kindName);
  const { resource, issues } = fromRest(kind, document.body);
  // Each rests on what those before it have made sure of.
  const found = [
    typeIssues(document, kindName),
    documentIssues(document, "refused"),
    issues,
    validateResource(kind, resource),
  ].find((issues) => issues.length > 0);
  if (found) return { kind: "refused", problems: found.map((issue) => located(document, issue)) };
  return { kind: "resource", resource };
}

function typeIssues({ body: { type, kind } }: SourceDocument, kindName: ProxyKind): Issue[] {
  if (type === kindName || (type === undefined && kind !== undefined)) return [];
  if (type === undefined) return [{ path: "type", message: `is required: ${kindName}` }];
  const isOther = (of: unknown): of is ProxyKind => typeof of === "string" && Object.hasOwn(verbOf, of);
  const other = isOther(type) ? `; ${verbOf[type]} takes that one` : "";
  return [{ path: "type", message: `must be ${kindName}, not ${JSON.stringify(type)}${other}` }];
}

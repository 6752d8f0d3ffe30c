// Names, labels and tags as Kuma takes them (interop 1.2), for resources of every kind.

import { at, type Issue } from "#lib/issue.ts";
import type { Kind } from "#resources/kind.ts";
import type { Labels, Resource } from "#resources/resource.ts";

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

/** An RFC 1123 subdomain of at most 253 characters. */
export const isDnsName = (text: string): boolean => text.length <= 253 && subdomain.test(text);
export const isTagName = (text: string): boolean => /^[a-zA-Z0-9.\-_:/]+$/.test(text);
export const isTagValue = (text: string): boolean => /^[a-zA-Z0-9.\-_:]+$/.test(text);

/** Path of a map's member, always quoted as in Kuma's: `labels["team"]`. */
export const atKey = (path: readonly (string | number)[], key: string): string =>
  `${at(...path)}[${JSON.stringify(key)}]`;

export function metaIssues(kind: Kind, { name, mesh, labels }: Resource): readonly Issue[] {
  const issues: Issue[] = [...labelIssues(labels)];
  if (name.length > 253) issues.push({ path: "name", message: "must have 253 characters or fewer" });
  else if (!subdomain.test(name))
    issues.push({
      path: "name",
      message:
        "must be lower case letters, digits, - and ., beginning and ending with a letter or digit, like backend-1",
    });
  if (kind.scope === "Mesh" && !/^[0-9a-z\-_.]+$/.test(mesh))
    issues.push({ path: "mesh", message: "must be the name of a mesh, like default" });
  return issues;
}

function labelIssues(labels: Labels): readonly Issue[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const path = atKey(["labels"], key);
    if (!isLabelKey(key))
      return [
        { path, message: "must have a name of letters, digits and - _ ., with a DNS name and / before it or not" },
      ];
    if (value !== "" && !isLabelValue(value))
      return [
        { path, message: "must be 63 letters, digits and - _ . or fewer, beginning and ending with a letter or digit" },
      ];
    return [];
  });
}

export const isLabelValue = (text: string): boolean => text.length <= 63 && qualifiedName.test(text);

/** https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set */
function isLabelKey(key: string): boolean {
  const slash = key.indexOf("/");
  const name = key.slice(slash + 1);
  return name.length <= 63 && qualifiedName.test(name) && (slash === -1 || isDnsName(key.slice(0, slash)));
}

// What every resource must satisfy whatever its kind: names, mesh references, label keys and values (interop 1.2).

import type { Issue } from "#lib/issue.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import type { Place } from "#resources/labels.ts";
import { labelPath } from "#resources/labels.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";

const maxNameLength = 253;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const nameRule =
  "invalid characters: must be lower case letters, digits, '-' or '.', and begin and end with a letter or a digit";

/** Where the body says otherwise than the URL. */
export function identityIssues(kind: Kind, body: JsonObject, url: ResourceId): Issue[] {
  const must = (member: string): Issue => ({
    path: member,
    message: `${member} from the URL has to be the same as in body`,
  });
  const issues: Issue[] = [];
  if (body.type !== kind.name) issues.push(must("type"));
  if (body.name !== url.name) issues.push(must("name"));
  if (kind.scope === "Mesh" && (body.mesh ?? "default") !== url.mesh) issues.push(must("mesh"));
  return issues;
}

export function nameIssues(place: Place, name: string): Issue[] {
  const issues: Issue[] = [];
  // On its way to global a zone's resource gets the zone's name in front.
  const prefix = place.kind === "zone" && place.isFederated ? place.zone.length + 1 : 0;
  const max = prefix === 0 ? maxNameLength : maxNameLength - 1 - prefix;
  if (name.length > max) issues.push({ path: "name", message: `value length must less or equal ${max}` });
  if (!subdomain.test(name)) issues.push({ path: "name", message: nameRule });
  return issues;
}

const labelPart = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)$/;

/** Keys are Kubernetes' qualified names (`example.com/name`), values at most 63 characters. */
export function labelIssues({ labels }: Resource): Issue[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const path = labelPath(key);
    const issues: Issue[] = [];
    if (!isQualifiedName(key))
      issues.push({ path, message: "the key must be a name, or a domain, a slash and a name, like example.com/team" });
    if (value !== "" && !labelPart.test(value))
      issues.push({
        path,
        message:
          "the value must be at most 63 letters, digits, '-', '_' or '.', and begin and end with a letter or a digit",
      });
    return issues;
  });
}

function isQualifiedName(key: string): boolean {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  if (prefix !== undefined && (prefix.length > maxNameLength || !subdomain.test(prefix))) return false;
  return labelPart.test(key.slice(slash + 1));
}

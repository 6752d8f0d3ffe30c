// Who may write what, where (interop 1.5 and 1.7). A refusal names the place to edit: the global control plane, or the zone
// that a resource comes from.

import { invalid, Problem } from "#api/problem.ts";
import type { Issue } from "#lib/issue.ts";
import type { Kind } from "#resources/kind.ts";
import { kindNamed } from "#resources/kinds.ts";
import { labelPath, type Place } from "#resources/labels.ts";
import { describeId, label, type Resource } from "#resources/resource.ts";

/** Where the control plane is, and for a federated zone the address of its global one, for messages. */
export interface Site {
  readonly place: Place;
  readonly globalAddress?: string;
  /** Of a global control plane: whether the zone is connected now. */
  readonly isConnected?: (zone: string) => boolean;
  /** Of a global control plane: whether a zone that is connected has all Meshes as they are now, and has told all that it has. */
  readonly isAbreast?: (zone: string) => boolean;
}

export const isFederatedZone = (place: Place): boolean => place.kind === "zone" && place.isFederated;

export function isWritable(place: Place, kind: Kind): boolean {
  if (kind.readOnly) return false;
  if (place.kind === "global") return kind.sync.writtenOnGlobal;
  return !place.isFederated || kind.sync.writtenOnZone;
}

/** 405 for a kind that is not written here. The final line feed is Kuma's. */
export function requireWritable(site: Site, kind: Kind): void {
  if (isWritable(site.place, kind)) return;
  const where = kind.readOnly
    ? "is kept by control planes themselves and can only be read"
    : site.place.kind === "global"
      ? "is written on the zone control plane that it belongs to"
      : `is written on ${globalOf(site)}, from where this zone receives it`;
  throw new Problem(405, "Method not allowed", `${kind.name} ${where}.\n`);
}

const globalOf = ({ globalAddress }: Site): string =>
  `the global control plane${globalAddress === undefined ? "" : ` (this zone's connection to it: ${globalAddress})`}`;

/** What the labels of a request claim against what this place may write. */
export function originIssues(site: Site, kind: Kind, resource: Pick<Resource, "labels" | "mesh">): Issue[] {
  const { place } = site;
  const { labels } = resource;
  const origin = labels[label.origin];
  if (place.kind === "global") return origin === undefined || origin === "global" ? [] : [mustBeGlobal];
  const issues: Issue[] = [];
  const mustSay = place.isFederated && kind.style === "spec" && kind.sync.zoneToGlobal;
  if (place.isFederated && (origin !== undefined || mustSay) && origin !== "zone") issues.push(mustBeZone(site));
  const zone = labels[label.zone];
  if (zone !== undefined && zone !== place.zone)
    issues.push({ path: labelPath(label.zone), message: `${label.zone} label should have ${place.zone} value` });
  const mesh = labels[label.mesh];
  if (kind.scope === "Mesh" && mesh !== undefined && mesh !== resource.mesh)
    issues.push({ path: labelPath(label.mesh), message: `${label.mesh} label should have ${resource.mesh} value` });
  return issues;
}

const mustBeGlobal: Issue = {
  path: labelPath(label.origin),
  message: "the origin label must be set to 'global' or left out: this is the global control plane",
};
const mustBeZone = (site: Site): Issue => ({
  path: labelPath(label.origin),
  message: `the origin label must be set to 'zone' for a resource of this zone alone; what holds in all zones is applied on ${globalOf(site)}`,
});

/** Refuses to touch what is here only as a copy. `path` is the field that the refusal names. */
export function requireOwn(site: Site, stored: Resource, title: string, path: string): void {
  const owner = foreignOwner(site, stored);
  if (owner === undefined) return;
  throw invalid(title, [{ path, message: `${describeId(stored)} belongs to ${owner}; edit it there` }]);
}

function foreignOwner(site: Site, { kind, labels }: Resource): string | undefined {
  const { place } = site;
  const [origin, zone] = [labels[label.origin], labels[label.zone]];
  if (place.kind === "global") return origin === "zone" ? `zone "${zone ?? ""}"` : undefined;
  if (!place.isFederated) return undefined;
  // A copy of another zone's resource comes through global and says so, but names its zone; what zones do not share is global's, for that zone.
  if (zone !== undefined && zone !== place.zone && kindNamed(kind).sync.acrossZones) return `zone "${zone}"`;
  return origin === "global" ? globalOf(site) : undefined;
}

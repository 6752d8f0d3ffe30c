// What stands in the way of a deletion, and what goes with one (interop 1.9).

import { secretInUseIssues } from "#api/authorities.ts";
import type { Issue } from "#lib/issue.ts";
import { isOnline } from "#owned/online.ts";
import { label, type Resource, type ResourceId } from "#resources/resource.ts";
import type { View } from "#resources/store.ts";

/** `isConnected`: as a global control plane knows it, before it is written. */
export function deletionIssues(view: View, resource: Resource, isConnected?: (zone: string) => boolean): Issue[] {
  switch (resource.kind) {
    case "Mesh":
      return view.list("Dataplane").some((dataplane) => dataplane.mesh === resource.name)
        ? [{ path: "mesh", message: "unable to delete mesh, there are still some dataplanes attached" }]
        : [];
    case "Zone":
      return (isConnected?.(resource.name) ??
        isOnline(view.get({ kind: "ZoneInsight", mesh: "", name: resource.name })))
        ? [{ path: "zone", message: "unable to delete Zone, Zone CP is still connected, please shut it down first" }]
        : [];
    case "Secret":
      return secretInUseIssues(view, resource);
  }
  return [];
}

/** The kind of what is recorded about a kind's resources, under the same name. */
export const insightKinds: Readonly<Record<string, string>> = {
  Dataplane: "DataplaneInsight",
  ZoneIngress: "ZoneIngressInsight",
  ZoneEgress: "ZoneEgressInsight",
  Zone: "ZoneInsight",
};

/** What is deleted with a resource, in the same transaction: a mesh's contents, a proxy's insight, what a zone sent. */
export function dependents({ kind, mesh, name }: Resource, all: Iterable<Resource>): ResourceId[] {
  const insight = insightKinds[kind];
  const own = insight === undefined ? [] : [{ kind: insight, mesh, name }];
  if (kind === "Zone") return [...own, ...[...all].filter((other) => isSentBy(name, other))];
  return kind === "Mesh" ? [...all].filter((other) => other.mesh === name) : own;
}

const isSentBy = (zone: string, { labels }: Resource): boolean =>
  labels[label.zone] === zone && labels[label.origin] === "zone";

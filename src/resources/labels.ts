// Labels that a control plane sets on what comes to it through its API or from its proxies (interop 1.5). What users wrote
// stays; what says whose a resource is can't be changed afterwards. Universal only.

import type { Issue } from "#lib/issue.ts";
import type { Kind } from "#resources/kind.ts";
import { type Labels, label, type Resource } from "#resources/resource.ts";

/** Which control plane this is. A zone without a global control plane is not federated: it may write everything. */
export type Place =
  | { readonly kind: "global" }
  | { readonly kind: "zone"; readonly zone: string; readonly isFederated: boolean };

/** The resource's labels, with those that this place adds where they are absent. */
export function completeLabels(place: Place, kind: Kind, resource: Resource): Labels {
  const { labels } = resource;
  const origin = labels[label.origin] ?? (place.kind === "zone" && kind.sync.writtenOnZone ? "zone" : undefined);
  return {
    ...(kind.scope === "Mesh" && { [label.mesh]: resource.mesh }),
    ...(origin !== undefined && { [label.origin]: origin }),
    ...(place.kind === "zone" && origin === "zone" && zoneLabels(place.zone, kind)),
    ...labels,
    ...(kind.name === "Dataplane" && { [label.proxyType]: isGateway(resource) ? "gateway" : "sidecar" }),
  };
}

/** Zone proxies carry no labels in their own zone but what users give them. */
const zoneLabels = (zone: string, kind: Kind): Labels =>
  kind.name === "ZoneIngress" || kind.name === "ZoneEgress"
    ? { [label.zone]: zone }
    : { [label.zone]: zone, [label.env]: "universal" };

function isGateway(dataplane: Resource): boolean {
  const networking = dataplane.spec.networking;
  return typeof networking === "object" && networking !== null && "gateway" in networking;
}

const immutable = [label.origin, label.zone, label.displayName];

/** `after` must keep the labels of `before` that say whose the resource is; adding one is allowed. */
export function immutableLabelIssues(before: Labels, after: Labels): Issue[] {
  return immutable.flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    if (was === undefined || was === is) return [];
    const what = is === undefined ? `removed (was "${was}")` : `changed from "${was}" to "${is}"`;
    return [{ path: labelPath(name), message: `is immutable, cannot be ${what}` }];
  });
}

/** `labels["kuma.io/origin"]` */
export const labelPath = (name: string): string => `labels[${JSON.stringify(name)}]`;

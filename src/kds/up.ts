// Zone → global: what a zone sends, and in which form (interop 4.6.1, 4.6.2).

import type { Outgoing } from "#kds/audience.ts";
import { itemOf } from "#kds/codec.ts";
import { wireNameOf, withHashedName } from "#kds/name.ts";
import { emptyStatusOf, isHeldBack } from "#kds/sharing.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { type Labels, label, type Resource } from "#resources/resource.ts";

/** `undefined`: it stays in the zone. What came from global is not sent back. */
export function upward(kind: Kind, resource: Resource, zone: string): Outgoing | undefined {
  const origin = resource.labels[label.origin] ?? "zone";
  if (!kind.sync.zoneToGlobal || isHeldBack(resource) || origin !== "zone") return undefined;
  const sent = withHashedName({
    ...resource,
    labels: {
      ...labelsOf(resource.labels, zone),
      ...(kind.name === "ZoneIngress" && { [label.answersProbes]: "true", [label.namesPorts]: "true" }),
    },
    spec: withoutGenerations(resource),
    ...(kind.hasStatus && { status: resource.status ?? emptyStatusOf(kind) }),
  });
  return { item: itemOf(kind, sent), needs: [] };
}

/** As global knows it. */
export const nameUp = ({ name, mesh, labels }: Pick<Resource, "name" | "mesh" | "labels">, zone: string): string =>
  wireNameOf(withHashedName({ name, mesh, labels: labelsOf(labels, zone) }));

function labelsOf({ [label.deletionStarted]: _, ...labels }: Labels, zone: string): Labels {
  return { ...labels, [label.origin]: "zone", [label.zone]: zone };
}

/** A generation is a sign of life between instances of one zone; it would send every insight again and again. */
function withoutGenerations({ kind, spec }: Resource): JsonObject {
  if (!kind.endsWith("Insight") || !Array.isArray(spec.subscriptions)) return spec;
  const subscriptions = spec.subscriptions.map((subscription) => {
    if (!isObject(subscription)) return subscription;
    const { generation: _, ...rest } = subscription;
    return rest;
  });
  return { ...spec, subscriptions };
}

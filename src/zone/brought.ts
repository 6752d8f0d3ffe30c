// What becomes of a Dataplane that a proxy brings, before it is stored.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { JsonObject } from "#lib/json.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { type Resource, tag } from "#resources/resource.ts";

/** New requests go elsewhere. */
export function notReady(dataplane: Resource): Resource {
  const { networking = {} } = asDataplane(dataplane).spec;
  const inbound = (networking.inbound ?? []).map((one) => ({ ...one, state: "NotReady" }));
  return { ...dataplane, spec: { ...dataplane.spec, networking: { ...networking, inbound } } as JsonObject };
}

/** Every inbound says in which zone it is, and a gateway does (interop 4.6.2). */
export function withZoneTag(spec: DataplaneJson, zone: string): JsonObject {
  const { networking = {} } = spec;
  const tagged = (tags: Record<string, string> = {}) =>
    tags[tag.service] === undefined ? tags : { ...tags, [tag.zone]: zone };
  return {
    ...spec,
    networking: {
      ...networking,
      ...(networking.gateway && { gateway: { ...networking.gateway, tags: tagged(networking.gateway.tags) } }),
      ...(networking.inbound && { inbound: networking.inbound.map((one) => ({ ...one, tags: tagged(one.tags) })) }),
    },
  } as JsonObject;
}

// What a zone's ingress offers to other zones: for each mesh and set of tags the number of healthy instances, or of services
// outside the mesh (interop 7.6).

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngress_AvailableServiceJson, ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import { type Resource, tag } from "#resources/resource.ts";
import type { Pinned } from "#topology/external.ts";
import { isHealthy } from "#topology/inbound.ts";
import { externalOffered, keyOfOffered, portOffered, splitServiceKey, type Tags } from "#topology/provider.ts";

/** One healthy inbound of this zone, as it counts: a mesh and the full set of tags, in a text that is equal for equal sets. */
export function offeredBy(dataplane: Resource<DataplaneJson>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const inbound of dataplane.spec.networking?.inbound ?? []) {
    if (inbound.tags?.[tag.service] === undefined || !isHealthy(inbound)) continue;
    const key = keyOfTags(dataplane.mesh, inbound.tags);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

const keyOfTags = (mesh: string, tags: Tags): string =>
  JSON.stringify([mesh, Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1))]);

/** `counts`: by what `offeredBy` names. Sorted by mesh, then by tags, so that equal zones give equal lists. */
export const availableServices = (counts: ReadonlyMap<string, number>): readonly ZoneIngress_AvailableServiceJson[] =>
  [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, instances]) => {
      const [mesh, tags] = JSON.parse(key) as [string, [string, string][]];
      return { tags: Object.fromEntries(tags), instances, mesh };
    });

/** The same of what is outside the mesh, by service key. */
export function servicesOutside(outside: ReadonlyMap<string, Pinned>): readonly ZoneIngress_AvailableServiceJson[] {
  const counts = new Map<string, number>();
  const resources: string[] = [];
  for (const [of, { tags: all, isResource }] of outside) {
    const { mesh, service } = splitServiceKey(of);
    if (isResource) resources.push(of);
    else
      for (const tags of all) {
        const key = keyOfTags(mesh, { ...tags, [tag.service]: service });
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
  }
  return [
    ...availableServices(counts).map((one) => ({ ...one, externalService: true })),
    ...resources.sort().map(externalOffered),
  ];
}

/** Ports of services that are resources. `counts`: healthy instances, by service key. */
export const portsOffered = (counts: ReadonlyMap<string, number>): readonly ZoneIngress_AvailableServiceJson[] =>
  [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, instances]) => portOffered(key, instances));

/** What an ingress has offered before: nobody is told less because its Envoy has not been heard yet. */
export const servicesOf = ({ availableServices = [] }: ZoneIngressJson): readonly string[] =>
  availableServices.map(keyOfOffered);

/** The ingress with the services that it should offer. */
export const withAvailableServices = (
  ingress: Resource<ZoneIngressJson>,
  services: readonly ZoneIngress_AvailableServiceJson[],
): Resource<ZoneIngressJson> => {
  const { availableServices: _, ...spec } = ingress.spec;
  return { ...ingress, spec: services.length === 0 ? spec : { ...spec, availableServices: [...services] } };
};

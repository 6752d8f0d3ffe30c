// The collections of who provides what: instances of this zone, ingresses of others, services outside the mesh.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ExternalServiceJson } from "#gen/kuma/mesh/v1alpha1/externalservice_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { SecretJson } from "#gen/kuma/system/v1alpha1/secret_pb.ts";
import type { Graph, Read } from "#incremental/collection.ts";
import { hostPortText } from "#lib/address.ts";
import { entranceOf } from "#proxy/egress.ts";
import { meshExternals } from "#proxy/mesh-externals.ts";
import { serviceCollections } from "#proxy/service-collections.ts";
import type { Sources } from "#proxy/sources.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { externalReach, externalsOf } from "#topology/external.ts";
import { type MeshFacts, meshFactsOf } from "#topology/mesh.ts";
import {
  asDrained,
  instancesOf,
  isCounted,
  isSubset,
  type Mark,
  offersOf,
  type Provided,
  serviceKey,
  splitServiceKey,
  type Tags,
} from "#topology/provider.ts";
import { factsOfInstances, factsOfOffers, factsOutside, mergeFacts, type ServiceFacts } from "#topology/service.ts";

export function topologyCollections(graph: Graph, sources: Sources, zone: string) {
  const meshes = graph.derive("meshes", sources.of<MeshJson>("Mesh"), meshFactsOf);
  const { silent = graph.source<true>("no silent zones") } = sources;
  const ingresses = graph.derive("ingresses as met", sources.of<ZoneIngressJson>("ZoneIngress"), (ingress, read) =>
    read.one(silent, ingress.spec.zone ?? "") ? asDrained(ingress) : ingress,
  );
  const byTags = graph.group("offers by tags", ingresses, (ingress) => offersOf(ingress, zone));
  const services = serviceCollections(graph, { of: sources.of, ingresses, zone, byTags });
  const providedBy = (read: Read, dataplane: Resource<DataplaneJson>, mark: Mark | undefined): Provided => {
    // What a resource is called no tag is.
    const tagged = [...instancesOf(dataplane, mark)].filter(([key]) => !services.isResource(read, key));
    return new Map([...tagged, ...services.provided(read, dataplane, mark)]);
  };
  const provided = graph.derive("provided", sources.of<DataplaneJson>("Dataplane"), (dataplane, read, key) =>
    providedBy(read, dataplane, read.one(sources.marked, key)),
  );
  // They take what no other can.
  const departed = graph.derive("departed as provided", sources.departed, (dataplane, read) =>
    providedBy(read, dataplane, "doubtful"),
  );
  const instances = graph.group("instances", provided, (services) => services);
  /** Healthy instances of each port of a service that is a resource, by service key. */
  const portsForZones = graph.derive("instances of ports", services.ports, (_, read, key): number | undefined => {
    const all = [...(read.one(instances, key) ?? [])].filter(([dataplane]) =>
      isCounted(read.one(sources.marked, dataplane)),
    );
    const healthy = all.flatMap(([, own]) => own).filter(({ isHealthy }) => isHealthy);
    return healthy.length > 0 ? healthy.length : undefined;
  });
  const behindIngresses = graph.group(
    "instances behind ingresses",
    graph.union("provided or departed", provided, departed),
    (services) => services,
  );
  const offers = graph.union("offers", services.offers, byTags);
  const saidOutside = graph.group("offers outside the mesh", ingresses, (ingress) =>
    offersOf(ingress, zone, "outside"),
  );
  const entrances = graph.group("entrances of zones", ingresses, (ingress) => entranceOf(ingress, zone));
  const ingressesOfZones = graph.derive("ingresses of zones", entrances, (group) =>
    [...group.values()].map(hostPortText).sort(),
  );
  const externals = graph.group("external services", sources.of<ExternalServiceJson>("ExternalService"), externalsOf);
  const secrets = sources.of<SecretJson>("Secret");
  const external = graph.derive("external reach", externals, (group, read, key) => {
    const { mesh } = splitServiceKey(key);
    const { mtls, usesEgress = false } = read.one(meshes, mesh) ?? {};
    const from = { zone, usesEgress: mtls !== undefined && usesEgress };
    return externalReach(group.values(), from, (name) => read.one(secrets, keyOf({ mesh, name }))?.spec.data);
  });
  const resources = meshExternals(graph, sources, zone);
  const outside = graph.union("outside the mesh", resources, external);
  // Who is not the zone that a resource is pinned to has nothing to offer of it; tags are held against their zone by whoever takes them.
  const offersOutside = graph.derive("offers outside that count", saidOutside, (offers, read, key) => {
    const { resource } = read.one(outside, key) ?? {};
    const counted = [...offers].filter(([, offer]) => !resource || offer.zone === resource.zone);
    return counted.length > 0 ? new Map(counted) : undefined;
  });
  const isOfferedOutside = graph.derive("offered outside the mesh", offersOutside, (): true => true);
  const localFacts = graph.derive("local facts", instances, (group) => factsOfInstances(group.values()));
  const remoteFacts = graph.derive("remote facts", offers, (group) => factsOfOffers(group.values()));
  const facts = (read: Read, mesh: MeshFacts, service: string): ServiceFacts | undefined => {
    const key = serviceKey(mesh.name, service);
    const port = read.one(services.ports, key);
    // Other zones are reached over mTLS only.
    if (port) return { ...port, zones: mesh.mtls ? port.zones : [] };
    const found = read.one(outside, key);
    // Nobody inside can be what a resource says to be outside.
    const inside = found?.resource
      ? undefined
      : mergeFacts(read.one(localFacts, key), mesh.mtls && read.one(remoteFacts, key));
    return inside ?? (found && factsOutside(mesh, found, read.one(isOfferedOutside, key) === true));
  };
  /** Without an egress. */
  const cutOff = (read: Read, mesh: MeshFacts, service: string, subset: Tags): string | undefined => {
    const own = [...(read.one(instances, serviceKey(mesh.name, service))?.values() ?? [])].flat();
    if (own.some(({ isHealthy, tags }) => isHealthy && isSubset(subset, tags))) return undefined;
    const { zones = [], behindEgress } = facts(read, mesh, service) ?? {};
    const what = behindEgress ? "services outside" : "other zones";
    if (!behindEgress && zones.length === 0) return undefined;
    return `no way out of ${zone}: mesh ${mesh.name} reaches ${what} through a zone egress, and none is alive`;
  };
  /** Whether Dataplanes provide it, here or in another zone. */
  const isInside = (read: Read, key: string): boolean =>
    read.one(localFacts, key) !== undefined || read.one(remoteFacts, key) !== undefined;
  /** Of what is a resource. */
  const sniOf = (read: Read, key: string): string | undefined =>
    (read.one(services.ports, key) ?? read.one(outside, key))?.resource?.sni;
  const providers = { instances, behindIngresses, offers, offersOutside, entrances, ingressesOfZones };
  return { ...providers, portsForZones, multiZone: services.selected, meshes, outside, isInside, facts, cutOff, sniOf };
}

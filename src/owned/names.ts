// The names that a mesh has (interop 8.1): its services, wherever they are, and what VirtualOutbounds make of their tags. And what
// global says of their addresses.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ExternalServiceJson } from "#gen/kuma/mesh/v1alpha1/externalservice_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { VirtualOutboundJson } from "#gen/kuma/mesh/v1alpha1/virtual_outbound_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { ConfigJson } from "#gen/kuma/system/v1alpha1/config_pb.ts";
import type { Collection, Graph, Group } from "#incremental/collection.ts";
import type { HostPort } from "#lib/address.ts";
import { exceptionsOf } from "#owned/vips.ts";
import { isIp } from "#resources/address.ts";
import { externalAddress } from "#resources/external-service.ts";
import { kindNamed } from "#resources/kinds.ts";
import { label, type Resource, tag } from "#resources/resource.ts";
import { kriOf, zeroTime } from "#resources/rest.ts";
import { virtualNameOf } from "#resources/virtual-outbound.ts";
import { isOfResource, serviceKey, splitServiceKey, type Tags } from "#topology/provider.ts";
import {
  byKey,
  dnsName,
  domainsOf,
  type Exceptions,
  exceptionsConfig,
  exceptionsIn,
  exceptionsText,
  hostName,
  meshOfTable,
  type Names,
  serviceName,
  serviceOutbound,
  tableIn,
  type VipOutbound,
} from "#topology/vips.ts";

/** What a mesh's table of addresses is made from. */
export interface WantedVips {
  readonly names: Names;
  /** Absent: nobody says. */
  readonly exceptions: Exceptions | undefined;
}

type Of = <Spec>(kind: string) => Collection<Resource<Spec>>;

/** By mesh. Global has the Dataplanes of all zones, a zone its own, and of others what their ingresses lead to. */
export function wantedVips(graph: Graph, of: Of): Collection<WantedVips> {
  const own = graph.derive("services of dataplanes", of<DataplaneJson>("Dataplane"), servicesOfDataplane);
  const offered = graph.derive("services of ingresses", of<ZoneIngressJson>("ZoneIngress"), servicesOfIngress);
  const inDataplanes = graph.group("tags by service of dataplanes", own, (services) => services);
  const inIngresses = graph.group("tags by service of ingresses", offered, (services) => services);
  const outside = graph.group("external services with names", of<ExternalServiceJson>("ExternalService"), placeOutside);
  const all = graph.union(
    "services with names",
    graph.union(
      "own services and those outside",
      graph.derive("own services", inDataplanes, (): true => true),
      graph.derive("services outside", outside, (): true => true),
    ),
    graph.derive("offered services with names", inIngresses, (): true => true),
  );
  const virtual = graph.group("virtual outbounds by mesh", of<VirtualOutboundJson>("VirtualOutbound"), (one) => [
    [one.mesh, { name: one.name, spec: one.spec }] as const,
  ]);
  const named = graph.derive("names of services", all, (_, read, key) => {
    const { mesh, service } = splitServiceKey(key);
    const policies = [...(read.one(virtual, mesh)?.values() ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
    const sets =
      policies.length === 0 ? [] : [inDataplanes, inIngresses].flatMap((from) => setsIn(read.one(from, key)));
    // One that Dataplanes provide, too, is theirs.
    const places = read.one(inDataplanes, key) || read.one(inIngresses, key) ? undefined : read.one(outside, key);
    return places ? namesOutside(service, places.values()) : namesOf(service, sets, policies);
  });
  const ofResources = namesOfResources(graph, of);
  const byMesh = graph.group("names by mesh", named, (names, key) => [[splitServiceKey(key).mesh, names] as const]);
  const configs = of<ConfigJson>("Config");
  return graph.derive("wanted addresses", of<MeshJson>("Mesh"), ({ name: mesh, spec }, read): WantedVips => {
    // There the names are those of MeshServices (interop 8.2).
    const isLegacy = spec.meshServices?.mode !== "Exclusive";
    const config = read.one(configs, exceptionsConfig(mesh));
    // Not what this control plane hands down itself.
    const said = config?.labels[label.origin] === "global" ? config : undefined;
    const resources = [...(read.one(ofResources, mesh)?.values() ?? [])].map((key) => [key, []] as const);
    return {
      names: new Map([...(isLegacy ? merged([...(read.one(byMesh, mesh)?.values() ?? [])]) : []), ...resources]),
      exceptions: said && exceptionsIn(said.spec.config),
    };
  });
}

/** Their KRIs, by mesh: the same in every zone. */
function namesOfResources(graph: Graph, of: Of): Collection<Group<string>> {
  // By KRI already: keys of different kinds may be equal.
  const byKri = (kind: string) =>
    graph.group(`KRIs of ${kind}`, of(kind), (one) => [[`${one.mesh}/${vipKeyOf(one)}`, true as const]]);
  const all = graph.union(
    "KRIs of services",
    graph.union("KRIs of services of zones and outside", byKri("MeshExternalService"), byKri("MeshService")),
    byKri("MeshMultiZoneService"),
  );
  const kris = graph.derive("names of services that are resources", all, (_, __, key) => splitServiceKey(key).service);
  return graph.group("resources with addresses", kris, (kri, key) => [[splitServiceKey(key).mesh, kri] as const]);
}

/** In the table of its mesh. */
export const vipKeyOf = (resource: Resource<unknown>): string => kriOf(kindNamed(resource.kind), resource);

/** Sets of tags, each as a text that is equal for equal sets. */
type TagSets = ReadonlySet<string>;
const setOf = (tags: Tags): string => JSON.stringify(Object.entries(tags).sort(byKey));
const setsIn = (group: ReadonlyMap<string, TagSets> | undefined): readonly string[] =>
  [...(group?.values() ?? [])].flatMap((sets) => [...sets]);

function servicesOfDataplane({ mesh, spec }: Resource<DataplaneJson>): ReadonlyMap<string, TagSets> {
  const inbounds = (spec.networking?.inbound ?? []).filter(({ state }) => state !== "Ignored");
  return byService(inbounds.map(({ tags = {} }) => ({ mesh, tags })));
}

const servicesOfIngress = ({ spec }: Resource<ZoneIngressJson>): ReadonlyMap<string, TagSets> =>
  byService(
    (spec.availableServices ?? [])
      .filter((one) => !isOfResource(one))
      .map(({ mesh = "", tags = {} }) => ({ mesh, tags })),
  );

function byService(all: readonly { readonly mesh: string; readonly tags: Tags }[]): ReadonlyMap<string, TagSets> {
  const found = new Map<string, Set<string>>();
  for (const { mesh, tags } of all) {
    const service = tags[tag.service];
    if (service === undefined) continue;
    const key = serviceKey(mesh, service);
    found.set(key, (found.get(key) ?? new Set()).add(setOf(tags)));
  }
  return found;
}

/** Of an ExternalService. */
interface Place extends HostPort {
  readonly name: string;
  /** Its address is a name of its service, too. */
  readonly isNamed: boolean;
}

function placeOutside({ mesh, name, spec }: Resource<ExternalServiceJson>): readonly (readonly [string, Place])[] {
  const place = externalAddress(spec.networking?.address ?? "");
  const service = spec.tags?.[tag.service];
  if (!place || service === undefined) return [];
  const isNamed = !isIp(place.address) && spec.networking?.disableHostDNSEntry !== true;
  return [[serviceKey(mesh, service), { ...place, name, isNamed }]];
}

/** At its own port as at that of all services, by its name and by the server's. */
function namesOutside(service: string, places: Iterable<Place>): Names {
  const names = new Map<string, readonly VipOutbound[]>();
  const sorted = [...places].sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, address, port, isNamed } of sorted)
    for (const key of [serviceName(service), ...(isNamed ? [hostName(address)] : [])]) {
      const outbound = { port, tags: { [tag.service]: service }, origin: `external-service:${name}` };
      names.set(key, onePerPort([...(names.get(key) ?? []), outbound]));
    }
  return names;
}

interface Policy {
  readonly name: string;
  readonly spec: VirtualOutboundJson;
}

/** Of one service. A policy that makes the service's own name adds ports to it, and the name keeps its address. */
function namesOf(service: string, sets: readonly string[], policies: readonly Policy[]): Names {
  const own = serviceName(service);
  const names = new Map<string, readonly VipOutbound[]>([[own, [serviceOutbound(service)]]]);
  for (const { name, spec } of policies)
    for (const set of new Set(sets)) {
      const made = virtualNameOf(spec, Object.fromEntries(JSON.parse(set) as [string, string][]));
      if (!made) continue;
      const key = domainsOf(own).includes(made.host) ? own : dnsName(made.host);
      const { port, tags } = made;
      names.set(key, [...(names.get(key) ?? []), { port, tags, origin: `virtual-outbound:${name}` }]);
    }
  return names;
}

/** Several services may have a part in one name. Of two outbounds at one port the first is the one that is served, in an order that is always the same. */
function merged(all: readonly Names[]): Names {
  const names = new Map<string, readonly VipOutbound[]>();
  for (const some of all)
    for (const [name, outbounds] of some) names.set(name, [...(names.get(name) ?? []), ...outbounds]);
  return new Map([...names].map(([name, outbounds]) => [name, onePerPort(outbounds)]));
}

function onePerPort(outbounds: readonly VipOutbound[]): readonly VipOutbound[] {
  if (outbounds.length === 1) return outbounds;
  const order = ({ origin, tags }: VipOutbound): string => `${origin} ${setOf(tags)}`;
  const ports = new Map<number, VipOutbound>();
  for (const one of [...outbounds].sort((a, b) => (order(a) < order(b) ? -1 : 1)))
    if (!ports.has(one.port)) ports.set(one.port, one);
  return [...ports.values()].sort((a, b) => a.port - b.port);
}

/** On global: what zones are told of each mesh's table. To be put and deleted. */
export const vipExceptions = (graph: Graph, of: Of): Collection<Resource> =>
  graph.derive("exceptions of addresses", of<ConfigJson>("Config"), ({ name, spec }): Resource | undefined => {
    const mesh = meshOfTable(name);
    if (mesh === undefined) return undefined;
    const config = exceptionsText(exceptionsOf(mesh, tableIn(spec.config)));
    return {
      ...{ kind: "Config", mesh: "", name: exceptionsConfig(mesh), labels: {}, spec: { config } },
      ...{ creationTime: zeroTime, modificationTime: zeroTime },
    };
  });

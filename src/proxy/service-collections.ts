// The collections of MeshServices and MeshMultiZoneServices: which instances of this zone each port of them has, which ingresses lead to it
// in other zones, and what its clients must know of it.
//
//   MeshServices ─┬─► ports ─────────► facts of resources      one key for each port, as `resourceServiceName`
//                 ├─► selectors ─────► provided                by Dataplane
//                 └─► their zones ───► offers                  by service

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { hostPortText } from "#lib/address.ts";
import type { JsonObject } from "#lib/json.ts";
import { meshServiceIn } from "#policies/mesh-service.ts";
import { multiZoneSelections } from "#policies/multi-zone-selections.ts";
import {
  factsOfMultiZone,
  factsOfService,
  isOfOtherZone,
  keyOfPort,
  membershipsOf,
  multiZonePorts,
} from "#proxy/service-facts.ts";
import { keyOf, label, type Resource, tag } from "#resources/resource.ts";
import { handleOf, handlesOf, instancesAt, type Selector, selectorIn, selects } from "#topology/mesh-service.ts";
import {
  type Instance,
  isSubset,
  type Mark,
  type Provided,
  portsBehind,
  publicIngress,
  type RemoteOffer,
  serviceKey,
  type Tags,
} from "#topology/provider.ts";

export interface ServicesInput {
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** As they are met: silent ones drained. */
  readonly ingresses: Collection<Resource<ZoneIngressJson>>;
  readonly zone: string;
  /** What ingresses of other zones say that they lead to, by service key. */
  readonly byTags: Collection<Group<RemoteOffer>>;
}

interface Port {
  /** As `serviceKey`. */
  readonly keys: readonly string[];
  readonly target: number | string;
}

/** A MeshService of this zone, as far as its Dataplanes must know it. */
interface Selecting {
  readonly mesh: string;
  readonly selector: Selector;
  readonly ports: readonly Port[];
}

export function serviceCollections(graph: Graph, { of, ingresses, zone, byTags }: ServicesInput) {
  const services = of<JsonObject>("MeshService");
  const multiZone = of<JsonObject>("MeshMultiZoneService");
  const selected = multiZoneSelections(graph, of);
  const multiPorts = graph.derive("ports of MeshMultiZoneServices", multiZone, multiZonePorts);
  const joined = graph.derive("ports of all zones that MeshServices are in", services, (service, read, key) => {
    const all = read.one(selected, key);
    return (
      all &&
      membershipsOf(
        service,
        all.flatMap((one) => read.one(multiPorts, one) ?? []),
      )
    );
  });
  const members = graph.group("members of MeshMultiZoneServices", joined, (memberships) => memberships);

  const facts = graph.derive("facts of MeshServices", services, factsOfService);
  const multiFacts = graph.derive("facts of MeshMultiZoneServices", multiZone, (one, read) =>
    factsOfMultiZone(one, (key) => [...(read.one(members, key)?.values() ?? [])]),
  );
  const byKey = graph.union(
    "ports of services by key",
    graph.group("ports of MeshServices", facts, (ports) => ports),
    graph.group("ports of MeshMultiZoneServices by key", multiFacts, (ports) => ports),
  );
  // Two that another control plane sent may have one identity.
  const ports = graph.derive("ports of services", byKey, (group) => [...group].sort(byKeyOf)[0]?.[1]);

  /** Of each port, and of those that it is a part of. */
  const keysOf = (read: Read, service: Resource, port: number): readonly string[] => [
    keyOfPort(service, port),
    ...[...(read.one(joined, keyOf(service)) ?? [])].flatMap(([key, member]) => (member.port === port ? [key] : [])),
  ];
  const selecting = graph.derive("selectors of MeshServices", services, (service, read): Selecting | undefined => {
    const spec = isOfOtherZone(service) ? undefined : meshServiceIn(service);
    const selector = selectorIn(spec?.selector ?? {});
    if (!spec || !selector) return undefined;
    const ports = (spec.ports ?? []).map(({ port, targetPort = port }) => ({
      ...{ keys: keysOf(read, service, port), target: targetPort },
    }));
    return { mesh: service.mesh, selector, ports };
  });
  const byHandle = graph.group("MeshServices by selector", selecting, (one) => [
    [`${one.mesh} ${handleOf(one.selector)}`, one] as const,
  ]);
  const meshes = graph.group("meshes with selectors", selecting, ({ mesh }) => [[mesh, true as const]]);
  const anySelectors = graph.derive("meshes with any selectors", meshes, (): true => true);

  const entrances = graph.group("public ingresses of zones", ingresses, (ingress) => {
    const entrance = publicIngress(ingress, zone);
    return entrance ? [[entrance.zone, entrance] as const] : [];
  });
  const behind = graph.group("ports behind ingresses", ingresses, (ingress) => portsBehind(ingress, zone));
  const naming = graph.group("ingresses that name ports", ingresses, ({ spec, labels }) =>
    labels[label.namesPorts] === "true" ? [[spec.zone ?? "", true as const]] : [],
  );
  const named = graph.derive("zones that name ports", naming, (): true => true);
  /**
   * The ingresses of the service's zone that lead to a port of it, or may: who does not say so is met by tags (decision 30). What is said of
   * a port is the same for all services in it.
   */
  const leadingTo = (read: Read, service: Resource, tags: Tags): ((key: string) => Group<RemoteOffer>) => {
    const { mesh, labels } = service;
    const { [label.zone]: from = "" } = labels;
    if (read.one(named, from))
      return (key) => new Map([...(read.one(behind, key) ?? [])].filter(([, offer]) => offer.zone === from));
    const { [tag.service]: name, ...rest } = tags;
    const tagged = name === undefined ? undefined : read.one(byTags, serviceKey(mesh, name));
    const leading = offersWith(from, rest, tagged?.values() ?? []);
    const all = leading.length > 0 ? leading : [...(read.one(entrances, from)?.values() ?? [])];
    const own = new Map(all.map((one, i) => [`${keyOf(service)} ${i}`, one]));
    return () => own;
  };
  const remote = graph.derive("MeshServices of other zones", services, (service, read) => {
    const spec = isOfOtherZone(service) ? meshServiceIn(service) : undefined;
    if (spec?.state !== "Available") return undefined;
    const offersOfPort = leadingTo(read, service, spec.selector?.dataplaneTags ?? {});
    return new Map(
      (spec.ports ?? [])
        .flatMap(({ port }) => keysOf(read, service, port))
        .map((key) => [key, offersOfPort(key)] as const)
        .filter(([, all]) => all.size > 0),
    );
  });
  const offered = graph.group("ingresses of MeshServices", remote, (ports) => ports);
  const offers = graph.derive(
    "offers of MeshServices",
    offered,
    (group): Group<RemoteOffer> => new Map([...group.values()].flatMap((all) => [...all])),
  );

  return {
    ports,
    selected,
    /** By service key. */
    offers,
    isResource: (read: Read, key: string): boolean => isPortName(key) && read.one(ports, key) !== undefined,
    /** What a Dataplane gives to services that are resources. */
    provided(read: Read, dataplane: Resource<DataplaneJson>, mark: Mark | undefined): Provided {
      const { mesh } = dataplane;
      if (!read.one(anySelectors, mesh)) return new Map();
      const candidates = [...handlesOf(dataplane)].flatMap((handle) => [
        ...(read.one<Group<Selecting>>(byHandle, `${mesh} ${handle}`)?.values() ?? []),
      ]);
      // Several services of one zone may be parts of one of all zones: an instance is in it once.
      const found = new Map<string, Map<string, Instance>>();
      for (const { ports: own } of candidates.filter(({ selector }) => selects(selector, dataplane)))
        for (const { keys, target } of own)
          for (const instance of instancesAt(dataplane, target, mark))
            for (const key of keys) found.set(key, (found.get(key) ?? new Map()).set(hostPortText(instance), instance));
      return new Map([...found].map(([key, instances]) => [key, [...instances.values()]]));
    },
  };
}

const byKeyOf = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** What few tags say, so that for others nothing is looked up. */
const isPortName = (key: string): boolean => /_(msvc|mzsvc)_\d+$/.test(key);

/**
 * Those of the zone that say that they lead to instances with these tags: none does that is just starting, and they know how many there are.
 * `tagged`: what all ingresses say of the service.
 */
function offersWith(zone: string, tags: Tags, tagged: Iterable<RemoteOffer>): readonly RemoteOffer[] {
  return [...tagged].flatMap((offer) => {
    const instances = offer.entries
      .filter((entry) => isSubset(tags, entry.tags))
      .reduce((sum, entry) => sum + entry.instances, 0);
    return offer.zone === zone && instances > 0 ? [{ ...offer, entries: [{ tags: {}, instances }] }] : [];
  });
}

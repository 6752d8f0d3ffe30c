// The collections behind the egresses of this zone: all that other zones offer to meshes with mTLS, and each zone as a whole; and what
// the proxies of this zone know of its egresses.

import type { ZoneEgressJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { hostPortText } from "#lib/address.ts";
import { assignment } from "#proxy/assignment.ts";
import { type Bundle, bundleOf, type ProxyConfig } from "#proxy/bundle.ts";
import { completeIngresses, type Entrance, egressesDrafts, egressListenerDraft, zoneDrafts } from "#proxy/egress.ts";
import { type EgressExternalsInput, egressExternals } from "#proxy/egress-external-collections.ts";
import { toProxies } from "#proxy/evidence.ts";
import { type IngressTarget, ingressClusterDraft, ingressClusterName, ingressTargetsOf } from "#proxy/ingress.ts";
import type { secretCollections } from "#proxy/secret-collections.ts";
import type { Resource } from "#resources/resource.ts";
import { type Egress, egressCertificateKey, usedEgresses, type Ways } from "#topology/egress.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import { type Mark, type RemoteOffer, splitServiceKey, type Tags } from "#topology/provider.ts";
import { endpointsOf } from "#topology/service.ts";

export interface EgressInput {
  readonly zone: string;
  readonly meshes: Collection<MeshFacts>;
  readonly egresses: Collection<Resource<ZoneEgressJson>>;
  /** By service key. */
  readonly offers: Collection<Group<RemoteOffer>>;
  /** By zone. */
  readonly entrances: Collection<Group<Entrance>>;
  /** By service key. */
  readonly subsets: Collection<Group<readonly Tags[]>>;
  /** Of a service that is a resource, by its key. */
  readonly sniOf: (read: Read, key: string) => string | undefined;
  readonly secrets: Pick<ReturnType<typeof secretCollections>, "identities" | "trusts">;
  readonly outside: Pick<EgressExternalsInput, "outside" | "offersOutside" | "isInside" | "policies">;
}

export function egressCollections(graph: Graph, input: EgressInput) {
  const { zone, meshes, egresses, offers, entrances, subsets, secrets, sniOf } = input;
  const places = graph.derive("egress places", egresses, ({ spec }) =>
    (spec.zone || zone) === zone ? (spec.networking ?? {}) : undefined,
  );
  // A zone without an egress encodes nothing for one.
  const own = graph.group("egresses here", places, () => [[here, true as const]]);
  const isThere = graph.derive("egress is here", own, (): true => true);
  const external = egressExternals(graph, {
    ...{ ...input.outside, zone, meshes, subsets },
    isEgressHere: (read) => read.one(isThere, here) === true,
  });
  const hasIdentity = graph.derive("egresses with certificates", secrets.identities, (): true => true);
  const hasTrust = graph.derive("meshes with trust", secrets.trusts, (): true => true);
  /** What this egress can lead to: a chain waits for its secrets, and with it the listener. */
  const externalFor = (read: Read, egress: string) =>
    [...read.all(external.targets)]
      .filter(([key]) => {
        const { mesh } = splitServiceKey(key);
        return read.one(hasIdentity, egressCertificateKey(egress, mesh)) && read.one(hasTrust, mesh);
      })
      .sort(([a], [b]) => (a < b ? -1 : 1));
  const inside = graph.derive("egress targets", offers, (_, read, key): readonly IngressTarget[] | undefined => {
    const service = splitServiceKey(key);
    if (!read.one(isThere, here) || !read.one(meshes, service.mesh)?.mtls) return undefined;
    // Nobody inside can be what a resource says to be outside.
    if (read.one(input.outside.outside, key)?.resource) return undefined;
    return ingressTargetsOf(service, [...(read.one(subsets, key)?.values() ?? [])].flat(), sniOf(read, key));
  });
  const targets = graph.union("all egress targets", inside, external.elsewhere);
  const clusters = graph.derive("egress clusters", targets, (own) =>
    bundleOf(own.map((target) => ingressClusterDraft(target, toProxies))),
  );
  const assignments = graph.derive("egress assignments", targets, (own, read, key) => {
    const from = read.one(inside, key) ? offers : input.outside.offersOutside;
    const all = [...(read.one(from, key)?.values() ?? [])];
    return bundleOf(
      own.map((target) => {
        const name = ingressClusterName(target);
        const endpoints = endpointsOf({ localZone: zone, subset: target.subset, instances: [], offers: all });
        return { type: "endpoint", name, json: assignment(name, endpoints) };
      }),
    );
  });
  const ingresses = graph.derive("complete ingresses of zones", entrances, (group, read) =>
    read.one(isThere, here) ? completeIngresses(group.values()) : undefined,
  );
  const zones = graph.derive("zones behind egresses", ingresses, (all, _, other) => bundleOf(zoneDrafts(other, all)));
  const known = (read: Read) => ({
    services: [...read.all(targets)].sort(([a], [b]) => (a < b ? -1 : 1)),
    zones: [...read.all(ingresses)].sort(([a], [b]) => (a < b ? -1 : 1)),
  });
  const listeners = graph.derive("egress listeners", places, (place, read, name): Bundle => {
    const { services, zones: others } = known(read);
    const all = services.flatMap(([, own]) => own);
    const names = others.map(([other]) => other);
    const outside = externalFor(read, name).flatMap(([, own]) => own);
    return bundleOf([egressListenerDraft(name, zone, place, { services: all, zones: names, outside })]);
  });
  const waysWith = (read: Read, outside: Iterable<readonly [string, unknown]>): Ways => {
    const { services, zones: others } = known(read);
    return {
      services: [...new Set([...services, ...outside].map(([key]) => key))].sort(),
      zones: Object.fromEntries(others.map(([other, at]) => [other, at.map(hostPortText)])),
    };
  };
  /** What each egress of this zone leads to, by name. */
  const ways = graph.derive("egress ways", places, (_, read, name) => waysWith(read, externalFor(read, name)));
  /** What one is taken to lead to that has not said anything yet: its certificates come after it. */
  const assumed = graph.derive("assumed egress ways", places, (_, read) => waysWith(read, read.all(external.targets)));
  const configs = graph.derive("egress configs", listeners, (_, read, name): ProxyConfig => {
    const { services, zones: others } = known(read);
    const outside = externalFor(read, name);
    const meshesOutside = [...new Set(outside.map(([key]) => splitServiceKey(key).mesh))];
    return {
      shared: [],
      own: [
        { from: listeners, key: name },
        ...services.flatMap(([key]) => [
          { from: clusters, key },
          { from: assignments, key },
        ]),
        ...others.map(([key]) => ({ from: zones, key })),
        ...outside.map(([key]) => ({ from: external.bundles, key })),
        ...meshesOutside.flatMap((mesh) => [
          { from: secrets.identities, key: egressCertificateKey(name, mesh) },
          { from: secrets.trusts, key: mesh },
        ]),
      ],
    };
  });
  return {
    configs,
    ways,
    assumed,
    places,
    isThere,
    bundles: [clusters, assignments, zones, listeners, external.bundles],
  };
}

export interface EgressesInput {
  readonly zone: string;
  readonly own: Pick<ReturnType<typeof egressCollections>, "places" | "isThere" | "assumed">;
  /** By `markKey`. */
  readonly marked: Collection<Mark>;
  /** What Envoys of egresses have acknowledged, by name; absent: nothing said yet. */
  readonly served: Collection<Ways>;
}

/** The egresses of this zone, for its proxies. */
export function egressesAsMet(graph: Graph, { zone, own, marked, served }: EgressesInput) {
  const met = graph.derive("egresses as met", own.places, (place, read, name): Egress | undefined => {
    const mark = read.one(marked, egressMarkKey(name));
    const ways = read.one(served, name) ?? read.one(own.assumed, name);
    if (mark === "new" || mark === "refused" || !ways) return undefined;
    return { at: { address: place.address ?? "", port: place.port ?? 0 }, isMarked: mark !== undefined, ways };
  });
  const group = graph.group("egresses in use", met, (egress) => [[here, egress]]);
  const used = graph.derive("used egresses", group, (all) => usedEgresses(all.values()));
  const usable = graph.derive("egresses at all", used, (all): true | undefined => (all.length > 0 ? true : undefined));
  const bundles = graph.derive("cluster of egresses", own.isThere, (_, read) =>
    bundleOf(
      egressesDrafts(
        zone,
        (read.one(used, here) ?? []).map(({ at }) => at),
      ),
    ),
  );
  return {
    bundles,
    used: (read: Read): readonly Egress[] => read.one(used, here) ?? [],
    /** Whether there is any. */
    isAny: (read: Read): boolean => read.one(usable, here) === true,
    /** Of the cluster that leads to them; none where there is no egress at all. */
    clusterRefs: (read: Read) => (read.one(bundles, here) ? [{ from: bundles, key: here }] : []),
  };
}

const here = "here";

/** In `marked`, where Dataplanes are, too. */
export const egressMarkKey = (name: string): string => `ZoneEgress ${name}`;

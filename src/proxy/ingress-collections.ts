// The collections behind the ingresses of this zone: every service of a mesh with mTLS, as a target for other zones, and
// what these reach through the egresses of this one.

import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { hostPortText } from "#lib/address.ts";
import { assignment } from "#proxy/assignment.ts";
import { type Bundle, bundleOf, type Draft, type ProxyConfig } from "#proxy/bundle.ts";
import { toInstances as hop } from "#proxy/evidence.ts";
import {
  type IngressTarget,
  ingressClusterDraft,
  ingressClusterName,
  ingressListenerDraft,
  ingressTargetsOf,
} from "#proxy/ingress.ts";
import type { Resource } from "#resources/resource.ts";
import { type Egress, leadingOut } from "#topology/egress.ts";
import { type ExternalReach, type Pinned, pinnedHere } from "#topology/external.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import { type Instance, splitServiceKey, type Tags } from "#topology/provider.ts";
import { type Endpoint, endpointsOf } from "#topology/service.ts";

export interface IngressInput {
  readonly zone: string;
  readonly meshes: Collection<MeshFacts>;
  /** By service key; with those that have just departed. */
  readonly instances: Collection<Group<readonly Instance[]>>;
  readonly ingresses: Collection<Resource<ZoneIngressJson>>;
  readonly outside: {
    /** What this zone calls outside the mesh, by service key. */
    readonly reaches: Collection<ExternalReach>;
    readonly isInside: (read: Read, key: string) => boolean;
    readonly usedEgresses: (read: Read) => readonly Egress[];
  };
  /** The parts of services that routes lead to, by service key. */
  readonly subsets: Collection<Group<readonly Tags[]>>;
  /** Of a service that is a resource, by its key. */
  readonly sniOf: (read: Read, key: string) => string | undefined;
}

export function ingressCollections(graph: Graph, input: IngressInput) {
  const { zone, meshes, instances, ingresses, subsets, sniOf, outside } = input;
  const { usedEgresses } = outside;
  // What it offers is no part of what it listens with.
  const places = graph.derive("ingress places", ingresses, ({ spec }) =>
    isOfOtherZone(spec, zone) ? undefined : (spec.networking ?? {}),
  );
  // A zone without an ingress encodes nothing for one.
  const own = graph.group("ingresses here", places, () => [[here, true as const]]);
  const isThere = graph.derive("ingress is here", own, (): true => true);
  const partsOf = (read: Read, key: string): readonly Tags[] => [...(read.one(subsets, key)?.values() ?? [])].flat();
  /** What other zones reach through the egresses of this one, by service key (decision 26). */
  const pinned = graph.derive("outside for other zones", outside.reaches, (reach, read, key): Pinned | undefined => {
    const here = pinnedHere(reach, zone);
    if (!here || (!here.isResource && outside.isInside(read, key))) return undefined;
    const { mtls, usesEgress } = read.one(meshes, splitServiceKey(key).mesh) ?? {};
    const isThroughEgress = mtls && (usesEgress || here.isResource);
    return isThroughEgress && leadingOut(zone, usedEgresses(read), key).length > 0 ? here : undefined;
  });
  const toEgresses = graph.derive("ingress targets outside", pinned, (_, read, key) =>
    ingressTargetsOf(splitServiceKey(key), partsOf(read, key), sniOf(read, key)),
  );
  const toInstances = graph.derive(
    "ingress targets",
    instances,
    (_, read, key): readonly IngressTarget[] | undefined => {
      const service = splitServiceKey(key);
      if (!read.one(meshes, service.mesh)?.mtls || read.one(outside.reaches, key)?.resource) return undefined;
      return ingressTargetsOf(service, partsOf(read, key), sniOf(read, key));
    },
  );
  const targets = graph.union("all ingress targets", toInstances, toEgresses);
  const clusters = graph.derive("ingress clusters", targets, (own, read) =>
    read.one(isThere, here) ? bundleOf(own.map((target) => ingressClusterDraft(target, hop))) : undefined,
  );
  const assignments = graph.derive("ingress assignments", targets, (own, read, key): Bundle | undefined => {
    if (!read.one(isThere, here)) return undefined;
    if (!read.one(toInstances, key)) {
      const egresses = leadingOut(zone, usedEgresses(read), key);
      return bundleOf(own.map((target) => assigned(target, egresses)));
    }
    const providers = [...(read.one(instances, key)?.values() ?? [])];
    return bundleOf(own.map((target) => assignmentDraft(target, providers, zone)));
  });
  const listeners = graph.derive("ingress listeners", places, (place, read): Bundle => {
    const all = [...read.all(targets)].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, own]) => own);
    return bundleOf([ingressListenerDraft(zone, place, all)]);
  });
  /** What each ingress of this zone leads to, by name: service keys. */
  const services = graph.derive("ingress services", places, (_, read) => [...read.all(targets).keys()].sort());
  const configs = graph.derive("ingress configs", listeners, (_, read, name): ProxyConfig => {
    const services = [...read.all(targets).keys()].sort();
    return {
      shared: [],
      own: [
        { from: listeners, key: name },
        ...services.flatMap((key) => [
          { from: clusters, key },
          { from: assignments, key },
        ]),
      ],
    };
  });
  return { configs, services, listeners, pinned, bundles: [clusters, assignments, listeners] };
}

const here = "here";

/** Of an ingress in this zone. `instances`: by who provides them. */
export function assignmentDraft(
  target: IngressTarget,
  instances: readonly (readonly Instance[])[],
  zone: string,
): Draft {
  // Those that leave are there as long as they serve: another zone may still send to one when nobody else is left.
  const all = instances.map((own) =>
    own.flatMap((one) => {
      if (one.isHealthy) return [one];
      return one.isMarked ? [] : [{ ...one, isHealthy: true, isMarked: true }];
    }),
  );
  const endpoints = endpointsOf({ localZone: zone, subset: target.subset, instances: all, offers: [] });
  // Of one that departed and came back, only what it is now.
  const present = new Set(endpoints.filter((one) => !one.isMarked).map(hostPortText));
  const once = endpoints.filter((one) => !one.isMarked || !present.has(hostPortText(one)));
  return assigned(target, once);
}

function assigned(target: IngressTarget, endpoints: readonly Endpoint[]): Draft {
  const name = ingressClusterName(target);
  return { type: "endpoint", name, json: assignment(name, endpoints) };
}

const isOfOtherZone = ({ zone = "" }: ZoneIngressJson, localZone: string): boolean => zone !== "" && zone !== localZone;

// The endpoints of clusters: one assignment for all clients that see a service alike. Who has tags that a policy's affinity looks at has
// one with those of the same values (decision 18).

import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { assignment } from "#proxy/assignment.ts";
import { type Bundle, bundleOf } from "#proxy/bundle.ts";
import { type Client, needKey, placeKey, type Reach } from "#proxy/client.ts";
import type { Outbound, OutboundCluster, Sending } from "#proxy/outbound.ts";
import { type Egress, type EgressForm, leadingOut, throughEgresses } from "#topology/egress.ts";
import { localFirst, localityKey, relevantTags, together } from "#topology/locality.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import { type Instance, type RemoteOffer, serviceKey, type Tags } from "#topology/provider.ts";
import { endpointsOf, type ServiceFacts } from "#topology/service.ts";

export interface EndpointInput {
  readonly zone: string;
  readonly meshes: Collection<MeshFacts>;
  /** By service key. */
  readonly instances: Collection<Group<readonly Instance[]>>;
  readonly offers: Collection<Group<RemoteOffer>>;
  /** Of another zone, wherever they lead: as `hostPortText`. */
  readonly ingresses: Collection<readonly string[]>;
  readonly reaches: Collection<Reach>;
  /** By `needKey`. */
  readonly outbounds: Collection<Outbound>;
  /** Them and gateways. */
  readonly sending: Collection<Sending>;
  readonly usedEgresses: (read: Read) => readonly Egress[];
  readonly facts: (read: Read, mesh: MeshFacts, service: string) => ServiceFacts | undefined;
}

export type ClusterUse = Pick<OutboundCluster, "target" | "locality">;
/** What of a client its endpoints depend on. */
export type EndpointClient = Pick<Client, "mesh" | "egress" | "own">;

/** Whose endpoints an assignment has, for which clients. */
interface EndpointNeed extends ClusterUse {
  readonly mesh: string;
  readonly egress?: EgressForm;
  /** The client's tags that the locality looks at. */
  readonly own: Tags;
}

export function endpointCollections(graph: Graph, input: EndpointInput) {
  const { zone, meshes, instances, offers, ingresses, reaches, outbounds, sending, usedEgresses } = input;
  const uses = graph.derive("cluster uses", outbounds, ({ clusters }): readonly ClusterUse[] =>
    clusters.map(({ target, locality }) => ({ target, ...(locality && { locality }) })),
  );
  /** By name, each once: several services may lead to one cluster. */
  const usesOf = (reach: Reach, read: Read): readonly ClusterUse[] => {
    const byName = new Map(
      reach.outbounds.flatMap((outlet) =>
        (read.one(uses, needKey(reach, outlet)) ?? []).map((use) => [use.target.name, use] as const),
      ),
    );
    return [...byName.values()].sort((a, b) => (a.target.name < b.target.name ? -1 : 1));
  };
  const usual = graph.group("endpoint needs", sending, (sender) =>
    sender.clusters.filter(({ isComplete }) => !isComplete).map((use) => keyed(endpointNeed(sender, use))),
  );
  const near = graph.derive("endpoint needs of tags", reaches, (reach, read) =>
    reach.own
      ? usesOf(reach, read)
          .map((use) => endpointNeed(reach, use))
          .filter(({ own }) => Object.keys(own).length > 0)
      : undefined,
  );
  const all = graph.union(
    "all endpoint needs",
    usual,
    graph.group("endpoint needs by tags", near, (needs) => needs.map(keyed)),
  );
  const assignments = graph.derive("assignments", all, (group, read): Bundle | undefined => {
    const need = group.values().next().value;
    if (!need) return undefined;
    const { mesh, egress, target, own } = need;
    const service = serviceKey(mesh, target.service);
    const meshFacts = read.one(meshes, mesh);
    const { mtls, isLocalFirst = false } = meshFacts ?? {};
    const { behindEgress, resource } = (meshFacts && input.facts(read, meshFacts, target.service)) ?? {};
    if (behindEgress) {
      const json = assignment(target.name, leadingOut(zone, usedEgresses(read), service));
      return bundleOf([{ type: "endpoint", name: target.name, json }]);
    }
    // Of one that is a resource other zones always come second (interop 7.7).
    const locality = need.locality ?? (isLocalFirst || resource ? localFirst : together);
    const endpoints = endpointsOf({
      ...{ localZone: zone, subset: target.subset, locality, own },
      instances: read.one(instances, service)?.values() ?? [],
      offers: mtls ? (read.one(offers, service)?.values() ?? []) : [],
      ...(egress && {
        through: throughEgresses(egress, usedEgresses(read), service, (of) => read.one(ingresses, of) ?? []),
      }),
    });
    const json = assignment(target.name, endpoints, locality.overprovisioningFactor);
    return bundleOf([{ type: "endpoint", name: target.name, json }]);
  });
  return { assignments, usesOf };
}

/** Of the assignment that the client has for the cluster. */
export const endpointKeyOf = (client: EndpointClient, use: ClusterUse): string =>
  endpointKey(endpointNeed(client, use));

function endpointNeed({ mesh, egress, own = {} }: EndpointClient, { target, locality }: ClusterUse): EndpointNeed {
  const relevant = relevantTags(locality, own);
  return { mesh, ...(egress && { egress }), target, ...(locality && { locality }), own: relevant };
}

function endpointKey({ target, locality, own, ...place }: EndpointNeed): string {
  const key = `${placeKey(place)}/${target.name}`;
  return locality ? `${key}|${localityKey(locality, own)}` : key;
}

const keyed = (need: EndpointNeed) => [endpointKey(need), need] as const;

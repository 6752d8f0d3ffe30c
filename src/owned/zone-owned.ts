// What a zone's control plane keeps itself, as collections: the services its ingresses offer, what is known of its proxies,
// and the certificates that they want.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import {
  availableServices,
  offeredBy,
  portsOffered,
  servicesOf,
  servicesOutside,
  withAvailableServices,
} from "#owned/available-services.ts";
import { egressCertificates } from "#owned/egress-certificates.ts";
import { type ProxyStatus, proxyInsight, statusKey } from "#owned/proxy-insight.ts";
import { type WantedCertificate, wantedCertificate } from "#owned/wanted-certificate.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import type { Pinned } from "#topology/external.ts";
import { meshFactsOf } from "#topology/mesh.ts";
import { everyService, isCounted, keyOfOffered, type Mark } from "#topology/provider.ts";

export interface ZoneOwnedInput {
  readonly zone: string;
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** Proxies that do not serve yet, by key of the Dataplane. */
  readonly marked: Collection<Mark>;
  /**
   * Services that an ingress's Envoy has said it leads to, by name of the ZoneIngress; absent: it has not said anything yet. `everyService`: it
   * goes on with what it had.
   */
  readonly served: Collection<readonly string[]>;
  /** Healthy instances of each port of a service that is a resource, by service key. */
  readonly ports: Collection<number>;
  /** What the ingresses lead to outside the mesh, by service key. */
  readonly outside: Collection<Pinned>;
  /** Of connected proxies and those that have just left, by `statusKey`. */
  readonly statuses: Collection<ProxyStatus>;
}

export interface ZoneOwned {
  /** By key of the Dataplane, or as `egressCertificateKey`; only those whose proxy is there. */
  readonly wantedCertificates: Collection<WantedCertificate>;
  /** To be put when they change, never deleted. */
  readonly ingresses: Collection<Resource>;
  /** To be put and deleted. */
  readonly insights: Collection<Resource>;
}

export function zoneOwned(
  graph: Graph,
  { zone, of, marked, served, ports, outside, statuses }: ZoneOwnedInput,
): ZoneOwned {
  const dataplanes = of<DataplaneJson>("Dataplane");
  const meshes = graph.derive("mtls of meshes", of<MeshJson>("Mesh"), (mesh) => meshFactsOf(mesh).mtls);
  const known = graph.derive("known proxies", statuses, (): true => true);
  const wantedCertificates = graph.derive("wanted certificates", dataplanes, (dataplane, read) =>
    read.one(known, statusKey(dataplane)) ? wantedCertificate(dataplane, read.one(meshes, dataplane.mesh)) : undefined,
  );

  const all = graph.union(
    "all wanted certificates",
    wantedCertificates,
    egressCertificates(graph, { of, zone, meshes, known }),
  );

  const offered = graph.derive("offered", dataplanes, (dataplane, read, key) =>
    isCounted(read.one(marked, key)) ? offeredBy(dataplane) : undefined,
  );
  const offers = graph.group("offered services", offered, (counts) => counts);
  const counts = graph.derive("offered counts", offers, (group) => [...group.values()].reduce((sum, n) => sum + n, 0));
  const ingresses = graph.derive(
    "ingresses with services",
    of<ZoneIngressJson>("ZoneIngress"),
    (ingress, read, name): Resource<ZoneIngressJson> | undefined => {
      const isOwn = (ingress.spec.zone ?? "") === "" || ingress.spec.zone === zone;
      if (!isOwn) return undefined;
      const leadsTo = new Set(read.one(served, name) ?? servicesOf(ingress.spec));
      const all = [
        ...availableServices(read.all(counts)),
        ...servicesOutside(read.all(outside)),
        ...portsOffered(read.all(ports)),
      ];
      const services = leadsTo.has(everyService) ? all : all.filter((service) => leadsTo.has(keyOfOffered(service)));
      return withAvailableServices(ingress, services);
    },
  );

  // What a user deletes while its proxy is there, or away, is not shown any more.
  const isThere = (): true => true;
  const stored = {
    Dataplane: graph.derive("dataplanes that are there", dataplanes, isThere),
    ZoneIngress: graph.derive("ingresses that are there", of("ZoneIngress"), isThere),
    ZoneEgress: graph.derive("egresses that are there", of("ZoneEgress"), isThere),
  };
  const storedOf = (kind: string) =>
    kind === "ZoneIngress" || kind === "ZoneEgress" ? stored[kind] : stored.Dataplane;
  const insights = graph.derive("insights", statuses, (status, read) => {
    const key = keyOf(status.id);
    const isStored = read.one(storedOf(status.id.kind), key);
    return isStored && proxyInsight(status);
  });
  return { wantedCertificates: all, ingresses: ingresses as Collection<Resource>, insights };
}

// The certificates of egresses (interop 7.4): each ends the TLS of the meshes that it leads out of, as if it were a service of theirs.

import { egressService } from "#envoy/tls.ts";
import type { ZoneEgressJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import { statusKey } from "#owned/proxy-insight.ts";
import type { WantedCertificate } from "#owned/wanted-certificate.ts";
import { type Resource, tag } from "#resources/resource.ts";
import { egressCertificateKey } from "#topology/egress.ts";
import type { MtlsFacts } from "#topology/mesh.ts";

export interface EgressCertificatesInput {
  readonly zone: string;
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** By mesh. */
  readonly meshes: Collection<MtlsFacts>;
  /** Proxies that are there, by `statusKey`. */
  readonly known: Collection<true>;
}

/** By `egressCertificateKey`, for each mesh that has services outside. */
export function egressCertificates(
  graph: Graph,
  { zone, of, meshes, known }: EgressCertificatesInput,
): Collection<WantedCertificate> {
  const outside = graph.union(
    "services outside meshes",
    graph.derive("keys of external services", of("ExternalService"), ({ mesh }) => mesh),
    graph.derive("keys of mesh external services", of("MeshExternalService"), ({ mesh }) => mesh),
  );
  const byMesh = graph.group("services outside by mesh", outside, (mesh) => [[mesh, true]]);
  const leaving = graph.derive("meshes with services outside", byMesh, (_, read, mesh) => read.one(meshes, mesh));
  const wanted = graph.derive("certificates of egresses", of<ZoneEgressJson>("ZoneEgress"), (egress, read) => {
    const isHere = (egress.spec.zone || zone) === zone;
    if (!isHere || !read.one(known, statusKey(egress))) return undefined;
    return [...read.all(leaving)].map(
      ([mesh, { backend, certificateMs }]) =>
        [
          egressCertificateKey(egress.name, mesh),
          {
            ...{ mesh, backend, services: [egressService], tags: { [tag.service]: [egressService] } },
            validityMs: certificateMs,
          },
        ] as const,
    );
  });
  const each = graph.group("certificates of egresses by key", wanted, (all) => all);
  return graph.derive("each certificate of egresses", each, (group) => group.values().next().value);
}

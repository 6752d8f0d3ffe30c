// A mesh that had mTLS keeps it. A Mesh that says nothing of mTLS any more, whoever sent it, is acted on as it was before, until it
// carries the label that allows plaintext. Absence is never plaintext.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import type { Resource } from "#resources/resource.ts";
import { allowsPlaintext, meshFactsOf } from "#topology/mesh.ts";

/** What the Mesh said when it last had mTLS. */
export type PromisedMtls = NonNullable<MeshJson["mtls"]>;

export interface MtlsPromises {
  /** Meshes as they are acted on. */
  readonly meshes: Collection<Resource<MeshJson>>;
  /** To be remembered, by mesh; absent: what is remembered stays. */
  readonly made: Collection<PromisedMtls>;
  /** To be forgotten: of meshes that may be plaintext, or are gone with all their proxies. */
  readonly ended: Collection<true>;
  /** Meshes that have no mTLS any more and are held to it. */
  readonly held: Collection<true>;
}

export function mtlsPromises(
  graph: Graph,
  stored: Collection<Resource<MeshJson>>,
  dataplanes: Collection<Resource<DataplaneJson>>,
  promised: Collection<PromisedMtls>,
): MtlsPromises {
  const byMesh = graph.group("proxies by mesh", dataplanes, ({ mesh }, key) => [[mesh, key] as const]);
  const hasMtls = (mesh: Resource<MeshJson>): boolean => meshFactsOf(mesh).mtls !== undefined;
  const mayBePlaintext = (mesh: Resource<MeshJson>): boolean => hasMtls(mesh) || allowsPlaintext(mesh);
  return {
    meshes: graph.derive("meshes as promised", stored, (mesh, read, name) => {
      const mtls = read.one(promised, name);
      return !mtls || mayBePlaintext(mesh) ? mesh : { ...mesh, spec: { ...mesh.spec, mtls } };
    }),
    made: graph.derive("promises of mtls", stored, (mesh) => (hasMtls(mesh) ? mesh.spec.mtls : undefined)),
    ended: graph.derive("promises that end", promised, (_, read, name) => {
      const mesh = read.one(stored, name);
      const isOver = mesh ? allowsPlaintext(mesh) && !hasMtls(mesh) : (read.one(byMesh, name)?.size ?? 0) === 0;
      return isOver || undefined;
    }),
    held: graph.derive("meshes held to mtls", stored, (mesh, read, name) =>
      read.one(promised, name) && !mayBePlaintext(mesh) ? true : undefined,
    ),
  };
}

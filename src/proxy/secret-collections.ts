// The collections of what proxies get over SDS: the certificate of each, and what the proxies of a mesh trust.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { SecretJson } from "#gen/kuma/system/v1alpha1/secret_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import { type Bundle, bundleOf } from "#proxy/bundle.ts";
import { identityDraft, trustDraft } from "#proxy/secrets.ts";
import type { Sources } from "#proxy/sources.ts";
import { keyOf } from "#resources/resource.ts";
import { authoritiesOf, type MeshFacts, pemData } from "#topology/mesh.ts";

export function secretCollections(graph: Graph, sources: Sources, meshes: Collection<MeshFacts>) {
  const secrets = sources.of<SecretJson>("Secret");
  const identities = graph.derive("identities", sources.certificates, (issued) => bundleOf([identityDraft(issued)]));
  const authorities = graph.derive("authorities", sources.of<MeshJson>("Mesh"), (mesh, read) => {
    const { name, mtls } = read.one(meshes, mesh.name) ?? {};
    if (name === undefined || !mtls) return undefined;
    const secretData = (secret: string) => read.one(secrets, keyOf({ mesh: name, name: secret }))?.spec.data;
    const found = authoritiesOf(mesh).flatMap(({ backend, certificate }) => {
      const data = pemData(certificate, secretData);
      return data === undefined ? [] : [{ backend, data }];
    });
    // Without the one that signs, no certificate of this mesh would be believed.
    return found.some(({ backend }) => backend === mtls.backend) ? found : undefined;
  });
  const trusts = graph.derive("trusts", authorities, (found, _, mesh): Bundle => {
    const all = found.map(({ data }) => data);
    return bundleOf([trustDraft(mesh, all)]);
  });
  const trusted = graph.derive("trusted", authorities, (found) => found.map(({ backend }) => backend));
  return { identities, trusts, trusted };
}

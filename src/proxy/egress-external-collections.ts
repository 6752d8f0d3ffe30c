// The collections of what the egresses of this zone lead to outside the mesh, MeshExternalServices and ExternalServices
// of meshes with mTLS: those that this zone calls, and those that another one offers to call (decision 26).

import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { matchedPolicies } from "#policies/match.ts";
import type { Permissions } from "#policies/policy.ts";
import { applied } from "#proxy/applied.ts";
import { bundleOf } from "#proxy/bundle.ts";
import { type ExternalTarget, externalDrafts, externalTargetName } from "#proxy/egress-externals.ts";
import { type IngressTarget, ingressTargetsOf } from "#proxy/ingress.ts";
import type { Policies } from "#proxy/policy-collections.ts";
import { keyOf, tag } from "#resources/resource.ts";
import { type ExternalReach, isElsewhere } from "#topology/external.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import { type RemoteOffer, splitServiceKey, type Tags } from "#topology/provider.ts";

export interface EgressExternalsInput {
  readonly zone: string;
  readonly meshes: Collection<MeshFacts>;
  /** By service key. */
  readonly outside: Collection<ExternalReach>;
  /** Of other zones, by service key. */
  readonly offersOutside: Collection<Group<RemoteOffer>>;
  readonly isInside: (read: Read, key: string) => boolean;
  readonly isEgressHere: (read: Read) => boolean;
  readonly subsets: Collection<Group<readonly Tags[]>>;
  readonly policies: Policies;
}

export function egressExternals(graph: Graph, input: EgressExternalsInput) {
  const { zone, meshes, outside, offersOutside, isInside, isEgressHere, subsets, policies } = input;
  const permissionsOf = (read: Read, mesh: MeshFacts, service: string, reach: ExternalReach): Permissions => {
    // Who may call a resource is not said by policies (interop 7.8).
    if (reach.resource) return mesh.forbidsExternal ? nobody : anybody;
    const tags = { ...reach.endpoints[0]?.tags, [tag.service]: service };
    const proxy = {
      ...{ mesh: mesh.name, name: service, zone, labels: {}, isGateway: false },
      inbounds: [{ section: service, tags }],
    };
    const found = policies.candidates(read, mesh.name).find(({ kind }) => kind === permission)?.policies ?? [];
    const refs = matchedPolicies(found, proxy).map(({ policy, sections }) => ({
      ...{ kind: permission, key: keyOf(policy), sections },
    }));
    const says = applied(refs, (kind, key) => policies.one(read, kind, key));
    return says.inbound({ mesh: mesh.name, section: service }).permissions ?? nobody;
  };
  const partsOf = (read: Read, key: string): readonly Tags[] => [...(read.one(subsets, key)?.values() ?? [])].flat();
  const targets = graph.derive(
    "targets outside",
    outside,
    (reach, read, key): readonly ExternalTarget[] | undefined => {
      const { mesh: name, service } = splitServiceKey(key);
      const mesh = read.one(meshes, name);
      if (!isEgressHere(read) || !mesh?.mtls) return undefined;
      if (!reach.resource && isInside(read, key)) return undefined;
      const offers = [...(read.one(offersOutside, key)?.values() ?? [])];
      const parts = [{}, ...(reach.resource ? [] : partsOf(read, key))].filter(
        (part) => !isElsewhere(reach, offers, part),
      );
      if (parts.length === 0) return undefined;
      const permissions = permissionsOf(read, mesh, service, reach);
      const all = parts.map((subset) => ({ mesh: name, service, subset, reach, permissions }));
      return [...new Map(all.map((one) => [externalTargetName(one), one])).values()];
    },
  );
  const elsewhere = graph.derive(
    "targets that other zones call",
    offersOutside,
    (offers, read, key): readonly IngressTarget[] | undefined => {
      const service = splitServiceKey(key);
      if (!isEgressHere(read) || !read.one(meshes, service.mesh)?.mtls) return undefined;
      const reach = read.one(outside, key);
      if (!reach?.resource && isInside(read, key)) return undefined;
      const own = ingressTargetsOf(service, partsOf(read, key), reach?.resource?.sni).filter(({ subset }) =>
        isElsewhere(reach, offers.values(), subset),
      );
      return own.length > 0 ? own : undefined;
    },
  );
  const bundles = graph.derive("clusters and routes outside", targets, (own) => bundleOf(own.flatMap(externalDrafts)));
  return { targets, elsewhere, bundles };
}

const permission = "MeshTrafficPermission";
const nobody: Permissions = { rules: {} };
const anybody: Permissions = {
  rules: { policies: { [permission]: { permissions: [{ any: true }], principals: [{ any: true }] } } },
};

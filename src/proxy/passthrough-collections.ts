// What passes that is for no service of the mesh: shared by all proxies with the same ports for which the same policies are.

import type { Collection, Graph, Read } from "#incremental/collection.ts";
import type { PolicySpec } from "#policies/schema.ts";
import { applied } from "#proxy/applied.ts";
import { type Bundle, type BundleRef, bundleOf } from "#proxy/bundle.ts";
import type { Client, PolicyRef } from "#proxy/client.ts";
import { outboundPassthrough, type Transparent } from "#proxy/transparent.ts";
import type { Resource } from "#resources/resource.ts";
import type { MeshFacts } from "#topology/mesh.ts";

export interface PassthroughInput {
  readonly meshes: Collection<MeshFacts>;
  readonly clients: Collection<Client>;
  readonly transparents: Collection<Transparent>;
  policy(read: Read, kind: string, key: string): Resource<PolicySpec> | undefined;
}

/** As a whole it is the key. */
interface Passing {
  readonly mesh: string;
  readonly outbound: number;
  readonly ipv6: boolean;
  readonly policies: readonly PolicyRef[];
}

export function passthroughCollections(graph: Graph, { meshes, clients, transparents, policy }: PassthroughInput) {
  const passing = graph.derive("what passes", clients, (client, read, key): Passing | undefined => {
    const own = read.one(transparents, key);
    return own && { mesh: client.mesh, outbound: own.outbound, ipv6: own.ipv6, policies: client.ownPolicies };
  });
  const shared = graph.group("who lets the same pass", passing, (one) => [[JSON.stringify(one), one] as const]);
  const bundles = graph.derive("outbound passthroughs", shared, (group, read): Bundle | undefined => {
    const one = group.values().next().value;
    const mesh = one && read.one(meshes, one.mesh);
    if (!mesh) return undefined;
    const said = applied(one.policies, (kind, key) => policy(read, kind, key)).passthrough();
    return bundleOf(outboundPassthrough(one, said ?? { passthroughMode: mesh.passesOthers ? "All" : "None" }));
  });
  return {
    bundles,
    /** Nothing without a redirect. */
    refs(read: Read, proxy: string): readonly BundleRef[] {
      const one = read.one(passing, proxy);
      return one ? [{ from: bundles, key: JSON.stringify(one) }] : [];
    },
  };
}

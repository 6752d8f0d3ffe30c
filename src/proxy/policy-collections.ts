// The policies of the meshes, as proxies look them up.

import type { Collection, Graph, Read } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { policies } from "#policies/all.ts";
import { parsePolicy } from "#policies/policy.ts";
import type { PolicySpec } from "#policies/schema.ts";
import type { Resource } from "#resources/resource.ts";

/** By kind. */
interface PolicySources {
  of<Spec>(kind: string): Collection<Resource<Spec>>;
}

export type Policies = ReturnType<typeof policyCollections>;

/** Policies that are acted on, parsed once; what another control plane sent and this one can't read is left out. */
export function policyCollections(graph: Graph, sources: PolicySources) {
  const parsed = policies.map((policy) => {
    const { kind } = policy;
    const all = graph.derive(kind, sources.of<JsonObject>(kind), (resource) => parsePolicy(policy, resource));
    return { kind, all, byMesh: graph.group(`${kind} by mesh`, all, (one) => [[one.mesh, one] as const]) };
  });
  const of = (kind: string) => parsed.find((one) => one.kind === kind)?.all;
  return {
    // The kind says what the spec is: its schema made it.
    of: <Spec>(kind: string) => of(kind) as unknown as Collection<Resource<Spec>>,
    one(read: Read, kind: string, key: string): Resource<PolicySpec> | undefined {
      const from = of(kind);
      return from && read.one(from, key);
    },
    candidates: (read: Read, mesh: string) =>
      parsed.map(({ kind, byMesh }) => ({ kind, policies: [...(read.one(byMesh, mesh)?.values() ?? [])] })),
  };
}

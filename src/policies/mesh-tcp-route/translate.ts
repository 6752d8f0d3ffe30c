// MeshTCPRoute: to which backends the connections to a destination are split. A connection has nothing to choose a rule by, so there is one,
// of the policy that wins.

import { at, type Issue } from "#lib/issue.ts";
import type { Match } from "#policies/match.ts";
import { backendOf, backends, type Share } from "#policies/mesh-http-route/http-rule.ts";
import { type MeshTCPRoute, schema } from "#policies/mesh-tcp-route/schema.ts";
import { definePolicy } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";
import { backendRefIssues } from "#policies/target-ref.ts";
import { type Destination, toEntries } from "#policies/to.ts";

const namespaced: readonly TargetKind[] = ["Mesh", "MeshSubset", "MeshService", "MeshServiceSubset", "Dataplane"];

export const meshTcpRoute = definePolicy({
  kind: "MeshTCPRoute",
  schema,
  targets: {
    top: { system: [...namespaced, "MeshGateway"], namespaced },
    listenerTags: true,
    parts: ["to"],
    needsPart: false,
    to: (top) => (top === "MeshGateway" ? ["Mesh"] : ["MeshService", "MeshExternalService", "MeshMultiZoneService"]),
  },
  check: checkRoutes,
  translate: { split: (matches, destination) => tcpSplit(matches, destination) },
});

function checkRoutes(spec: MeshTCPRoute): readonly Issue[] {
  const isGateway = spec.targetRef?.kind === "MeshGateway";
  return (spec.to ?? []).flatMap(({ rules }, i) =>
    rules.flatMap(({ default: { backendRefs = [] } }, j): readonly Issue[] => {
      const path = ["spec", "to", i, "rules", j, "default", "backendRefs"];
      if (isGateway && backendRefs.length === 0)
        return [{ path: at(...path), message: "must have an item: a gateway has no destination of its own" }];
      return backendRefs.flatMap((ref, k) => backendRefIssues(ref, backends, [...path, k]));
    }),
  );
}

/** `undefined`: to the destination itself. */
export function tcpSplit(
  matches: readonly Match<MeshTCPRoute>[],
  destination: Destination,
): readonly Share[] | undefined {
  const said = toEntries(matches, destination).flatMap(({ entry, policy }) => {
    const refs = entry.rules[0]?.default.backendRefs ?? [];
    return refs.length === 0 ? [] : [refs.map((ref) => ({ ...backendOf(ref, policy), weight: ref.weight ?? 1 }))];
  });
  return said.at(-1);
}

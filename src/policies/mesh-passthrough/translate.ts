// MeshPassthrough as what may pass: `proxy/passthrough.ts` makes chains of it.

import { mergeConfs } from "#policies/merge.ts";
import { checkMatches } from "#policies/mesh-passthrough/check.ts";
import { schema } from "#policies/mesh-passthrough/schema.ts";
import { definePolicy } from "#policies/policy.ts";
import type { TargetKind } from "#policies/schema.ts";

const top: readonly TargetKind[] = ["Mesh", "MeshSubset", "Dataplane"];

export const meshPassthrough = definePolicy({
  kind: "MeshPassthrough",
  schema,
  targets: { top: { system: top, namespaced: top }, listenerTags: false, parts: [], needsPart: false },
  check: checkMatches,
  translate: {
    // Without a mode nothing passes: Kuma's default.
    passthrough: (matches) => mergeConfs(matches.flatMap(({ policy }) => policy.spec.default ?? [])),
  },
});

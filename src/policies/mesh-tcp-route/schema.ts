// MeshTCPRoute: where connections to a destination go.

import { z } from "zod";
import { backendRef, type SpecOf, targetRef } from "#policies/schema.ts";

const rule = z.object({ default: z.object({ backendRefs: z.array(backendRef).optional() }) });

export const schema = z.object({
  targetRef: targetRef.optional(),
  to: z.array(z.object({ targetRef, rules: z.array(rule).max(1) })).optional(),
});
export type MeshTCPRoute = SpecOf<typeof schema>;

// MeshTrafficPermission: which clients may speak to an inbound.

import { z } from "zod";
import { clientMatch, type SpecOf, targetRef } from "#policies/schema.ts";

const clients = z.array(clientMatch).optional();

export const schema = z.object({
  targetRef: targetRef.optional(),
  from: z
    .array(z.object({ targetRef, default: z.object({ action: z.enum(["Allow", "Deny", "AllowWithShadowDeny"]) }) }))
    .optional(),
  rules: z
    .array(z.object({ default: z.object({ allow: clients, allowWithShadowDeny: clients, deny: clients }) }))
    .optional(),
});
export type MeshTrafficPermission = SpecOf<typeof schema>;

// MeshMultiZoneService: MeshServices of all zones under one name, by their labels (interop 3.5).

import { z } from "zod";
import type { Issue } from "#lib/issue.ts";
import { samePortIssues, servicePort } from "#policies/mesh-service.ts";
import { issuesOf, type SpecOf, sayMissing } from "#policies/schema.ts";
import type { Resource } from "#resources/resource.ts";

const schema = z.object({
  selector: z.object({ meshService: z.object({ matchLabels: z.record(z.string(), z.string()).optional() }) }),
  ports: z.array(servicePort).min(1),
});
export type MeshMultiZoneService = SpecOf<typeof schema>;

export function meshMultiZoneServiceIssues({ spec }: Pick<Resource, "spec">): readonly Issue[] {
  const parsed = schema.safeParse(spec, { error: sayMissing });
  return parsed.success ? samePortIssues(parsed.data.ports) : issuesOf(parsed.error);
}

/** `undefined` for one that does not fit, as another control plane may have sent it. */
export function meshMultiZoneServiceIn({ spec }: Pick<Resource, "spec">): MeshMultiZoneService | undefined {
  const parsed = schema.safeParse(spec);
  return parsed.success ? parsed.data : undefined;
}

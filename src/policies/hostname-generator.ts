// HostnameGenerator: which names services that are resources have (interop 8.2.1). Not a policy of the mesh, but written, checked and
// stored like all else that users write.

import { z } from "zod";
import type { Issue } from "#lib/issue.ts";
import { issuesOf, type SpecOf, sayMissing } from "#policies/schema.ts";
import { templateIssue } from "#resources/hostname-template.ts";
import type { Resource } from "#resources/resource.ts";

const selector = z.object({ matchLabels: z.record(z.string(), z.string()).optional() }).optional();
export const hostnameGeneratorSchema = z.object({
  template: z.string(),
  selector: z
    .object({ meshService: selector, meshExternalService: selector, meshMultiZoneService: selector })
    .optional(),
  extension: z.object({ type: z.string(), config: z.unknown().optional() }).optional(),
});
export type HostnameGenerator = SpecOf<typeof hostnameGeneratorSchema>;

export function hostnameGeneratorIssues({ spec }: Pick<Resource, "spec">): readonly Issue[] {
  const parsed = hostnameGeneratorSchema.safeParse(spec, { error: sayMissing });
  if (!parsed.success) return issuesOf(parsed.error);
  const message = parsed.data.extension ? undefined : templateIssue(parsed.data.template);
  return message === undefined ? [] : [{ path: "spec.template", message }];
}

/** `undefined` for one that does not fit, as another control plane may have sent it, or that an extension evaluates. */
export function hostnameGeneratorIn({ spec }: Pick<Resource, "spec">): HostnameGenerator | undefined {
  const parsed = hostnameGeneratorSchema.safeParse(spec);
  return parsed.success && !parsed.data.extension ? parsed.data : undefined;
}

// MeshService: a service of one zone that is a resource, with the proxies that it selects and the ports at which it is called (interop 3.5). Not
// a policy, but written, checked and stored like all else that users write.

import { z } from "zod";
import { at, type Issue } from "#lib/issue.ts";
import { issuesOf, type SpecOf, sayMissing } from "#policies/schema.ts";
import type { Resource } from "#resources/resource.ts";

const portNumber = z.int().min(1).max(65535);
const texts = z.record(z.string(), z.string());
export const servicePort = z.object({
  name: z.string().optional(),
  port: portNumber,
  appProtocol: z.string().optional(),
});
const schema = z.object({
  selector: z
    .object({
      dataplaneTags: texts.optional(),
      dataplaneLabels: z.object({ matchLabels: texts.optional() }).optional(),
      dataplaneRef: z.object({ name: z.string().optional() }).optional(),
    })
    .optional(),
  ports: z.array(servicePort.extend({ targetPort: z.union([portNumber, z.string()]).optional() })).optional(),
  // Of a mesh without mTLS Kuma writes `null`.
  identities: z.array(z.object({ type: z.enum(["ServiceTag", "SpiffeID"]), value: z.string() })).nullish(),
  state: z.enum(["Available", "Unavailable"]).optional(),
});
export type MeshService = SpecOf<typeof schema>;

export function meshServiceIssues({ spec }: Pick<Resource, "spec">): readonly Issue[] {
  const parsed = schema.safeParse(spec, { error: sayMissing });
  if (!parsed.success) return issuesOf(parsed.error);
  return samePortIssues(parsed.data.ports ?? []);
}

/** A port is called by its number, and referred to by its name. */
export function samePortIssues(ports: readonly SpecOf<typeof servicePort>[]): readonly Issue[] {
  const nameOf = ({ name, port }: SpecOf<typeof servicePort>): string => name || String(port);
  return ports.flatMap((one, i): readonly Issue[] => {
    const earlier = ports.slice(0, i);
    if (earlier.some(({ port }) => port === one.port))
      return [{ path: at("spec", "ports", i, "port"), message: `must not be used twice: ${one.port}` }];
    if (earlier.some((other) => nameOf(other) === nameOf(one)))
      return [{ path: at("spec", "ports", i, "name"), message: `must not be used twice: ${nameOf(one)}` }];
    return [];
  });
}

/** `undefined` for one that does not fit, as another control plane may have sent it. */
export function meshServiceIn({ spec }: Pick<Resource, "spec">): MeshService | undefined {
  const parsed = schema.safeParse(spec);
  return parsed.success ? parsed.data : undefined;
}

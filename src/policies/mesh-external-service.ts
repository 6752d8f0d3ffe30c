// MeshExternalService: a service outside the mesh that is a resource, with a port at which it is called (interop 3.5). Not a policy, but
// written, checked and stored like all else that users write.

import { z } from "zod";
import { at, type Issue } from "#lib/issue.ts";
import { issuesOf, type SpecOf, sayMissing } from "#policies/schema.ts";
import { addressIssues } from "#resources/address.ts";
import type { Resource } from "#resources/resource.ts";

const port = z.int().min(1).max(65535);
const dataSource = z.object({
  secret: z.string().optional(),
  inline: z.string().optional(),
  inlineString: z.string().optional(),
});
export const tlsVersions = ["TLSAuto", "TLS10", "TLS11", "TLS12", "TLS13"] as const;
const tlsVersion = z.enum(tlsVersions).optional();
export const verificationModes = ["SkipSAN", "SkipCA", "Secured", "SkipAll"] as const;
const verification = z.object({
  mode: z.enum(verificationModes).optional(),
  caCert: dataSource.optional(),
  clientCert: dataSource.optional(),
  clientKey: dataSource.optional(),
  serverName: z.string().optional(),
  subjectAltNames: z.array(z.object({ type: z.enum(["Exact", "Prefix"]).optional(), value: z.string() })).optional(),
});
const schema = z.object({
  match: z.object({
    type: z.enum(["HostnameGenerator"]).optional(),
    port,
    protocol: z.enum(["tcp", "grpc", "http", "http2"]).optional(),
  }),
  endpoints: z
    .array(z.object({ address: z.string().min(1), port, priority: z.int().min(0).max(128).optional() }))
    .optional(),
  tls: z
    .object({
      enabled: z.boolean().optional(),
      allowRenegotiation: z.boolean().optional(),
      version: z.object({ min: tlsVersion, max: tlsVersion }).optional(),
      verification: verification.optional(),
    })
    .optional(),
  extension: z.object({ type: z.string(), config: z.unknown().optional() }).optional(),
});
export type MeshExternalService = SpecOf<typeof schema>;

export function meshExternalServiceIssues({ spec }: Pick<Resource, "spec">): readonly Issue[] {
  const parsed = schema.safeParse(spec, { error: sayMissing });
  if (!parsed.success) return issuesOf(parsed.error);
  const { endpoints = [], extension, tls = {} } = parsed.data;
  const issues: Issue[] = endpoints.flatMap(({ address }, i) =>
    // A path is a Unix socket of the egress's machine, which only Kuma leads to.
    addressIssues(address, ["spec", "endpoints", i, "address"], "is required"),
  );
  if (endpoints.length === 0 && !extension)
    issues.push({ path: "spec.endpoints", message: "must have an item, or spec.extension must say who provides it" });
  const { min = "TLSAuto", max = "TLSAuto" } = tls.version ?? {};
  if (min !== "TLSAuto" && max !== "TLSAuto" && tlsVersions.indexOf(min) > tlsVersions.indexOf(max))
    issues.push({ path: "spec.tls.version.min", message: `must not be above max, which is ${max}` });
  return [...issues, ...verificationIssues(tls.verification ?? {})];
}

function verificationIssues(said: SpecOf<typeof verification>): readonly Issue[] {
  const path = ["spec", "tls", "verification"];
  const sources = [
    ["caCert", said.caCert],
    ["clientCert", said.clientCert],
    ["clientKey", said.clientKey],
  ] as const;
  const wrong = sources.flatMap(([name, source]): readonly Issue[] =>
    source && Object.values(source).filter((one) => one !== undefined).length !== 1
      ? [{ path: at(...path, name), message: "must have one of secret, inline (base64), inlineString" }]
      : [],
  );
  const halves = (["clientCert", "clientKey"] as const).filter((name) => said[name] === undefined);
  const [missing] = halves.length === 1 ? halves : [];
  return [...wrong, ...(missing ? [{ path: at(...path, missing), message: "is required with the other half" }] : [])];
}

/** `undefined` for one that does not fit, as another control plane may have sent it. */
export function meshExternalServiceIn({ spec }: Pick<Resource, "spec">): MeshExternalService | undefined {
  const parsed = schema.safeParse(spec);
  return parsed.success ? parsed.data : undefined;
}

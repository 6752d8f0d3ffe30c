// Which proxies want which certificate. The pure side says what is wanted; the shell issues; the result is a source.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { type Resource, tag } from "#resources/resource.ts";

/** All SANs follow from it (interop 7.4): `spiffe://<mesh>/<service>` for each service, `kuma://<tag>/<value>` for each tag and value. */
export interface WantedCertificate {
  readonly mesh: string;
  readonly backend: string;
  readonly services: readonly string[];
  readonly tags: Readonly<Record<string, readonly string[]>>;
  readonly validityMs: number;
}

export function wantedCertificate(
  dataplane: Resource<DataplaneJson>,
  mtls: { readonly backend: string; readonly certificateMs: number } | undefined,
): WantedCertificate | undefined {
  if (!mtls) return undefined;
  const { inbound = [], gateway } = dataplane.spec.networking ?? {};
  const tagSets = [...inbound.map(({ tags = {} }) => tags), gateway?.tags ?? {}];
  const values = new Map<string, Set<string>>();
  for (const tags of tagSets) {
    for (const [key, value] of Object.entries(tags)) values.set(key, (values.get(key) ?? new Set()).add(value));
  }
  const tags = Object.fromEntries(
    [...values].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, set]) => [key, [...set].sort()]),
  );
  return {
    mesh: dataplane.mesh,
    backend: mtls.backend,
    services: tags[tag.service] ?? [],
    tags,
    validityMs: mtls.certificateMs,
  };
}

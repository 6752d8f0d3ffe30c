// What comes with a mesh: the key that signs its proxies' tokens, and the authority of each built-in backend (interop 11.4,
// 7.4). The pure side says what is missing; the shell makes keys, as that takes randomness and time.

import type { CertificateAuthorityBackendJson, MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import { parseAge } from "#lib/duration.ts";
import { isObject } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";
import { authoritySecretNames } from "#topology/mesh.ts";

export type MissingKey =
  | { readonly kind: "signing-key"; readonly mesh: string }
  | {
      readonly kind: "authority";
      readonly mesh: string;
      readonly backend: string;
      readonly rsaBits: number | undefined;
      readonly validityMs: number | undefined;
    };

export const signingKeyPrefix = (mesh: string): string => `dataplane-token-signing-key-${mesh}`;

/** By mesh; absent where nothing is missing. */
export function missingKeys(
  graph: Graph,
  of: <Spec>(kind: string) => Collection<Resource<Spec>>,
): Collection<readonly MissingKey[]> {
  const secretNames = graph.group("secrets by mesh", of("Secret"), (secret) => [[secret.mesh, secret.name] as const]);
  return graph.derive("missing keys", of<MeshJson>("Mesh"), ({ name: mesh, spec }, read) => {
    const names = new Set(read.one(secretNames, mesh)?.values());
    const missing: MissingKey[] = [];
    if (![...names].some((name) => name.startsWith(signingKeyPrefix(mesh))))
      missing.push({ kind: "signing-key", mesh });
    for (const backend of spec.mtls?.backends ?? []) {
      const own = authoritySecretNames(mesh, backend.name ?? "");
      if (backend.type !== "builtin" || names.has(own.certificate) || names.has(own.privateKey)) continue;
      missing.push({ kind: "authority", mesh, backend: backend.name ?? "", ...authorityConf(backend) });
    }
    return missing.length === 0 ? undefined : missing;
  });
}

/** `conf.caCert` of a built-in backend (interop 2.7). */
function authorityConf({ conf }: CertificateAuthorityBackendJson) {
  const caCert = isObject(conf) && isObject(conf.caCert) ? conf.caCert : {};
  const bits = Number(caCert.RSAbits);
  const expiration = typeof caCert.expiration === "string" ? parseAge(caCert.expiration) : undefined;
  return { rsaBits: bits > 0 ? bits : undefined, validityMs: expiration };
}

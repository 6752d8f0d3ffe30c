// What the configuration of proxies depends on in a Mesh.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import { parseAge } from "#lib/duration.ts";
import type { Resource } from "#resources/resource.ts";

export interface MeshFacts {
  readonly name: string;
  /** Absent: plaintext, and no traffic between zones. */
  readonly mtls?: MtlsFacts;
  /** Other zones only take what this one cannot. */
  readonly isLocalFirst: boolean;
}
export interface MtlsFacts {
  readonly backend: string;
  readonly mode: "STRICT" | "PERMISSIVE";
  readonly certificateMs: number;
}

/** Long enough to outlast days without a control plane. */
const defaultCertificateMs = 7 * 86_400_000;

export function meshFactsOf(mesh: Resource<MeshJson>): MeshFacts {
  const { enabledBackend, backends = [] } = mesh.spec.mtls ?? {};
  const facts = { name: mesh.name, isLocalFirst: mesh.spec.routing?.localityAwareLoadBalancing === true };
  const backend = backends.find(({ name }) => name === enabledBackend);
  if (!enabledBackend || !backend) return facts;
  const expiration = parseAge(backend.dpCert?.rotation?.expiration ?? "");
  return {
    ...facts,
    mtls: {
      backend: enabledBackend,
      mode: backend.mode === "PERMISSIVE" ? "PERMISSIVE" : "STRICT",
      certificateMs: expiration || defaultCertificateMs,
    },
  };
}

/** Names of the Secrets of a built-in authority (interop 7.4). */
export const authoritySecretNames = (mesh: string, backend: string) => ({
  certificate: `${mesh}.ca-builtin-cert-${backend}`,
  privateKey: `${mesh}.ca-builtin-key-${backend}`,
});

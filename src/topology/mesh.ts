// What the configuration of proxies depends on in a Mesh.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import { parseAge } from "#lib/duration.ts";
import { isObject } from "#lib/json.ts";
import { label, type Resource } from "#resources/resource.ts";

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
  // One that is named but not listed is not plaintext: nothing can be issued, and proxies keep what they have.
  if (!enabledBackend) return facts;
  const expiration = parseAge(backend?.dpCert?.rotation?.expiration ?? "");
  return {
    ...facts,
    mtls: {
      backend: enabledBackend,
      mode: backend?.mode === "PERMISSIVE" ? "PERMISSIVE" : "STRICT",
      certificateMs: expiration || defaultCertificateMs,
    },
  };
}

/** Whether a mesh that had mTLS may be without. */
export const allowsPlaintext = ({ labels }: Pick<Resource, "labels">): boolean =>
  labels[label.allowPlaintext] === "yes";

export const allowPlaintextAdvice = `to let it speak plaintext, give the Mesh the label ${label.allowPlaintext}: "yes"`;

/** Names of the Secrets of a built-in authority (interop 7.4). */
export const authoritySecretNames = (mesh: string, backend: string) => ({
  certificate: `${mesh}.ca-builtin-cert-${backend}`,
  privateKey: `${mesh}.ca-builtin-key-${backend}`,
});

/** Where a text in PEM is: in a Secret of the mesh, or in the Mesh itself, base64. */
export type PemSource = { readonly secret: string } | { readonly inline: string };

/** An authority of a mesh; either part is absent where the Mesh does not say where it is. */
export interface AuthoritySources {
  readonly backend: string;
  readonly type: string;
  readonly certificate: PemSource | undefined;
  readonly privateKey: PemSource | undefined;
}

/** All authorities of a mesh, in its order. Proxies trust each; the enabled one signs. */
export const authoritiesOf = ({ name: mesh, spec }: Resource<MeshJson>): readonly AuthoritySources[] =>
  (spec.mtls?.backends ?? []).map(({ name: backend = "", type = "", conf }) => {
    const own = authoritySecretNames(mesh, backend);
    return type === "builtin"
      ? { backend, type, certificate: { secret: own.certificate }, privateKey: { secret: own.privateKey } }
      : { backend, type, certificate: pemSource(conf?.cert), privateKey: pemSource(conf?.key) };
  });

function pemSource(source: unknown): PemSource | undefined {
  if (!isObject(source)) return undefined;
  const { secret, inline, inlineString } = source;
  if (typeof secret === "string") return { secret };
  if (typeof inline === "string") return { inline };
  return typeof inlineString === "string" ? { inline: Buffer.from(inlineString).toString("base64") } : undefined;
}

/** Base64. `secretData`: of a Secret of the mesh, by name; absent where it is not there. */
export function pemData(
  source: PemSource | undefined,
  secretData: (name: string) => string | undefined,
): string | undefined {
  if (!source) return undefined;
  return "secret" in source ? secretData(source.secret) : source.inline;
}

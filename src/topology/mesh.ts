// What the configuration of proxies depends on in a Mesh.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import { parseAge } from "#lib/duration.ts";
import { sha256Hex } from "#lib/hash.ts";
import { isObject } from "#lib/json.ts";
import { isLabelValue } from "#resources/meta.ts";
import { type Labels, label, type Resource } from "#resources/resource.ts";

export interface MeshFacts {
  readonly name: string;
  /** Absent: plaintext, and no traffic between zones. */
  readonly mtls?: MtlsFacts;
  /** Other zones only take what this one cannot. */
  readonly isLocalFirst: boolean;
  /** Other zones are reached through an egress of the own one, and in no other way. */
  readonly usesEgress: boolean;
  /** MeshExternalServices are called by nobody. */
  readonly forbidsExternal: boolean;
  /** What an application calls outside the mesh passes its redirecting proxy. */
  readonly passesOthers: boolean;
  /** Proxies are sent those services that are resources which their `reachableBackends` name. */
  readonly onlyNamedBackends: boolean;
}
export interface MtlsFacts {
  /** That issues. */
  readonly backend: string;
  readonly mode: "STRICT" | "PERMISSIVE";
  readonly certificateMs: number;
}

/** Long enough to outlast days without a control plane. */
const defaultCertificateMs = 7 * 86_400_000;

export function meshFactsOf(mesh: Resource<MeshJson>): MeshFacts {
  const { enabledBackend, backends = [] } = mesh.spec.mtls ?? {};
  const { localityAwareLoadBalancing = false, zoneEgress = false, ...routing } = mesh.spec.routing ?? {};
  const facts = {
    ...{ name: mesh.name, isLocalFirst: localityAwareLoadBalancing, usesEgress: zoneEgress },
    forbidsExternal: routing.defaultForbidMeshExternalServiceAccess === true,
    passesOthers: mesh.spec.networking?.outbound?.passthrough !== false,
    onlyNamedBackends: mesh.spec.meshServices?.mode === "ReachableBackends",
  };
  const issuing = issuingBackendOf(mesh);
  // One that is named but not listed is not plaintext: nothing can be issued, and proxies keep what they have.
  if (issuing === undefined) return facts;
  const called = (wanted: string | undefined) => backends.find(({ name }) => name === wanted);
  const expiration = parseAge(called(issuing)?.dpCert?.rotation?.expiration ?? "");
  return {
    ...facts,
    mtls: {
      backend: issuing,
      mode: called(enabledBackend)?.mode === "PERMISSIVE" ? "PERMISSIVE" : "STRICT",
      certificateMs: expiration || defaultCertificateMs,
    },
  };
}

/** The backend that signs: the enabled one, but for as long as not everybody trusts that (decision 14). Absent without mTLS. */
export function issuingBackendOf({ labels, spec }: Pick<Resource<MeshJson>, "labels" | "spec">): string | undefined {
  const { enabledBackend, backends = [] } = spec.mtls ?? {};
  if (!enabledBackend) return undefined;
  const said = labels[label.issuingBackend];
  const before = said === undefined ? undefined : backends.find(({ name = "" }) => issuingLabelOf(name) === said);
  return before?.name ?? enabledBackend;
}

/** A backend may be called what no label may say. */
const issuingLabelOf = (backend: string): string => (isLabelValue(backend) ? backend : sha256Hex(backend).slice(0, 32));

/** Of a Mesh that is written: who issues goes on issuing, until all trust the one that is enabled now. `before`: as it is stored. */
export function issuingLabels(
  before: Resource<MeshJson> | undefined,
  { labels, spec }: Pick<Resource<MeshJson>, "labels" | "spec">,
): Labels {
  const { [label.issuingBackend]: _, ...others } = labels;
  const { enabledBackend, backends = [] } = spec.mtls ?? {};
  const issuing = before && issuingBackendOf(before);
  const goesOn = enabledBackend && issuing !== enabledBackend && backends.some(({ name }) => name === issuing);
  return goesOn && issuing !== undefined ? { ...others, [label.issuingBackend]: issuingLabelOf(issuing) } : others;
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

export function pemSource(source: unknown): PemSource | undefined {
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

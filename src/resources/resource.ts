// A resource: what users write, what proxies bring and what control planes keep. Immutable, in plain JSON.
//
//   HTTP/YAML form ⇄ Resource ⇄ KDS form          (`rest.ts`; kds/)
//
// The spec is what was written, unknown members included: the original is what is stored, shown and passed on.

import type { JsonObject } from "#lib/json.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Resource<Spec = JsonObject> {
  /** The kind's name, as in `kinds.ts`: `MeshTimeout`. */
  readonly kind: string;
  /** Empty for kinds of global scope. */
  readonly mesh: string;
  readonly name: string;
  readonly labels: Labels;
  /** Legacy kinds: protobuf's JSON form. Spec kinds: the JSON under `spec`. */
  readonly spec: Spec;
  readonly status?: JsonObject;
  /** Legacy kinds only: the spec's protobuf bytes as received, where they have fields that this version doesn't know. */
  readonly wire?: Uint8Array;
  /** Of one that another control plane sent: its version there, and which opening of its store sent it. Opaque; not content. */
  readonly sent?: { readonly version: string; readonly opening: string };
  /** RFC 3339, UTC; local to each store. */
  readonly creationTime: string;
  readonly modificationTime: string;
}

/** Identity within a kind: `mesh/name`, or `name` for kinds of global scope. Sorts by mesh, then name. */
export type Key = string;
export const keyOf = (id: { readonly mesh: string; readonly name: string }): Key =>
  id.mesh === "" ? id.name : `${id.mesh}/${id.name}`;
export function splitKey(key: Key): { readonly mesh: string; readonly name: string } {
  const slash = key.indexOf("/");
  return { mesh: key.slice(0, Math.max(slash, 0)), name: key.slice(slash + 1) };
}

/** Identity in a store. */
export interface ResourceId {
  readonly kind: string;
  readonly mesh: string;
  readonly name: string;
}
export const describeId = (id: ResourceId): string =>
  `${id.kind} "${id.name}"${id.mesh === "" ? "" : ` in mesh "${id.mesh}"`}`;

/** Labels with a meaning (interop 1.5). */
export const label = {
  mesh: "kuma.io/mesh",
  origin: "kuma.io/origin",
  zone: "kuma.io/zone",
  env: "kuma.io/env",
  displayName: "kuma.io/display-name",
  namespace: "k8s.kuma.io/namespace",
  policyRole: "kuma.io/policy-role",
  effect: "kuma.io/effect",
  kdsSync: "kuma.io/kds-sync",
  proxyType: "kuma.io/proxy-type",
  workload: "kuma.io/workload",
  managedBy: "kuma.io/managed-by",
  /** On what a zone made and nobody provides any more: since when, RFC 3339. Never sent. */
  deletionStarted: "kuma.io/deletion-grace-period-started-at",
  /** Ours: on a Mesh. */
  allowPlaintext: "kodiak.io/allow-plaintext",
  /** Ours: on a Mesh whose enabled backend is not trusted everywhere yet. The control plane's alone. */
  issuingBackend: "kodiak.io/issuing-backend",
  /** Ours: on a Zone, and on its ingresses in other zones: milliseconds since the epoch, as text. The control plane's alone. */
  drainedSince: "kodiak.io/drained-since",
  /** Ours: on an ingress of another zone that answers a probe (decision 27): `true`. Said by what its zone sends. */
  answersProbes: "kodiak.io/answers-probes",
  /** Ours: on an ingress of another zone that lists the ports it leads to (decision 30): `true`. Said by what its zone sends. */
  namesPorts: "kodiak.io/names-ports",
} as const;

/** Tags with a meaning (interop 11.5). */
export const tag = { service: "kuma.io/service", zone: "kuma.io/zone", protocol: "kuma.io/protocol" } as const;

export const displayNameOf = (resource: Pick<Resource, "labels" | "name">): string =>
  resource.labels[label.displayName] || resource.name;

// What stands in the way of a deletion, what goes with one, and secrets that a mesh refers to (interop 1.9).

import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonObject, type JsonValue } from "#lib/json.ts";
import { isOnline } from "#owned/online.ts";
import { label, type Resource, type ResourceId } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

/** A state to check against: the store's, or the one after a transaction that is being put together. */
export type View = Pick<Store, "get" | "list">;

/** `isConnected`: as a global control plane knows it, before it is written. */
export function deletionIssues(view: View, resource: Resource, isConnected?: (zone: string) => boolean): Issue[] {
  switch (resource.kind) {
    case "Mesh":
      return view.list("Dataplane").some((dataplane) => dataplane.mesh === resource.name)
        ? [{ path: "mesh", message: "unable to delete mesh, there are still some dataplanes attached" }]
        : [];
    case "Zone":
      return (isConnected?.(resource.name) ??
        isOnline(view.get({ kind: "ZoneInsight", mesh: "", name: resource.name })))
        ? [{ path: "zone", message: "unable to delete Zone, Zone CP is still connected, please shut it down first" }]
        : [];
    case "Secret":
      return secretIssues(view, resource);
  }
  return [];
}

function secretIssues(view: View, secret: Resource): Issue[] {
  const mesh = view.get({ kind: "Mesh", mesh: "", name: secret.mesh });
  const backend = mesh && backendsOf(mesh).find(({ secrets }) => secrets.some(({ name }) => name === secret.name));
  if (!backend) return [];
  return [
    {
      path: "name",
      message: `The secret "${secret.name}" that you are trying to remove is currently in use in Mesh "${secret.mesh}" in mTLS backend "${backend.name}". Please remove the reference from the "${backend.name}" backend before removing the secret.`,
    },
  ];
}

/** Secrets that a mesh names and that do not exist; those of builtin backends are made by the control plane. */
export function missingSecretIssues(view: View, mesh: Resource): Issue[] {
  return backendsOf(mesh).flatMap(({ type, secrets }, index) =>
    type !== "provided"
      ? []
      : secrets
          .filter(({ name }) => !view.get({ kind: "Secret", mesh: mesh.name, name }))
          .map(({ name, member }) => ({
            path: `mtls.backends[${index}].conf.${member}`,
            message: `could not load data: the Secret "${name}" in mesh "${mesh.name}" does not exist; apply it first, or in the same file`,
          })),
  );
}

interface Backend {
  readonly name: string;
  readonly type: string;
  readonly secrets: readonly { readonly name: string; readonly member: "cert" | "key" }[];
}

function backendsOf(mesh: Resource): Backend[] {
  const backends = member(mesh.spec.mtls, "backends");
  if (!Array.isArray(backends)) return [];
  return backends.filter(isObject).map((backend: JsonObject) => {
    const [name, type] = [String(backend.name), String(backend.type)];
    const secretOf = (part: "cert" | "key"): unknown =>
      type === "builtin"
        ? `${mesh.name}.ca-builtin-${part}-${name}`
        : member(member(member(backend, "conf"), part), "secret");
    const secrets = (["cert", "key"] as const).flatMap((part) => {
      const secret = secretOf(part);
      return typeof secret === "string" ? [{ name: secret, member: part }] : [];
    });
    return { name, type, secrets };
  });
}

const member = (value: JsonValue | undefined, name: string): JsonValue | undefined =>
  isObject(value) ? value[name] : undefined;

/** The kind of what is recorded about a kind's resources, under the same name. */
export const insightKinds: Readonly<Record<string, string>> = {
  Dataplane: "DataplaneInsight",
  ZoneIngress: "ZoneIngressInsight",
  ZoneEgress: "ZoneEgressInsight",
  Zone: "ZoneInsight",
};

/** What is deleted with a resource, in the same transaction: a mesh's contents, a proxy's insight, what a zone sent. */
export function dependents({ kind, mesh, name }: Resource, all: Iterable<Resource>): ResourceId[] {
  const insight = insightKinds[kind];
  const own = insight === undefined ? [] : [{ kind: insight, mesh, name }];
  if (kind === "Zone") return [...own, ...[...all].filter((other) => isSentBy(name, other))];
  return kind === "Mesh" ? [...all].filter((other) => other.mesh === name) : own;
}

const isSentBy = (zone: string, { labels }: Resource): boolean =>
  labels[label.zone] === zone && labels[label.origin] === "zone";

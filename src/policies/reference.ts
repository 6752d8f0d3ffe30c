// What a targetRef refers to. A name is looked up in the zone and namespace of the policy that says it; labels find their
// resource wherever it comes from (interop 3.2.1, 3.3).

import type { TargetRef } from "#policies/schema.ts";
import { displayNameOf, type Labels, label, type Resource } from "#resources/resource.ts";

/** What names a resource across zones: the parts of its KRI (interop 1.3). */
export interface Identity {
  readonly name: string;
  readonly namespace: string;
  readonly zone: string;
  readonly labels: Labels;
}

export const identityOf = (resource: Pick<Resource, "labels" | "name">): Identity => ({
  name: displayNameOf(resource),
  namespace: resource.labels[label.namespace] ?? "",
  zone: resource.labels[label.zone] ?? "",
  labels: resource.labels,
});

/** A reference with neither name nor labels is to every resource of its kind. */
export function refersTo(ref: Ref, target: Identity, from: Pick<Resource, "labels">): boolean {
  const { name, labels = {} } = ref;
  if (!Object.entries(labels).every(([key, value]) => target.labels[key] === value)) return false;
  if (name === undefined) return true;
  return (
    target.name === name &&
    target.zone === (from.labels[label.zone] ?? "") &&
    target.namespace === (ref.namespace ?? from.labels[label.namespace] ?? "")
  );
}
type Ref = Pick<TargetRef, "name" | "namespace" | "labels">;

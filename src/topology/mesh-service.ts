// MeshServices and MeshMultiZoneServices as the proxies of a zone call them (interop 3.5, 7.7): a service by itself at each of its ports,
// whose instances are chosen by a selector and whose certificates it names.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import { kindNamed } from "#resources/kinds.ts";
import { displayNameOf, type Labels, label, type Resource, tag } from "#resources/resource.ts";
import { sectionOf } from "#topology/inbound.ts";
import { type Instance, instanceOf, isSubset, type Mark, servedInbounds, type Tags } from "#topology/provider.ts";

/** What policies call a port of it, and whom a client must find there. */
export interface ServiceResource {
  readonly kind: "MeshService" | "MeshMultiZoneService";
  readonly name: string;
  readonly namespace: string;
  /** Empty for one of all zones. */
  readonly zone: string;
  readonly labels: Labels;
  /** Name of the port, else its number. */
  readonly section: string;
  readonly sni: string;
  /** SPIFFE ids, sorted, one of which its proxies have; none: any of the mesh. */
  readonly identities: readonly string[];
}

/** What stands for a port of a service that is a resource where others have the tag: `default_backend__east_msvc_80` (interop 7.2). */
export function resourceServiceName(
  resource: Pick<Resource<unknown>, "kind" | "mesh" | "name" | "labels">,
  port: number,
): string {
  const { kind, mesh, labels } = resource;
  const [namespace = "", zone = ""] = [labels[label.namespace], labels[label.zone]];
  return [mesh, displayNameOf(resource), namespace, zone, kindNamed(kind).short, port].join("_");
}

/** Which Dataplanes of a zone. */
export type Selector =
  | { readonly by: "name"; readonly name: string }
  | { readonly by: "tags"; readonly tags: Tags }
  | { readonly by: "labels"; readonly labels: Labels };

export interface SelectorSpec {
  readonly dataplaneRef?: { readonly name?: string | undefined } | undefined;
  readonly dataplaneTags?: Tags | undefined;
  readonly dataplaneLabels?: { readonly matchLabels?: Labels | undefined } | undefined;
}

/** Of several the first counts; `undefined`: it selects nothing. */
export function selectorIn({ dataplaneRef, dataplaneTags, dataplaneLabels }: SelectorSpec): Selector | undefined {
  if (dataplaneRef?.name) return { by: "name", name: dataplaneRef.name };
  if (dataplaneTags) return isEmpty(dataplaneTags) ? undefined : { by: "tags", tags: dataplaneTags };
  const labels = dataplaneLabels?.matchLabels ?? {};
  return isEmpty(labels) ? undefined : { by: "labels", labels };
}

const isEmpty = (record: object): boolean => Object.keys(record).length === 0;

type Dataplane = Resource<DataplaneJson>;

/** A selector is looked for at one text, which each Dataplane that it may select has among its own. */
export function handleOf(selector: Selector): string {
  if (selector.by === "name") return `name ${selector.name}`;
  const pairs = Object.entries(selector.by === "tags" ? selector.tags : selector.labels).sort();
  // One that many proxies have is a poor handle.
  const [key, value] = pairs.find(([name]) => name === tag.service) ?? pairs.at(-1) ?? ["", ""];
  return `${selector.by} ${key}=${value}`;
}

export function handlesOf({ name, labels, spec }: Dataplane): ReadonlySet<string> {
  const pairs = (by: string, all: Labels) => Object.entries(all).map(([key, value]) => `${by} ${key}=${value}`);
  const tags = servedInbounds(spec).flatMap((inbound) => pairs("tags", inbound.tags ?? {}));
  return new Set([`name ${name}`, ...tags, ...pairs("labels", labels)]);
}

/** Each pair of tags must be on some inbound: which inbound is called is said by the port. */
export function selects(selector: Selector, { name, labels, spec }: Dataplane): boolean {
  switch (selector.by) {
    case "name":
      return selector.name === name;
    case "labels":
      return isSubset(selector.labels, labels);
    case "tags":
      return Object.entries(selector.tags).every(([key, value]) =>
        servedInbounds(spec).some(({ tags = {} }) => tags[key] === value),
      );
  }
}

/** `target`: the port of an inbound, or its name. */
export const instancesAt = (
  dataplane: Dataplane,
  target: number | string,
  mark: Mark | undefined,
): readonly Instance[] =>
  servedInbounds(dataplane.spec)
    .filter((inbound) => (typeof target === "number" ? inbound.port === target : sectionOf(inbound) === target))
    .map((inbound) => instanceOf(dataplane, inbound, mark));

// Services that are resources, as they are referred to: by the name that they have in this zone, by that which policies say, or by labels;
// with a number or a name for the port (interop 3.2, 7.1).

import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { meshExternalServiceIn } from "#policies/mesh-external-service.ts";
import { meshMultiZoneServiceIn } from "#policies/mesh-multi-zone-service.ts";
import { meshServiceIn } from "#policies/mesh-service.ts";
import { type Identity, identityOf, refersTo } from "#policies/reference.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { resourceServiceName } from "#topology/mesh-service.ts";

const kinds = ["MeshService", "MeshMultiZoneService", "MeshExternalService"] as const;
type CalledKind = (typeof kinds)[number];

export interface CalledResource extends Identity {
  readonly kind: CalledKind;
  readonly mesh: string;
  /** In this zone; of one that another control plane sent, with its hash. */
  readonly localName: string;
  /** Of several that have the labels of a reference the first is meant: the oldest. */
  readonly order: string;
  readonly ports: readonly CalledPort[];
}
export interface CalledPort {
  readonly port: number;
  /** Its name, else its number. */
  readonly section: string;
  /** As `resourceServiceName`. */
  readonly service: string;
}

export type CalledResources = Readonly<Record<CalledKind, Collection<CalledResource>>>;

export function calledResources(graph: Graph, of: <Spec>(kind: string) => Collection<Resource<Spec>>): CalledResources {
  const called = (kind: CalledKind) =>
    graph.derive(`called ${kind}`, of<JsonObject>(kind), (resource): CalledResource => {
      const { mesh, name, creationTime } = resource;
      const ports = portsOf(kind, resource).map(({ port, name: section }) => ({
        ...{ port, section: section || String(port), service: resourceServiceName(resource, port) },
      }));
      return { kind, mesh, ...identityOf(resource), localName: name, order: `${creationTime} ${name}`, ports };
    });
  return {
    MeshService: called("MeshService"),
    MeshMultiZoneService: called("MeshMultiZoneService"),
    MeshExternalService: called("MeshExternalService"),
  };
}

interface PortSpec {
  readonly port: number;
  readonly name?: string | undefined;
}

function portsOf(kind: CalledKind, resource: Resource): readonly PortSpec[] {
  switch (kind) {
    case "MeshService":
      return meshServiceIn(resource)?.ports ?? [];
    case "MeshMultiZoneService":
      return meshMultiZoneServiceIn(resource)?.ports ?? [];
    case "MeshExternalService": {
      const spec = meshExternalServiceIn(resource);
      return spec ? [spec.match] : [];
    }
  }
}

/** What a Dataplane or a policy says of a service. */
export interface ServiceRef {
  readonly kind?: string | undefined;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  readonly labels?: Labels | undefined;
  readonly port?: number | undefined;
  readonly sectionName?: string | undefined;
}

/** What a proxy with a redirect may call, as its Dataplane says. */
export interface Reachable {
  /** Absent: all services of the mesh. */
  readonly reachable?: readonly string[];
  /** Services that are resources; absent: all of the mesh. */
  readonly backends?: readonly ServiceRef[];
}

/** Whether a Dataplane of the zone means this by its name or labels. What is everybody's has its own name everywhere. */
export function isMeant(ref: ServiceRef, zone: string, resource: CalledResource): boolean {
  const { name, namespace = "", labels = {} } = ref;
  if (ref.kind !== resource.kind || !hasLabels(resource, labels)) return false;
  if (!name) return true;
  const isNear = resource.zone === "" || resource.zone === zone;
  return (name === resource.localName || (isNear && name === resource.name)) && matches(namespace, resource.namespace);
}

const matches = (wanted: string, has: string): boolean => wanted === "" || wanted === has;
const hasLabels = (resource: Identity, wanted: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => resource.labels[key] === value);

/** Of one with a single port that must not be said. */
export const portMeant = ({ port, sectionName }: ServiceRef, { kind, ports }: CalledResource): CalledPort | undefined =>
  ports.find((one) =>
    port !== undefined
      ? one.port === port
      : sectionName !== undefined
        ? one.section === sectionName
        : kind === "MeshExternalService",
  );

export interface FoundResources {
  /** The service that a Dataplane of this zone refers to; `undefined`: there is none. */
  forProxy(read: Read, mesh: string, ref: ServiceRef): string | undefined;
  /** The service that a policy refers to, whose names are those of its own zone and namespace. */
  forPolicy(read: Read, mesh: string, ref: ServiceRef, policy: Pick<Resource, "labels">): string | undefined;
}

/** So that a reference reads what it may mean, and nothing else. */
export function findResources(graph: Graph, called: CalledResources, zone: string): FoundResources {
  const indexes = new Map<string, Collection<Group<CalledResource>>>(
    kinds.map((kind) => [
      kind,
      graph.group(`${kind} by reference`, called[kind], (one) =>
        handlesOf(one).map((handle) => [`${one.mesh} ${handle}`, one]),
      ),
    ]),
  );
  const find = (read: Read, mesh: string, ref: ServiceRef, isThis: (one: CalledResource) => boolean) => {
    const index = indexes.get(ref.kind ?? "");
    const handle = handleOf(ref);
    if (!index || handle === undefined) return undefined;
    const all = [...(read.one(index, `${mesh} ${handle}`)?.values() ?? [])].filter(isThis);
    const [first] = all.sort((a, b) => (a.order < b.order ? -1 : 1));
    return first && portMeant(ref, first)?.service;
  };
  return {
    forProxy: (read, mesh, ref) => find(read, mesh, ref, (one) => isMeant(ref, zone, one)),
    forPolicy: (read, mesh, ref, policy) => find(read, mesh, ref, (one) => refersTo(ref, one, policy)),
  };
}

const handlesOf = ({ name, localName, labels }: CalledResource): readonly string[] => [
  ...new Set([name, localName].map((one) => `name ${one}`)),
  ...Object.entries(labels).map(([key, value]) => `label ${key}=${value}`),
];

function handleOf({ name, labels = {} }: ServiceRef): string | undefined {
  if (name) return `name ${name}`;
  const [first] = Object.entries(labels).sort();
  return first && `label ${first[0]}=${first[1]}`;
}

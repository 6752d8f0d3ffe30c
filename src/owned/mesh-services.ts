// The MeshServices that a zone makes of its Dataplanes (interop 8.2.2, decision 22).
//
//   Dataplanes ─► members, by service ─┬─► services        written at once
//   stored services ───────────────────┼─► their status    a record
//                                      └─► abandoned       deleted after a while

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { isEqual, isObject, type JsonObject } from "#lib/json.ts";
import { type ProxyStatus, statusKey } from "#owned/proxy-insight.ts";
import { type Key, keyOf, type Labels, label, type Resource, splitKey, tag } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { isHealthy, protocolOf, sectionOf } from "#topology/inbound.ts";
import { meshFactsOf } from "#topology/mesh.ts";
import { resourceServiceName } from "#topology/mesh-service.ts";
import { everyService, serviceKey } from "#topology/provider.ts";

export interface MeshServicesInput {
  readonly zone: string;
  of<Spec>(kind: string): Collection<Resource<Spec>>;
  /** By `statusKey`. */
  readonly statuses: Collection<ProxyStatus>;
  /**
   * Services that an ingress's Envoy has said it leads to, by name of the ZoneIngress; absent: it has not said anything yet. `everyService`: it
   * goes on with what it had.
   */
  readonly served: Collection<readonly string[]>;
}

export interface MeshServices {
  /** To be put, never deleted. */
  readonly wanted: Collection<Resource>;
  /** The same as they are stored, with the status that they should have, where it is another. To be put, never deleted. */
  readonly withStatus: Collection<Resource>;
  /** Those that nobody provides, or whose mesh wants none: as they are stored. */
  readonly abandoned: Collection<Resource>;
}

/** What a Dataplane gives to one service. */
interface Member {
  readonly ports: readonly JsonObject[];
  /** Values of `kuma.io/service`, of all its inbounds: its certificate has each. */
  readonly identities: readonly string[];
  readonly isHealthy: boolean;
}

/** What the status says of a proxy that is there. */
interface Connection {
  readonly isConnected: boolean;
  readonly hasCertificate: boolean;
}

const generator = "meshservice-generator";

/** Made by this zone. */
const isOwn = ({ labels }: Pick<Resource, "labels">): boolean =>
  labels[label.managedBy] === generator && labels[label.origin] !== "global";

export function meshServices(graph: Graph, { zone, of, statuses, served }: MeshServicesInput): MeshServices {
  const stored = of<JsonObject>("MeshService");
  const own = graph.derive("own MeshServices", stored, (service) => (isOwn(service) ? service.mesh : undefined));
  const byMesh = graph.group("own MeshServices by mesh", own, (mesh) => [[mesh, true as const]]);
  const kept = graph.derive("meshes that still have MeshServices", byMesh, (): true => true);
  const modes = graph.derive("meshes with MeshServices", of<MeshJson>("Mesh"), (mesh, read) => {
    const { mode = "Disabled" } = mesh.spec.meshServices ?? {};
    const makesNone = mode === "Disabled";
    // What is called goes on until it is deleted.
    if (makesNone && !read.one(kept, mesh.name)) return undefined;
    return { makesNone, hasMtls: meshFactsOf(mesh).mtls !== undefined };
  });
  const given = graph.derive("given to MeshServices", of<DataplaneJson>("Dataplane"), (dataplane, read) =>
    read.one(modes, dataplane.mesh) ? membersOf(dataplane) : undefined,
  );
  const members = graph.group("members of MeshServices", given, (services) => services);
  const connections = graph.derive("connections of proxies", statuses, ({ subscription, holds }): Connection => {
    const hasCertificate = holds?.certificate !== undefined;
    return { isConnected: subscription.disconnectedAt === undefined, hasCertificate };
  });

  const leading = graph.group("ingresses that lead to services", served, (keys) => [
    [anything, true] as const,
    ...keys.map((key) => [key, true as const] as const),
  ]);
  const isLed = graph.derive("services that ingresses lead to", leading, (): true => true);
  /** Other zones are told of it when they can come to it: the way is there before who takes it. */
  const isReached = (read: Read, service: Pick<Resource, "mesh" | "name" | "labels">, spec: JsonObject): boolean =>
    !read.one(modes, service.mesh)?.hasMtls ||
    !read.one(isLed, anything) ||
    read.one(isLed, everyService) ||
    portsIn(spec).every((port) => {
      const name = resourceServiceName({ kind: "MeshService", ...service }, port);
      return read.one(isLed, serviceKey(service.mesh, name));
    });

  const wanted = graph.derive("wanted MeshServices", members, (group, read, key): Resource | undefined => {
    const before = read.one(stored, key);
    if (before && !isOwn(before)) return undefined;
    const { mesh, name } = splitKey(key);
    const isEnding = read.one(modes, mesh)?.makesNone === true;
    if (isEnding && !before) return undefined;
    const labels = isEnding && before ? before.labels : labelsOf(mesh, name, zone);
    const found = specOf(name, group, before?.spec.ports);
    const had = before?.spec.state === "Available" ? portsIn(before.spec) : [];
    // A port more takes nothing from who calls the others.
    const isKnown = portsIn(found).some((port) => had.includes(port));
    const isReady = isKnown || isReached(read, { mesh, name, labels }, found);
    const spec = isReady ? found : { ...found, state: "Unavailable" };
    if (before && isEqual(before.labels, labels) && isEqual(before.spec, spec)) return undefined;
    const fresh = { kind: "MeshService", mesh, name, creationTime: zeroTime, modificationTime: zeroTime };
    return { ...(before ?? fresh), labels, spec };
  });

  const idle = graph.derive("MeshServices that nobody provides", stored, (service, read, key): Resource | undefined => {
    if (!isOwn(service) || read.one(members, key) || service.spec.state !== "Available") return undefined;
    return { ...service, spec: { ...service.spec, state: "Unavailable" } };
  });

  const withStatus = graph.derive("MeshServices with status", stored, (service, read, key): Resource | undefined => {
    if (!isOwn(service)) return undefined;
    const all = [...(read.one(members, key) ?? [])];
    const known = all.map(([dataplane]) =>
      read.one(connections, statusKey({ kind: "Dataplane", ...splitKey(dataplane) })),
    );
    const isReady =
      read.one(modes, service.mesh)?.hasMtls === true &&
      (isReadyIn(service.status) || (all.length > 0 && known.every((one) => one?.hasCertificate)));
    const status = {
      ...service.status,
      tls: { status: isReady ? "Ready" : "NotReady" },
      dataplaneProxies: {
        connected: known.filter((one) => one?.isConnected).length,
        healthy: all.filter(([, member]) => member.isHealthy).length,
        total: all.length,
      },
    };
    return isEqual(status, service.status) ? undefined : { ...service, status };
  });

  const abandoned = graph.derive("abandoned MeshServices", stored, (service, read, key) =>
    isOwn(service) && (!read.one(members, key) || read.one(modes, service.mesh)?.makesNone) ? service : undefined,
  );
  return { wanted: graph.union("MeshServices to be put", wanted, idle), withStatus, abandoned };
}

const anything = "anything";

const portsIn = ({ ports }: JsonObject): readonly number[] =>
  (Array.isArray(ports) ? ports : []).flatMap((one) =>
    isObject(one) && typeof one.port === "number" ? [one.port] : [],
  );

const isReadyIn = (status: JsonObject | undefined): boolean => isEqual(status?.tls, { status: "Ready" });

/** By key of the service. */
function membersOf({ mesh, spec }: Resource<DataplaneJson>): ReadonlyMap<Key, Member> {
  const inbounds = (spec.networking?.inbound ?? []).filter(({ state }) => state !== "Ignored");
  const identities = [...new Set(inbounds.flatMap(({ tags }) => tags?.[tag.service] ?? []))].sort();
  return new Map(
    identities.filter(isDnsLabel).map((name) => {
      const own = inbounds.filter(({ tags }) => tags?.[tag.service] === name);
      const ports = own.map((inbound) => {
        const { port = 0 } = inbound;
        return { name: sectionOf(inbound), port, targetPort: port, appProtocol: protocolOf(inbound) };
      });
      return [keyOf({ mesh, name }), { ports, identities, isHealthy: own.every(isHealthy) }];
    }),
  );
}

/** DNS-1035: others are services by their tag alone. */
const isDnsLabel = (name: string): boolean => /^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name);

const labelsOf = (mesh: string, name: string, zone: string): Labels => ({
  ...{ [label.displayName]: name, [label.env]: "universal", [label.managedBy]: generator },
  ...{ [label.mesh]: mesh, [label.origin]: "zone", [label.zone]: zone },
});

function specOf(service: string, group: Group<Member>, portsBefore: unknown): JsonObject {
  const all = [...group].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, member]) => member);
  const same = all.find(({ ports }) => isEqual(ports, portsBefore)) ?? all[0];
  const identities = [...new Set(all.flatMap((member) => member.identities))].sort();
  return {
    state: all.some((member) => member.isHealthy) ? "Available" : "Unavailable",
    selector: { dataplaneTags: { [tag.service]: service } },
    ports: [...(same?.ports ?? [])],
    identities: identities.map((value) => ({ type: "ServiceTag", value })),
  };
}

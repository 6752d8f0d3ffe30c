// How many proxies of each service are online, in all zones: what global computes for each mesh and sends down (interop 4.2,
// 9.6). Each proxy adds its part; a change of one proxy counts its own services anew.

import type { DataplaneInsightJson } from "#gen/kuma/mesh/v1alpha1/dataplane_insight_pb.ts";
import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { ServiceInsight_ServiceJson } from "#gen/kuma/mesh/v1alpha1/service_insight_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { keyOf, label, type Resource, tag } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { isHealthy } from "#topology/inbound.ts";

export interface ServiceCount {
  readonly type: "internal" | "gateway_builtin" | "gateway_delegated";
  readonly online: number;
  readonly offline: number;
  /** By the backend that issued the proxy's certificate. */
  readonly issued: Readonly<Record<string, number>>;
  readonly zones: readonly string[];
}

/**
 * By service. A proxy with several inbounds of one service counts once for each. One that says it is not ready counts as
 * offline, as a proxy that drains does (seen with Kuma 2.14).
 */
export function countsOf(
  dataplane: Resource<DataplaneJson>,
  insight: Resource<DataplaneInsightJson> | undefined,
): ReadonlyMap<string, ServiceCount> {
  const counts = new Map<string, ServiceCount>();
  const isProxyOnline = isConnected(insight?.spec);
  const backend = insight?.spec.mTLS?.issuedBackend;
  for (const { tags = {}, type, isReady } of offersOf(dataplane.spec)) {
    const service = tags[tag.service];
    if (service === undefined) continue;
    const zone = dataplane.labels[label.zone] ?? tags[tag.zone];
    const isOnline = isProxyOnline && isReady;
    const count: ServiceCount = {
      type,
      online: isOnline ? 1 : 0,
      offline: isOnline ? 0 : 1,
      issued: backend ? { [backend]: 1 } : {},
      zones: zone === undefined ? [] : [zone],
    };
    const before = counts.get(service);
    counts.set(service, before ? sumOf([before, count]) : count);
  }
  return counts;
}

interface Offer {
  readonly tags?: Readonly<Record<string, string>>;
  readonly type: ServiceCount["type"];
  readonly isReady: boolean;
}

function offersOf({ networking }: DataplaneJson): readonly Offer[] {
  const { inbound = [], gateway } = networking ?? {};
  const internal = inbound.map((one): Offer => {
    return { ...(one.tags && { tags: one.tags }), type: "internal", isReady: isHealthy(one) };
  });
  if (!gateway) return internal;
  const type = gateway.type === "BUILTIN" ? "gateway_builtin" : "gateway_delegated";
  return [...internal, { ...(gateway.tags && { tags: gateway.tags }), type, isReady: true }];
}

/** The last subscription counts. */
function isConnected(insight: DataplaneInsightJson | undefined): boolean {
  const last = insight?.subscriptions?.at(-1);
  return last?.connectTime !== undefined && last.disconnectTime === undefined;
}

/** Of at least one. */
export function sumOf(counts: Iterable<ServiceCount>): ServiceCount {
  const issued: Record<string, number> = {};
  const zones = new Set<string>();
  let [online, offline] = [0, 0];
  let type: ServiceCount["type"] = "internal";
  for (const count of counts) {
    if (count.type !== "internal") type = count.type;
    online += count.online;
    offline += count.offline;
    for (const zone of count.zones) zones.add(zone);
    for (const [backend, n] of Object.entries(count.issued)) issued[backend] = (issued[backend] ?? 0) + n;
  }
  return { type, online, offline, issued, zones: [...zones].sort() };
}

/** As Kuma names it: one resource a mesh, which has no total, as that is a sum. */
export function serviceInsight(mesh: string, services: ReadonlyMap<string, ServiceCount>): Resource {
  const sorted = [...services].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    kind: "ServiceInsight",
    mesh,
    name: `all-services-${mesh}`,
    labels: {},
    spec: { services: Object.fromEntries(sorted.map(([name, count]) => [name, serviceSpec(count) as JsonObject])) },
    creationTime: zeroTime,
    modificationTime: zeroTime,
  };
}

function serviceSpec({ type, online, offline, issued, zones }: ServiceCount): ServiceInsight_ServiceJson {
  return {
    status: offline === 0 ? "online" : online === 0 ? "offline" : "partially_degraded",
    dataplanes: { ...(online > 0 && { online }), ...(offline > 0 && { offline }) },
    ...(Object.keys(issued).length > 0 && { issuedBackends: issued }),
    ...(type !== "internal" && { serviceType: type }),
    ...(zones.length > 0 && { zones: [...zones] }),
  };
}

interface ServiceInsightInput {
  readonly dataplanes: Collection<Resource<DataplaneJson>>;
  /** By key of the Dataplane. */
  readonly insights: Collection<Resource<DataplaneInsightJson>>;
  readonly meshes: Collection<Resource<MeshJson>>;
}

/** To be put and deleted, by mesh. */
export function serviceInsights(
  graph: Graph,
  { dataplanes, insights, meshes }: ServiceInsightInput,
): Collection<Resource> {
  const counts = graph.derive("services of a proxy", dataplanes, (dataplane, read, key) => ({
    mesh: dataplane.mesh,
    counts: countsOf(dataplane, read.one(insights, key)),
  }));
  const byService = graph.group("proxies of a service", counts, ({ mesh, counts }) =>
    [...counts].map(([service, count]) => [keyOf({ mesh, name: service }), { mesh, service, count }] as const),
  );
  const sums = graph.derive("counts of a service", byService, (members) => {
    const [first] = members.values();
    return first && { ...first, count: sumOf([...members.values()].map(({ count }) => count)) };
  });
  const byMesh = graph.group("services of a mesh", sums, (sum) => [[sum.mesh, sum] as const]);
  return graph.derive("service insights", byMesh, (members, read, mesh) => {
    const found = read.one(meshes, mesh);
    if (!found) return undefined;
    // Where only MeshServices count, what is left of the older services are delegated gateways.
    const isExclusive = found.spec.meshServices?.mode === "Exclusive";
    const listed = [...members.values()].filter(({ count }) => !isExclusive || count.type === "gateway_delegated");
    return serviceInsight(mesh, new Map(listed.map(({ service, count }) => [service, count])));
  });
}

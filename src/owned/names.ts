// The names that a mesh has (interop 8.1): its services, wherever they are. And what global says of their addresses.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { ConfigJson } from "#gen/kuma/system/v1alpha1/config_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import { exceptionsOf } from "#owned/vips.ts";
import { label, type Resource, tag } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { serviceKey, splitServiceKey } from "#topology/provider.ts";
import {
  type Exceptions,
  exceptionsConfig,
  exceptionsIn,
  exceptionsText,
  meshOfTable,
  type Names,
  serviceName,
  serviceOutbound,
  tableIn,
} from "#topology/vips.ts";

/** What a mesh's table of addresses is made from. */
export interface WantedVips {
  readonly names: Names;
  /** Absent: nobody says. */
  readonly exceptions: Exceptions | undefined;
}

type Of = <Spec>(kind: string) => Collection<Resource<Spec>>;

/** By mesh. Global has the Dataplanes of all zones, a zone its own, and of others what their ingresses lead to. */
export function wantedVips(graph: Graph, of: Of): Collection<WantedVips> {
  const own = graph.group("services of dataplanes", of<DataplaneJson>("Dataplane"), servicesOfDataplane);
  const offered = graph.group("services of ingresses", of<ZoneIngressJson>("ZoneIngress"), servicesOfIngress);
  const there = (): true => true;
  const services = graph.union(
    "services with names",
    graph.derive("own services", own, there),
    graph.derive("offered services with names", offered, there),
  );
  const byMesh = graph.group("services with names by mesh", services, (_, key) => {
    const { mesh, service } = splitServiceKey(key);
    return [[mesh, service] as const];
  });
  const configs = of<ConfigJson>("Config");
  return graph.derive("wanted addresses", of<MeshJson>("Mesh"), ({ name: mesh, spec }, read): WantedVips => {
    // There the names are those of MeshServices (interop 8.2).
    const isLegacy = spec.meshServices?.mode !== "Exclusive";
    const named = isLegacy ? [...(read.one(byMesh, mesh)?.values() ?? [])] : [];
    const config = read.one(configs, exceptionsConfig(mesh));
    // Not what this control plane hands down itself.
    const said = config?.labels[label.origin] === "global" ? config : undefined;
    return {
      names: new Map(named.map((service) => [serviceName(service), [serviceOutbound(service)]])),
      exceptions: said && exceptionsIn(said.spec.config),
    };
  });
}

function servicesOfDataplane({ mesh, spec }: Resource<DataplaneJson>): readonly (readonly [string, true])[] {
  const inbounds = (spec.networking?.inbound ?? []).filter(({ state }) => state !== "Ignored");
  const services = new Set(inbounds.flatMap(({ tags }) => tags?.[tag.service] ?? []));
  return [...services].map((service) => [serviceKey(mesh, service), true]);
}

function servicesOfIngress({ spec }: Resource<ZoneIngressJson>): readonly (readonly [string, true])[] {
  return (spec.availableServices ?? []).flatMap(({ mesh = "", tags = {} }) => {
    const service = tags[tag.service];
    return service === undefined ? [] : [[serviceKey(mesh, service), true]];
  });
}

/** On global: what zones are told of each mesh's table. To be put and deleted. */
export const vipExceptions = (graph: Graph, of: Of): Collection<Resource> =>
  graph.derive("exceptions of addresses", of<ConfigJson>("Config"), ({ name, spec }): Resource | undefined => {
    const mesh = meshOfTable(name);
    if (mesh === undefined) return undefined;
    const config = exceptionsText(exceptionsOf(mesh, tableIn(spec.config)));
    return {
      ...{ kind: "Config", mesh: "", name: exceptionsConfig(mesh), labels: {}, spec: { config } },
      ...{ creationTime: zeroTime, modificationTime: zeroTime },
    };
  });

// The collections behind proxies with a redirect: the names that each mesh has, and what proxies with the same settings share.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ConfigJson } from "#gen/kuma/system/v1alpha1/config_pb.ts";
import type { Collection, Graph, Read } from "#incremental/collection.ts";
import { type Bundle, type BundleRef, bundleOf } from "#proxy/bundle.ts";
import type { Outlet } from "#proxy/client.ts";
import { dnsDraft } from "#proxy/dns.ts";
import {
  calledResources,
  dnsRecords,
  inboundPassthrough,
  type NamedResource,
  namedSubsets,
  resourceOutlets,
  type Transparent,
  transparentOf,
  virtualOutlets,
} from "#proxy/transparent.ts";
import type { Resource } from "#resources/resource.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import type { NodeFacts } from "#topology/node.ts";
import { servedInbounds } from "#topology/provider.ts";
import { meshOfTable, type Named, namedIn, tableConfig, tableIn } from "#topology/vips.ts";

export interface TransparentInput {
  readonly zone: string;
  readonly meshes: Collection<MeshFacts>;
  readonly dataplanes: Collection<Resource<DataplaneJson>>;
  readonly configs: Collection<Resource<ConfigJson>>;
  /** By mesh. */
  readonly resources: Collection<readonly NamedResource[]>;
  /** Absent: nobody says anything. */
  readonly nodes: Collection<NodeFacts> | undefined;
}

/** Settings that are shared as a whole, so that their text is the key. */
interface Shared extends Transparent {
  readonly mesh: string;
}

export function transparentCollections(graph: Graph, input: TransparentInput) {
  const { zone, meshes, dataplanes, configs, resources, nodes } = input;
  const tables = graph.derive("names with addresses", configs, ({ name, spec }) =>
    meshOfTable(name) === undefined ? undefined : namedIn(tableIn(spec.config)),
  );
  const subsets = graph.derive("named subsets", tables, (named, _, config) =>
    namedSubsets(meshOfTable(config) ?? "", named),
  );
  const namedOf = (read: Read, mesh: string): readonly Named[] => read.one(tables, tableConfig(mesh)) ?? [];
  const transparents = graph.derive("transparent proxies", dataplanes, ({ mesh, spec }, read, key) => {
    const onlyNamed = read.one(meshes, mesh)?.onlyNamedBackends === true;
    const found = transparentOf(spec, nodes && read.one(nodes, key), onlyNamed);
    return found && { ...found, mesh };
  });
  const shared = graph.group("transparent settings", transparents, (one) => [[keyOfShared(one), one] as const]);
  const settings = graph.derive("settings of transparent proxies", shared, (group) => group.values().next().value);
  const inbounds = graph.derive("inbound passthroughs", transparents, (one, read, key): Bundle | undefined => {
    const ports = servedInbounds(read.one(dataplanes, key)?.spec ?? {}).flatMap(({ port }) => port ?? []);
    return bundleOf(inboundPassthrough(one, ports, read.one(meshes, one.mesh)?.mtls?.mode === "STRICT"));
  });
  const names = graph.derive("names for DNS", settings, (one, read): Bundle | undefined => {
    const { mesh, dns } = one;
    const named = calledResources(read.one(resources, mesh) ?? [], one, zone);
    const records = dnsRecords(namedOf(read, mesh), one, named);
    return dns && bundleOf([dnsDraft(dns, records, { mesh, zone })]);
  });
  return {
    transparents,
    subsets,
    /** What a proxy calls by address. */
    outlets(read: Read, proxy: string): readonly Outlet[] {
      const one = read.one(transparents, proxy);
      if (!one) return [];
      const named = virtualOutlets(namedOf(read, one.mesh), one.reachable);
      return [...named, ...resourceOutlets(read.one(resources, one.mesh) ?? [], one, zone)];
    },
    isInboundRedirected: (read: Read, proxy: string): boolean => (read.one(transparents, proxy)?.inbound ?? 0) !== 0,
    bundles: [inbounds, names],
    /** What a proxy has of what is shared; nothing without a redirect. */
    refs(read: Read, proxy: string): readonly BundleRef[] {
      const one = read.one(transparents, proxy);
      if (!one) return [];
      return [{ from: inbounds, key: proxy }, ...(one.dns ? [{ from: names, key: keyOfShared(one) }] : [])];
    },
  };
}

const keyOfShared = (one: Shared): string => JSON.stringify(one);

// Resources in, configuration out: the collections of a zone's control plane, wired once.
//
//   Dataplane ─► clients ─► reaches ─► needs ─► outbounds ─► routes, clusters   shared by all proxies of a view
//       │           │          │                    └─► assignments             shared by all proxies that see the service alike
//       │           │          └─► entrances ─► outbound listeners              shared by all proxies of a view at one address
//       │           └─► inbounds ─► own listeners, own routes                   one proxy
//       └─► instances, offers ─► facts, endpoints
//
// A reach is what proxies of a view call: those that call the same at the same addresses share it, and the list of its bundles.
// A proxy refers to bundles by key, so an endpoint changes one assignment and no proxy. No name is in two bundles of a proxy:
// what leaves a bundle leaves the proxy.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { ZoneIngressJson } from "#gen/kuma/mesh/v1alpha1/zone_ingress_pb.ts";
import type { ZoneEgressJson } from "#gen/kuma/mesh/v1alpha1/zoneegress_pb.ts";
import type { ConfigJson } from "#gen/kuma/system/v1alpha1/config_pb.ts";
import type { Collection, Graph, Group, Read } from "#incremental/collection.ts";
import { applied } from "#proxy/applied.ts";
import { type Bundle, type BundleRef, bundleOf, type ProxyConfig } from "#proxy/bundle.ts";
import { calledResources, type FoundResources, findResources } from "#proxy/called-resources.ts";
import {
  type Client,
  callsOf,
  clientOf,
  entrancesOf,
  needKey,
  needsOf,
  outboundsOf,
  type Reach,
  reachKey,
  viewKey,
} from "#proxy/client.ts";
import { egressCollections, egressesAsMet } from "#proxy/egress-collections.ts";
import {
  type ClusterUse,
  type EndpointClient,
  endpointCollections,
  endpointKeyOf,
} from "#proxy/endpoint-collections.ts";
import type { Gateway } from "#proxy/gateway.ts";
import { chosenGateways, gatewayCollections } from "#proxy/gateway-collections.ts";
import {
  type InboundCase,
  inboundCase,
  inboundListenerDrafts,
  inboundRouteDrafts,
  listeningHalf,
  routedHalf,
} from "#proxy/inbound.ts";
import { ingressCollections } from "#proxy/ingress-collections.ts";
import { namedResources } from "#proxy/named-resources.ts";
import { entryOf, type Outbound, outboundListenerDraft, outboundOf, type Sending } from "#proxy/outbound.ts";
import { passthroughCollections } from "#proxy/passthrough-collections.ts";
import { type Policies, policyCollections } from "#proxy/policy-collections.ts";
import { routeSubsets } from "#proxy/route-subsets.ts";
import { secretCollections } from "#proxy/secret-collections.ts";
import type { Sources } from "#proxy/sources.ts";
import { topologyCollections } from "#proxy/topology-collections.ts";
import { transparentCollections } from "#proxy/transparent-collections.ts";
import type { Key } from "#resources/resource.ts";
import type { Ways } from "#topology/egress.ts";
import type { Pinned } from "#topology/external.ts";
import { sectionOf } from "#topology/inbound.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import type { Tags } from "#topology/provider.ts";

export interface Pipeline {
  readonly meshes: Collection<MeshFacts>;
  /** By key of the Dataplane; absent until everything that it needs is there. */
  readonly dataplanes: Collection<ProxyConfig>;
  /** By name of the ZoneIngress. */
  readonly ingresses: Collection<ProxyConfig>;
  /** What each ingress of this zone leads to: keys of services, by name of the ZoneIngress. */
  readonly ingressServices: Collection<readonly string[]>;
  /** Healthy instances of each port of a service that is a resource, by service key. */
  readonly portsForZones: Collection<number>;
  /** Keys of the MeshMultiZoneServices that select it, by key of the MeshService. */
  readonly multiZone: Collection<readonly Key[]>;
  /** What of services outside the mesh other zones reach through this one, by service key. */
  readonly outsideForZones: Collection<Pinned>;
  /** What leads there. */
  readonly ingressListeners: Collection<Bundle>;
  /** By name of the ZoneEgress. */
  readonly egresses: Collection<ProxyConfig>;
  /** What each egress of this zone is to lead to, by name. */
  readonly egressWays: Collection<Ways>;
  /** The certificate of each proxy, by key of the Dataplane, and what the proxies of a mesh trust, by its name. */
  readonly secrets: {
    readonly identities: Collection<Bundle>;
    readonly trusts: Collection<Bundle>;
    /** The backends that `trusts` is made of. */
    readonly trusted: Collection<readonly string[]>;
  };
  /** All that a `ProxyConfig` refers to. */
  readonly bundles: readonly Collection<Bundle>[];
}

/** Of one proxy. */
interface Inbounds {
  readonly mesh: MeshFacts;
  readonly cases: readonly InboundCase[];
}

type Topology = ReturnType<typeof topologyCollections>;

export function proxyPipeline(graph: Graph, sources: Sources, zone: string): Pipeline {
  const { internalListeners = graph.source<true>("no internal listeners") } = sources;
  const topology = topologyCollections(graph, sources, zone);
  const policiesOfMesh = policyCollections(graph, sources);
  const dataplanes = sources.of<DataplaneJson>("Dataplane");
  const called = calledResources(graph, sources.of);
  const found = findResources(graph, called, zone);
  const transparent = transparentCollections(graph, {
    ...{ zone, meshes: topology.meshes, dataplanes, nodes: sources.nodes },
    configs: sources.of<ConfigJson>("Config"),
    resources: namedResources(graph, sources.of, called),
  });
  const explicit = graph.derive("explicit outbounds", dataplanes, ({ mesh, spec }, read) =>
    outboundsOf(spec, (ref) => found.forProxy(read, mesh, ref)),
  );
  const calls = graph.derive("calls", explicit, (outlets, read, key) =>
    callsOf(outlets, read.one(transparent.transparents, key)),
  );
  const chosen = chosenGateways(graph, dataplanes, sources.of("MeshGateway"));
  const clients = graph.derive("clients", dataplanes, (dataplane, read, key) => {
    const { mtls, usesEgress } = read.one(topology.meshes, dataplane.mesh) ?? {};
    const form = read.one(internalListeners, key) ? "zones" : "addresses";
    const candidates = policiesOfMesh.candidates(read, dataplane.mesh);
    const egress = mtls && usesEgress ? form : undefined;
    return clientOf(dataplane, zone, read.one(calls, key) ?? "", candidates, egress, read.one(chosen, key));
  });
  const passthrough = passthroughCollections(graph, {
    ...{ meshes: topology.meshes, clients, transparents: transparent.transparents },
    policy: policiesOfMesh.one,
  });
  const callers = graph.group("callers", clients, (client, proxy) => [
    [reachKey(client), { ...client, proxy }] as const,
  ]);
  const reaches = graph.derive("reaches", callers, (group, read): Reach | undefined => {
    const caller = firstOf(group);
    const outlets = caller && read.one(explicit, caller.proxy);
    if (!outlets) return undefined;
    const { mesh, egress, own, toPolicies, proxy } = caller;
    const outbounds = [...outlets, ...transparent.outlets(read, proxy)];
    return { mesh, ...(egress && { egress }), ...(own && { own }), toPolicies, outbounds };
  });
  const inRoutes = routeSubsets(graph, policiesOfMesh.of);
  const parts = graph.union("parts of services", inRoutes, transparent.subsets);
  const subsets = graph.group("subsets", parts, (services) => services);
  const secrets = secretCollections(graph, sources, topology.meshes);
  const egress = egressCollections(graph, {
    zone,
    meshes: topology.meshes,
    egresses: sources.of<ZoneEgressJson>("ZoneEgress"),
    offers: topology.offers,
    entrances: topology.entrances,
    subsets,
    sniOf: topology.sniOf,
    secrets,
    outside: { ...topology, policies: policiesOfMesh },
  });
  const met = egressesAsMet(graph, {
    ...{ zone, own: egress, marked: sources.marked },
    served: sources.egressWays ?? graph.source<Ways>("nothing said of egresses"),
  });
  const gateways = gatewayCollections(graph, {
    ...{ chosen, dataplanes, clients, meshes: topology.meshes, secrets: sources.of("Secret") },
    ...{ policy: policiesOfMesh.one, found, facts: topology.facts },
    cutOff: (read, client, mesh) => cutOffFrom(topology, met, read, client, mesh),
  });
  const shared = sharedCollections(graph, topology, policiesOfMesh, {
    reaches,
    gateways: gateways.made,
    found,
    met,
    zone,
  });
  const { meshes } = topology;

  // Each proxy's own.
  const inbounds = graph.derive("inbounds", clients, (client, read, key): Inbounds | undefined => {
    const mesh = read.one(meshes, client.mesh);
    const spec = read.one(dataplanes, key)?.spec;
    if (!mesh || !spec) return undefined;
    const says = applied(client.inboundPolicies, (kind, policy) => policiesOfMesh.one(read, kind, policy));
    const served = (spec.networking?.inbound ?? []).filter(({ state }) => state !== "Ignored");
    const isRedirected = transparent.isInboundRedirected(read, key);
    const cases = served.map((inbound) =>
      inboundCase(spec, inbound, says.inbound({ mesh: mesh.name, section: sectionOf(inbound) }), isRedirected),
    );
    return { mesh, cases };
  });
  const routed = graph.derive("inbounds as routed", inbounds, ({ mesh, cases }) => ({
    mesh,
    cases: cases.flatMap((one) => routedHalf(one) ?? []),
  }));
  const listening = graph.derive("inbounds as listening", inbounds, ({ mesh, cases }) => ({
    mesh,
    cases: cases.map(listeningHalf),
  }));
  const ownRoutes = graph.derive("own routes", routed, ({ mesh, cases }) =>
    bundleOf(cases.flatMap((one) => inboundRouteDrafts(mesh, one))),
  );
  const own = graph.derive("own listeners", listening, ({ mesh, cases }) =>
    bundleOf(cases.flatMap((one) => inboundListenerDrafts(mesh, one))),
  );
  const ready = graph.derive("proxies with inbounds", own, (): true => true);
  const configs = graph.derive("dataplane configs", clients, (client, read, key): ProxyConfig | undefined => {
    const mesh = read.one(meshes, client.mesh);
    if (!mesh || !read.one(ready, key)) return undefined;
    const { identities, trusts } = secrets;
    // Nothing is sent before the certificate is there: a listener without one would refuse what it is asked to serve.
    if (mesh.mtls && !(read.one(identities, key) && read.one(trusts, mesh.name))) return undefined;
    return {
      shared: read.one(shared.bundles, reachKey(client)) ?? [],
      own: [
        { from: own, key },
        { from: ownRoutes, key },
        ...(read.one(chosen, key) ? [...gateways.refs(key), ...shared.clustersOf(read, key)] : []),
        ...(mesh.mtls && read.one(internalListeners, key) ? met.clusterRefs(read) : []),
        ...(mesh.mtls
          ? [
              { from: identities, key },
              { from: trusts, key: mesh.name },
            ]
          : []),
        ...transparent.refs(read, key),
        ...passthrough.refs(read, key),
      ],
    };
  });

  const ingress = ingressCollections(graph, {
    zone,
    meshes,
    instances: topology.behindIngresses,
    ingresses: sources.of<ZoneIngressJson>("ZoneIngress"),
    outside: { reaches: topology.outside, isInside: topology.isInside, usedEgresses: met.used },
    subsets,
    sniOf: topology.sniOf,
  });
  const { identities, trusts } = secrets;
  return {
    meshes,
    dataplanes: configs,
    ingresses: ingress.configs,
    ingressServices: ingress.services,
    ingressListeners: ingress.listeners,
    portsForZones: topology.portsForZones,
    multiZone: topology.multiZone,
    outsideForZones: ingress.pinned,
    egresses: egress.configs,
    egressWays: egress.ways,
    secrets,
    bundles: [
      ...[own, ownRoutes, identities, trusts],
      ...transparent.bundles,
      passthrough.bundles,
      ...[shared.listeners, shared.routes, shared.clusters, shared.assignments],
      ...[...ingress.bundles, ...egress.bundles, met.bundles, ...gateways.bundles],
    ],
  };
}

interface SharedInput {
  readonly reaches: Collection<Reach>;
  readonly gateways: Collection<Gateway>;
  readonly found: FoundResources;
  readonly met: ReturnType<typeof egressesAsMet>;
  readonly zone: string;
}

/** What proxies of a view share: listeners, clusters, routes and endpoints. */
function sharedCollections(
  graph: Graph,
  topology: Topology,
  policiesOfMesh: Policies,
  { reaches, gateways, found, met, zone }: SharedInput,
) {
  const { meshes, instances, offers, facts } = topology;
  const needs = graph.group("needs", reaches, needsOf);
  const outbounds = graph.derive("outbounds", needs, (group, read): Outbound | undefined => {
    const need = firstOf(group);
    const mesh = need && read.one(meshes, need.mesh);
    if (!mesh) return undefined;
    return outboundOf({
      view: viewKey(need),
      mesh,
      ...(need.egress && { egress: need.egress }),
      service: need.service,
      ...(need.subset && { subset: need.subset }),
      factsOf: (service) => facts(read, mesh, service),
      findResource: (ref, policy) => found.forPolicy(read, mesh.name, ref, policy),
      policies: applied(need.toPolicies, (kind, key) => policiesOfMesh.one(read, kind, key)),
      cutOff: cutOffFrom(topology, met, read, need, mesh),
    });
  });
  const entries = graph.derive("outbound entries", outbounds, entryOf);
  const entrances = graph.group("entrances", reaches, entrancesOf);
  const listeners = graph.derive("outbound listeners", entrances, (group, read): Bundle | undefined => {
    const entrance = firstOf(group);
    const entry = entrance && read.one(entries, entrance.need);
    return entry && bundleOf([outboundListenerDraft(entrance, entry)]);
  });
  const routeDrafts = graph.derive("outbound routes", outbounds, (outbound) => outbound.routes);
  const routes = graph.derive("outbound route bundles", routeDrafts, bundleOf);
  const sending = graph.union<Sending>("who sends", outbounds, gateways);
  // Several services of a view may lead to one cluster, which is made once, and is there as long as one of them does.
  const clusterDrafts = graph.group("clusters of views", sending, ({ view, clusters }) =>
    clusters.map(({ draft }) => [clusterKey(view, draft.name), draft] as const),
  );
  const clusters = graph.derive("cluster bundles", clusterDrafts, (group) => bundleOf([...group.values()].slice(0, 1)));
  const endpoints = endpointCollections(graph, {
    ...{ zone, meshes, instances, offers, reaches, outbounds, sending },
    ...{ usedEgresses: met.used, ingresses: topology.ingressesOfZones, facts },
  });
  const clusterRefs = (view: string, client: EndpointClient, uses: readonly ClusterUse[]): readonly BundleRef[] =>
    uses.flatMap((use) => [
      { from: clusters, key: clusterKey(view, use.target.name) },
      { from: endpoints.assignments, key: endpointKeyOf(client, use) },
    ]);
  const bundles = graph.derive("bundles of reaches", reaches, (reach, read): readonly BundleRef[] => {
    const needed = [...new Set(reach.outbounds.map((outlet) => needKey(reach, outlet)))];
    return [
      ...[...entrancesOf(reach).keys()].map((entrance) => ({ from: listeners, key: entrance })),
      ...needed.map((need) => ({ from: routes, key: need })),
      ...clusterRefs(viewKey(reach), reach, endpoints.usesOf(reach, read)),
    ];
  });
  const clustersOf = (read: Read, gateway: string): readonly BundleRef[] => {
    const made = read.one(gateways, gateway);
    return made ? clusterRefs(made.view, made, made.clusters) : [];
  };
  return { listeners, routes, clusters, assignments: endpoints.assignments, bundles, clustersOf };
}

/** What has to go through an egress, as long as there is none. */
const cutOffFrom =
  (
    { facts, cutOff }: Topology,
    met: ReturnType<typeof egressesAsMet>,
    read: Read,
    { egress }: Pick<Client, "egress">,
    mesh: MeshFacts,
  ) =>
  (service: string, subset: Tags): string | undefined => {
    if (!egress && !facts(read, mesh, service)?.behindEgress) return undefined;
    return met.isAny(read) ? undefined : cutOff(read, mesh, service, subset);
  };

const firstOf = <V>(group: Group<V>): V | undefined => group.values().next().value;
const clusterKey = (view: string, cluster: string): string => `${view}/${cluster}`;

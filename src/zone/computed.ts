// What a zone's control plane computes: the graph from what its store holds, and what is known of its proxies, to their configuration
// and to what it keeps itself. Nothing here acts.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { Collection } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { upwardResources } from "#kds/outgoing.ts";
import { defaultPolicies } from "#owned/default-policies.ts";
import { missingKeys } from "#owned/defaults.ts";
import { hostnames } from "#owned/hostnames.ts";
import { internalListenersOf } from "#owned/internal-listeners.ts";
import { meshServices } from "#owned/mesh-services.ts";
import { multiZoneServices } from "#owned/multi-zone-services.ts";
import { wantedVips } from "#owned/names.ts";
import { nodesOf } from "#owned/nodes.ts";
import { mtlsPromises, type PromisedMtls } from "#owned/promised-mtls.ts";
import type { ProxyStatus } from "#owned/proxy-insight.ts";
import { openGates } from "#owned/rotation.ts";
import { zoneOwned } from "#owned/zone-owned.ts";
import { atAddresses } from "#proxy/host-names.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import { probesOfProxies } from "#proxy/probes.ts";
import type { Place } from "#resources/labels.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";
import { resourceSources } from "#store/live.ts";
import type { Ways } from "#topology/egress.ts";
import type { Mark } from "#topology/provider.ts";
import type { KeptCertificate } from "#zone/certificates.ts";
import { rememberPromises } from "#zone/promised-mtls.ts";

export function computed(store: Store, place: Extract<Place, { kind: "zone" }>) {
  const { zone } = place;
  const graph = incrementalGraph();
  const resources = resourceSources(graph, store);
  /** What no resource says: whoever acts sets it. */
  const sources = {
    certificates: graph.source<KeptCertificate>("certificates"),
    statuses: graph.source<ProxyStatus>("proxy statuses"),
    marked: graph.source<Mark>("marked"),
    departed: graph.source<Resource<DataplaneJson>>("departed"),
    silent: graph.source<true>("silent zones"),
    addresses: graph.source<readonly string[]>("addresses of hosts"),
    promised: graph.source<PromisedMtls>("promised mtls"),
    servedByIngresses: graph.source<readonly string[]>("served by ingresses"),
    servedByEgresses: graph.source<Ways>("served by egresses"),
  };
  const { certificates, statuses, marked, silent, promised } = sources;
  const { servedByIngresses: served, servedByEgresses: egressWays } = sources;
  rememberPromises(store, promised);
  const promises = mtlsPromises(graph, resources.of("Mesh"), resources.of("Dataplane"), promised);
  // The kind says what the spec is.
  const of = <Spec>(kind: string) =>
    (kind === "Mesh" ? promises.meshes : resources.of(kind)) as Collection<Resource<Spec>>;
  const internalListeners = internalListenersOf(graph, statuses, resources.of("DataplaneInsight"));
  const met = atAddresses(graph, { zone, of, departed: sources.departed, addresses: sources.addresses });
  const probes = probesOfProxies(graph, met.of, zone);
  const nodes = nodesOf(graph, statuses, resources.of("DataplaneInsight"));
  const facts = {
    of: met.of,
    departed: met.departed,
    certificates,
    marked,
    nodes,
    internalListeners,
    egressWays,
    silent,
  };
  const pipeline = proxyPipeline(graph, facts, zone);
  const owned = zoneOwned(graph, {
    ...{ zone, of, marked, served, statuses },
    ports: pipeline.portsForZones,
    outside: pipeline.outsideForZones,
  });
  return {
    ...{ graph, resources, sources, promises, probes, pipeline, hostNames: met.wanted },
    /** As they are sent: what is issued in this turn is not settled yet. */
    issued: graph.derive("issued", certificates, ({ status }) => status),
    /** A zone that stands alone encodes nothing for a global control plane. */
    outgoing: place.isFederated ? upwardResources(graph, resources.of, zone) : undefined,
    /** What is to be written. */
    wanted: {
      certificates: owned.wantedCertificates,
      ingresses: owned.ingresses,
      insights: owned.insights,
      // A zone's meshes, their keys and policies are global's business, if there is one.
      keys: missingKeys(graph, resources.of),
      policies: defaultPolicies(graph, resources.of, place),
      openGates: openGates(graph, { of: resources.of }),
      vips: wantedVips(graph, of),
      names: hostnames(graph, of, zone),
      multiZoneServices: multiZoneServices(graph, of, pipeline.multiZone),
      meshServices: meshServices(graph, { zone, of, statuses, served }),
    },
  };
}

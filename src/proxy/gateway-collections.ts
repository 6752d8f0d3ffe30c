// The collections behind the builtin gateways of this zone: which MeshGateway each proxy takes, and what it makes of it.

import type { DataplaneJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { SecretJson } from "#gen/kuma/system/v1alpha1/secret_pb.ts";
import type { Collection, Graph, Read } from "#incremental/collection.ts";
import type { Match } from "#policies/match.ts";
import type { MeshHTTPRoute } from "#policies/mesh-http-route/schema.ts";
import type { MeshTCPRoute } from "#policies/mesh-tcp-route/schema.ts";
import type { PolicySpec } from "#policies/schema.ts";
import { applied } from "#proxy/applied.ts";
import { type BundleRef, bundleOf } from "#proxy/bundle.ts";
import type { FoundResources } from "#proxy/called-resources.ts";
import { type Client, viewKey } from "#proxy/client.ts";
import { type Gateway, gatewayOf } from "#proxy/gateway.ts";
import { gatewayCertificateDraft } from "#proxy/secrets.ts";
import { keyOf, type Resource } from "#resources/resource.ts";
import { gatewayFor, listenersOf, type MeshGateway } from "#topology/gateway.ts";
import type { MeshFacts } from "#topology/mesh.ts";
import type { Tags } from "#topology/provider.ts";
import type { ServiceFacts } from "#topology/service.ts";

type Dataplanes = Collection<Resource<DataplaneJson>>;

/** By key of the Dataplane; others than builtin gateways have none. */
export function chosenGateways(graph: Graph, dataplanes: Dataplanes, gateways: Collection<MeshGateway>) {
  const byMesh = graph.group("gateways by mesh", gateways, (one) => [[one.mesh, one] as const]);
  return graph.derive("chosen gateways", dataplanes, ({ mesh, spec }, read): MeshGateway | undefined => {
    const { gateway } = spec.networking ?? {};
    if (gateway?.type !== "BUILTIN") return undefined;
    return gatewayFor(gateway.tags ?? {}, read.one(byMesh, mesh)?.values() ?? []);
  });
}

export interface GatewayCollectionsInput {
  readonly chosen: Collection<MeshGateway>;
  readonly dataplanes: Dataplanes;
  readonly clients: Collection<Client>;
  readonly meshes: Collection<MeshFacts>;
  readonly secrets: Collection<Resource<SecretJson>>;
  readonly policy: (read: Read, kind: string, key: string) => Resource<PolicySpec> | undefined;
  readonly found: FoundResources;
  readonly facts: (read: Read, mesh: MeshFacts, service: string) => ServiceFacts | undefined;
  /** As in `outboundOf`; absent: nobody needs an egress that is not there. */
  readonly cutOff: (
    read: Read,
    client: Client,
    mesh: MeshFacts,
  ) => ((service: string, subset: Tags) => string | undefined) | undefined;
}

export function gatewayCollections(graph: Graph, input: GatewayCollectionsInput) {
  const { chosen, dataplanes, clients, meshes, secrets, policy, found, facts } = input;
  const made = graph.derive("gateways", chosen, (gateway, read, key): Gateway | undefined => {
    const client = read.one(clients, key);
    const spec = read.one(dataplanes, key)?.spec;
    const mesh = client && read.one(meshes, client.mesh);
    if (!client || !spec || !mesh) return undefined;
    const cutOff = input.cutOff(read, client, mesh);
    return gatewayOf({
      view: viewKey(client),
      mesh,
      ...(client.egress && { egress: client.egress }),
      ...(client.own && { own: client.own }),
      gateway,
      address: spec.networking?.address ?? "",
      tags: spec.networking?.gateway?.tags ?? {},
      routes: routesIn<MeshHTTPRoute>("MeshHTTPRoute", client, (key) => policy(read, "MeshHTTPRoute", key)),
      tcpRoutes: routesIn<MeshTCPRoute>("MeshTCPRoute", client, (key) => policy(read, "MeshTCPRoute", key)),
      factsOf: (service) => facts(read, mesh, service),
      findResource: (ref, policy) => found.forPolicy(read, mesh.name, ref, policy),
      policies: applied([...client.toPolicies, ...client.inboundPolicies], (kind, one) => policy(read, kind, one)),
      ...(cutOff && { cutOff }),
    });
  });
  const listeners = graph.derive("gateway listeners", made, ({ listeners }) => bundleOf(listeners));
  const routes = graph.derive("gateway routes", made, ({ routes }) => bundleOf(routes));
  const certificates = graph.derive("gateway certificates", chosen, (gateway, read) => {
    const names = new Set(listenersOf(gateway, {}).flatMap((one) => one.certificates));
    return bundleOf(
      [...names].sort().flatMap((name) => {
        const data = read.one(secrets, keyOf({ mesh: gateway.mesh, name }))?.spec.data;
        return data === undefined ? [] : gatewayCertificateDraft(gateway.mesh, name, data);
      }),
    );
  });
  return {
    made,
    bundles: [listeners, routes, certificates],
    /** Beside the clusters. */
    refs: (key: string): readonly BundleRef[] => [
      { from: listeners, key },
      { from: routes, key },
      { from: certificates, key },
    ],
  };
}

/** Routes of proxies as such are not for gateways. */
const routesIn = <Spec extends PolicySpec>(
  wanted: string,
  { toPolicies }: Client,
  find: (key: string) => Resource<PolicySpec> | undefined,
): readonly Match<Spec>[] =>
  toPolicies.flatMap(({ kind, key, sections }) => {
    const policy = kind === wanted ? find(key) : undefined;
    // The kind says what the spec is.
    return policy?.spec.targetRef?.kind === "MeshGateway" ? [{ policy: policy as Resource<Spec>, sections }] : [];
  });

// A small mesh with given policies: all that one proxy of it gets, made as in a zone's control plane.
//
// Its mTLS is permissive: inbounds then have the chains of every mode. The proxy has each kind of inbound, and calls HTTP
// services, one of TCP, and one that nobody provides.

import { createBuiltinAuthority } from "#identity/authority.ts";
import { createIssuer } from "#identity/issuer.ts";
import type { Source } from "#incremental/collection.ts";
import { plainGraph } from "#incremental/plain.ts";
import type { JsonObject } from "#lib/json.ts";
import { backendProxy } from "#policies/policy-for-test.ts";
import { type BundledItem, bundlesOf } from "#proxy/bundle.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Labels, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

const { mesh, name, zone, labels } = backendProxy;
export const httpServices = ["backend", "other", "client", "from-mesh", "from-proxy"] as const;
export const tcpService = "echo";
export const grpcService = "greeter";
const unknownService = "nobody";

const resource = (kind: string, of: string, called: string, spec: JsonObject, its: Labels = {}): Resource => ({
  kind,
  mesh: of,
  name: called,
  labels: its,
  spec,
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

const proxy = resource(
  "Dataplane",
  mesh,
  name,
  {
    networking: {
      address: "10.0.0.1",
      transparentProxying: { redirectPortInbound: 15006, redirectPortOutbound: 15001 },
      inbound: ["http", "http2", "grpc", "tcp"].map((protocol, i) => ({
        name: protocol,
        port: 8080 + i,
        tags: { ...backendProxy.inbounds[0]?.tags, "kuma.io/protocol": protocol },
      })),
      outbound: [...httpServices, tcpService, grpcService, unknownService].map((service, i) => ({
        port: 9000 + i,
        tags: { "kuma.io/service": service },
      })),
    },
  },
  labels,
);

const provider = (service: string, protocol: string, i: number): Resource =>
  resource("Dataplane", mesh, `${service}-0`, {
    networking: {
      address: `10.0.1.${i}`,
      inbound: [{ port: 8080, tags: { "kuma.io/service": service, "kuma.io/protocol": protocol, version: "v1" } }],
    },
  });

export type ConfigurationWith = (policies: readonly Resource[]) => readonly BundledItem[];

/** Makes the authority and the certificate once; the mesh anew for each list of policies. */
export async function smallMesh(): Promise<ConfigurationWith> {
  const authority = await createBuiltinAuthority(mesh, Date.now());
  const identity = { mesh, services: ["backend"], tags: { "kuma.io/service": ["backend"] } };
  const leaf = await createIssuer(authority).issue(identity, Date.now());
  const certificate = { mesh, chain: base64(leaf.chain), privateKey: base64(leaf.privateKey) };
  const backend = { name: "ca-1", type: "builtin", mode: "PERMISSIVE" };
  const fixed = [
    resource("Mesh", "", mesh, { mtls: { enabledBackend: backend.name, backends: [backend] } }),
    resource("Secret", mesh, `${mesh}.ca-builtin-cert-${backend.name}`, { data: base64(authority.certificate) }),
    proxy,
    ...httpServices.map((service, i) => provider(service, "http", i)),
    provider(tcpService, "tcp", httpServices.length),
    provider(grpcService, "grpc", httpServices.length + 1),
  ];
  return (policies) => configuration([...fixed, ...policies], certificate);
}

function configuration(resources: readonly Resource[], certificate: IssuedCertificate): readonly BundledItem[] {
  const graph = plainGraph();
  const sources = new Map<string, Source<Resource>>(
    kinds.map(({ name: kind }) => [kind, graph.source<Resource>(kind)]),
  );
  const certificates = graph.source<IssuedCertificate>("certificates");
  // A source holds what its kind's schema made.
  const of = (kind: string) => sources.get(kind) as never;
  const { dataplanes } = proxyPipeline(
    graph,
    { of, certificates, marked: graph.source("marked"), departed: graph.source("departed") },
    zone,
  );
  for (const one of resources) sources.get(one.kind)?.set(keyOf(one), one);
  certificates.set(keyOf(proxy), certificate);
  graph.settle();
  const config = dataplanes.get(keyOf(proxy));
  if (!config) throw new Error(`${name} has no configuration`);
  return bundlesOf(config).flatMap(({ from, key }) => from.get(key) ?? []);
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

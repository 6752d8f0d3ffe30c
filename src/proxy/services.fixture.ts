// Services of a zone and what its proxies get of them, for tests.

import { resourceIn } from "#discovery/frame.ts";
import type { EnvoyType } from "#discovery/order.ts";
import { decode } from "#envoy/encode.ts";
import type { Source } from "#incremental/collection.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import type { JsonObject } from "#lib/json.ts";
import { bundlesOf, type ProxyConfig } from "#proxy/bundle.ts";
import { proxyPipeline } from "#proxy/pipeline.ts";
import type { IssuedCertificate } from "#proxy/secrets.ts";
import { kinds } from "#resources/kinds.ts";
import { keyOf, type Labels, type Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";
import { egressCertificateKey } from "#topology/egress.ts";
import type { Mark } from "#topology/provider.ts";

export const resource = (
  kind: string,
  name: string,
  spec: JsonObject,
  labels: Labels = {},
  status?: JsonObject,
): Resource => ({
  ...{ kind, mesh: kind === "Mesh" || kind.startsWith("Zone") ? "" : "default", name, labels, spec },
  ...(status && { status }),
  ...{ creationTime: zeroTime, modificationTime: zeroTime },
});

/** Of `zone-a`, with a client that calls what `outbound` says and has a redirect. */
export function stage(outbound: readonly JsonObject[] = [], more: readonly Resource[] = []) {
  const graph = incrementalGraph();
  const sources = new Map<string, Source<Resource>>(kinds.map(({ name }) => [name, graph.source<Resource>(name)]));
  const certificates = graph.source<IssuedCertificate>("certificates");
  const marked = graph.source<Mark>("marked");
  const of = (kind: string) => sources.get(kind)! as never;
  const pipeline = proxyPipeline(graph, { of, certificates, marked, departed: graph.source("departed") }, "zone-a");
  const certificate = { mesh: "default", chain: "Yw==", privateKey: "aw==" };
  const set = (...all: readonly Resource[]): void => {
    for (const one of all) {
      sources.get(one.kind)?.set(keyOf(one), one);
      if (one.kind === "Dataplane") certificates.set(keyOf(one), certificate);
      if (one.kind === "ZoneEgress") certificates.set(egressCertificateKey(one.name, "default"), certificate);
    }
    graph.settle();
  };
  const remove = (kind: string, key: string): void => {
    sources.get(kind)?.set(key, undefined);
    graph.settle();
  };
  const transparentProxying = { redirectPortOutbound: 15001, redirectPortInbound: 15006 };
  set(
    resource("Mesh", "default", {
      mtls: { enabledBackend: "ca-1", backends: [{ name: "ca-1", type: "builtin" }] },
      meshServices: { mode: "Everywhere" },
    }),
    resource("Secret", "default.ca-builtin-cert-ca-1", { data: "Y2E=" }),
    resource("Dataplane", "client", {
      networking: {
        ...{ address: "10.0.0.9", transparentProxying },
        inbound: [{ port: 8080, tags: { "kuma.io/service": "client" } }],
        outbound: [...outbound],
      },
    }),
    ...more,
  );
  const items = (config: ProxyConfig | undefined) =>
    (config ? bundlesOf(config) : []).flatMap(({ from, key }) => from.get(key) ?? []);
  const find = (all: ReturnType<typeof items>, type: EnvoyType, name: string): JsonObject | undefined => {
    const found = all.find(({ type: own, item }) => own === type && item.name === name);
    return found && (decode(type, resourceIn(found.item)?.resource?.value ?? new Uint8Array()) as JsonObject);
  };
  const ofClient = () => items(pipeline.dataplanes.get("default/client"));
  return {
    ...{ graph, set, remove, pipeline },
    client: (type: EnvoyType, name: string) => find(ofClient(), type, name),
    names: (type: EnvoyType) => ofClient().flatMap((one) => (one.type === type ? [one.item.name] : [])),
    egress: (type: EnvoyType, name: string) => find(items(pipeline.egresses.get("egress-a")), type, name),
    ingress: (type: EnvoyType, name: string) => find(items(pipeline.ingresses.get("ingress-a")), type, name),
  };
}

export const dataplane = (name: string, address: string, service: string, more: Labels = {}, labels: Labels = {}) =>
  resource(
    "Dataplane",
    name,
    {
      networking: {
        address,
        inbound: [
          { name: "main", port: 8080, tags: { "kuma.io/service": service, "kuma.io/protocol": "http", ...more } },
        ],
      },
    },
    labels,
  );

export const own = { "kuma.io/origin": "zone", "kuma.io/zone": "zone-a" };
export const meshService = (name: string, spec: JsonObject, labels: Labels = own, ip = "241.0.0.1") =>
  resource("MeshService", name, spec, { "kuma.io/display-name": name, ...labels }, { vips: [{ ip }] });
export const backendSpec = {
  state: "Available",
  selector: { dataplaneTags: { "kuma.io/service": "backend" } },
  ports: [{ name: "main", port: 8080, targetPort: 8080, appProtocol: "http" }],
  identities: ["backend", "db"].map((value) => ({ type: "ServiceTag", value })),
};
export const cluster = "default_backend__zone-a_msvc_8080";
export const byRef = (name: string, port = 8080) => [{ port: 9000, backendRef: { kind: "MeshService", name, port } }];

interface Assignment {
  readonly endpoints: readonly {
    readonly priority?: number;
    readonly lbEndpoints: readonly {
      readonly endpoint: { readonly address: { readonly socketAddress: { address: string; portValue: number } } };
      readonly loadBalancingWeight: number;
    }[];
  }[];
}
export const endpointsIn = (assignment: JsonObject | undefined): readonly string[] =>
  ((assignment as unknown as Assignment | undefined)?.endpoints ?? []).flatMap(({ priority = 0, lbEndpoints }) =>
    lbEndpoints.map(({ endpoint: { address }, loadBalancingWeight }) => {
      const { socketAddress } = address;
      return `${priority} ${socketAddress.address}:${socketAddress.portValue} ${loadBalancingWeight}`;
    }),
  );

export const remoteLabels = { "kuma.io/origin": "global", "kuma.io/zone": "zone-b", "kuma.io/display-name": "backend" };
export const ingressOf = (zone: string, name: string, address: string, instances: number) =>
  resource("ZoneIngress", name, {
    ...{ zone, networking: { address, port: 10001, advertisedAddress: address, advertisedPort: 10001 } },
    availableServices:
      instances === 0 ? [] : [{ mesh: "default", instances, tags: { "kuma.io/service": "backend", version: "v1" } }],
  });

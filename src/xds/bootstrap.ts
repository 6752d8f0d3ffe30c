// Envoy's bootstrap for a data plane proxy, a zone ingress or a zone egress: who it is (node), where it gets its configuration
// (ADS over TLS at the control plane) and where it can be asked (a unix socket). Shapes as in interop 6.3.
// Other than Kuma's: ADS is DELTA_GRPC for everyone (Kuma: only on request), and there is no hdsConfig where there is nothing to report.

import { isIP } from "node:net";
import type { JsonObject } from "@bufbuild/protobuf";
import type { AnyJson } from "@bufbuild/protobuf/wkt";
import { accessLogCluster } from "#envoy/access-log.ts";
import { internalListeners, internalListenersFeature, internalListenersKey, toEgresses } from "#envoy/egress.ts";
import type { BootstrapJson } from "#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts";
import type { ClusterJson } from "#gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { AddressJson } from "#gen/envoy/config/core/v3/address_pb.ts";
import type { ConfigSourceJson } from "#gen/envoy/config/core/v3/config_source_pb.ts";
import type { GrpcServiceJson } from "#gen/envoy/config/core/v3/grpc_service_pb.ts";
import type { BootstrapRequest } from "#xds/bootstrap-request.ts";

export interface BootstrapFacts {
  /** Where the proxy reaches the control plane: what it called itself, checked against the certificate. */
  readonly host: string;
  readonly port: number;
  /** PEM: what the proxy checks the control plane's certificate against. */
  readonly ca: string;
  /** `node.cluster`: the proxy's service, `ingress` or `egress`. */
  readonly service: string;
  /** Its Envoy is to open a stream for health discovery. */
  readonly reportsHealth: boolean;
  /** `networking.admin.port` of the resource. */
  readonly adminPort: number | undefined;
  /** The mesh is Exclusive and the proxy knows the unified names. */
  readonly unifiedNames: boolean;
}

const validationContext = "cp_validation_ctx";

export function bootstrapFor(request: BootstrapRequest, facts: BootstrapFacts): BootstrapJson {
  const adminSocket = socketPath(request.workdir, "kuma-envoy-admin");
  const adsCluster = facts.unifiedNames ? "system_ads" : "ads_cluster";
  const hasInternalListeners = takesInternalListeners(request);
  const source: ConfigSourceJson = { ads: {}, initialFetchTimeout: "0s", resourceApiVersion: "V3" };
  return {
    node: {
      id: `${request.mesh}.${request.name}`,
      cluster: facts.service,
      metadata: nodeMetadata(request, facts, adminSocket),
    },
    admin: {
      accessLog: [
        {
          name: "envoy.access_loggers.file",
          typedConfig: any({
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            path: "/dev/null",
          }),
        },
      ],
      address: { pipe: { path: adminSocket, mode: 0o600 } },
    },
    ...(hasInternalListeners && { bootstrapExtensions: [internalListeners] }),
    dynamicResources: {
      ldsConfig: source,
      cdsConfig: source,
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        setNodeOnFirstMessageOnly: true,
        grpcServices: [grpcService(adsCluster, request.dataplaneToken)],
      },
    },
    ...(facts.reportsHealth && {
      hdsConfig: {
        apiType: "GRPC",
        transportApiVersion: "V3",
        setNodeOnFirstMessageOnly: true,
        grpcServices: [grpcService(adsCluster, request.dataplaneToken)],
      },
    }),
    staticResources: {
      ...(hasInternalListeners && { listeners: [toEgresses] }),
      secrets: [
        {
          name: validationContext,
          validationContext: {
            trustedCa: { inlineBytes: base64(facts.ca) },
            // Both kinds for any host, as in Kuma: an IP address never equals a DNS name.
            matchTypedSubjectAltNames: [
              { sanType: "DNS", matcher: { exact: facts.host } },
              { sanType: "IP_ADDRESS", matcher: { exact: facts.host } },
            ],
          },
        },
      ],
      clusters: [
        controlPlaneCluster(adsCluster, facts),
        http2Cluster(
          facts.unifiedNames ? "system_access_log_sink" : accessLogCluster,
          { pipe: { path: socketPath(request.workdir, `kuma-al-${request.name}-${request.mesh}`) } },
          "STATIC",
        ),
      ],
    },
    layeredRuntime: {
      layers: [
        {
          name: "kuma",
          staticLayer: { "re2.max_program_size.error_level": 4294967295, "re2.max_program_size.warn_level": 1000 },
        },
      ],
    },
    defaultRegexEngine: {
      name: "envoy.regex_engines.google_re2",
      typedConfig: { "@type": "type.googleapis.com/envoy.extensions.regex_engines.v3.GoogleRE2" },
    },
    statsConfig: { statsTags },
  };
}

/** Only a proxy of an application has a use for them, and only our own agent is told of them: others' bootstraps stay Kuma's. */
const takesInternalListeners = ({ proxyType, features }: BootstrapRequest): boolean =>
  proxyType === "dataplane" && features.includes(internalListenersFeature);

/** A socket's path must fit into the 108 bytes of sun_path; the rule is shared with kuma-dp (interop 6.3). */
const socketPath = (workdir: string, name: string): string => `${`${workdir}/${name}`.slice(0, 98)}.sock`;

/** A message of another type in its JSON form; the type has only `@type`. */
const any = <Message extends { readonly "@type": string }>(message: Message): AnyJson => message;

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** Without a token the control plane will refuse the stream and say so: the bootstrap does not look at tokens. */
const grpcService = (cluster: string, token: string | undefined): GrpcServiceJson => ({
  envoyGrpc: { clusterName: cluster },
  ...(token && { initialMetadata: [{ key: "authorization", value: token }] }),
});

function controlPlaneCluster(name: string, { host, port }: BootstrapFacts): ClusterJson {
  const address = { socketAddress: { address: host, portValue: port } };
  return {
    ...http2Cluster(name, address, isIP(host) === 0 ? "STRICT_DNS" : "STATIC"),
    transportSocket: {
      name: "envoy.transport_sockets.tls",
      typedConfig: any({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        sni: host,
        commonTlsContext: {
          tlsParams: { tlsMinimumProtocolVersion: "TLSv1_2" },
          validationContextSdsSecretConfig: { name: validationContext },
        },
      }),
    },
  };
}

const http2Cluster = (name: string, address: AddressJson, type: "STATIC" | "STRICT_DNS"): ClusterJson => ({
  name,
  type,
  connectTimeout: "1s",
  loadAssignment: { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }] },
  typedExtensionProtocolOptions: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": any({
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      explicitHttpConfig: { http2ProtocolOptions: {} },
    }),
  },
  upstreamConnectionOptions: { tcpKeepalive: { keepaliveProbes: 3, keepaliveTime: 10, keepaliveInterval: 10 } },
});

/** What the control plane is told again on each ADS stream, and what it makes this proxy's configuration from. */
function nodeMetadata(request: BootstrapRequest, facts: BootstrapFacts, adminSocket: string): JsonObject {
  return {
    "dataplane.admin.address": "127.0.0.1",
    "dataplane.admin.port": String(facts.adminPort ?? 9901),
    "dataplane.admin.socketPath": adminSocket,
    "dataplane.proxyType": request.proxyType,
    ...(request.dnsPort && { "dataplane.dns.port": String(request.dnsPort) }),
    ...(request.readinessPort && { "dataplane.readinessReporter.port": String(request.readinessPort) }),
    // The member's name says the opposite of what it means (interop 6.2).
    ...(request.appProbeProxyDisabled && { "dataplane.appProbeProxy.enabled": "true" }),
    ...(request.dataplaneResource && { "dataplane.resource": request.dataplaneResource }),
    ...(Object.keys(request.dynamicMetadata).length > 0 && { dynamicMetadata: request.dynamicMetadata }),
    ...(request.dataplaneConfig && { transparentProxy: request.dataplaneConfig }),
    ...(request.otelEnv && {
      otelEnvInventory: {
        logs: null,
        metrics: null,
        shared: null,
        traces: null,
        validationErrors: [],
        ...request.otelEnv,
      },
    }),
    features: request.features,
    ...(takesInternalListeners(request) && { [internalListenersKey]: "true" }),
    ipv6Enabled: request.ipv6Enabled,
    metricsCertPath: request.metricsResources.certPath,
    metricsKeyPath: request.metricsResources.keyPath,
    "spireAgent.socketPath": request.spireResources.socketPath,
    systemCaPath: request.systemCaPath,
    version: request.version,
    workdir: request.workdir,
  };
}

const statsTags = [
  { tagName: "name", regex: String.raw`^grpc\.((.+)\.)` },
  { tagName: "status", regex: "^grpc.*streams_closed(_([0-9]+))" },
  { tagName: "kafka_name", regex: String.raw`^kafka(\.(\S*[0-9]))\.` },
  { tagName: "kafka_type", regex: String.raw`^kafka\..*\.(.*?(?=_duration|$))` },
  { tagName: "worker", regex: String.raw`(worker_([0-9]+)\.)` },
  { tagName: "listener", regex: String.raw`((.+?)\.)rbac\.` },
];

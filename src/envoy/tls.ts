// Mutual TLS inside a mesh: SNI, ALPN, SANs and secret names are borders to other zones and to stock proxies (interop 7.1, 7.3, 7.5).

import { any } from "#envoy/any.ts";
import type { TransportSocketJson } from "#gen/envoy/config/core/v3/base_pb.ts";
import type { ConfigSourceJson } from "#gen/envoy/config/core/v3/config_source_pb.ts";
import type {
  SubjectAltNameMatcherJson,
  TlsParametersJson,
} from "#gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import type { CommonTlsContextJson } from "#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";

export const meshAlpn = "kuma";
/** Beside it: the zone that an egress leads the connection to. */
export const zoneAlpn = (zone: string): string => `${zone}${zoneAlpnEnd}`;
export const zoneAlpnEnd = ".kodiak";
export const identitySecretName = (mesh: string): string => `identity_cert:secret:${mesh}`;
export const trustSecretName = (mesh: string): string => `mesh_ca:secret:${mesh}`;

/** Resources of this kind come over the one ADS stream. */
export const overAds: ConfigSourceJson = { ads: {}, resourceApiVersion: "V3" };

/** `backend{mesh=default,version=v2}`: the service and all other tags of the destination, sorted, the mesh among them (interop 7.5 a). */
export function serviceSni(mesh: string, service: string, tags: Readonly<Record<string, string>>): string {
  const all = Object.entries({ ...tags, mesh }).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${service}{${all.map(([key, value]) => `${key}=${value}`).join(",")}}`;
}

/** `a<16 hex>.<name>.<port>.<mesh>.<ms|mzms|mes>`, the hash being FNV-1a over name, mesh and the tags of a part (interop 7.5 b). */
export function resourceSni(
  kind: "ms" | "mzms" | "mes",
  { mesh, name, port }: { readonly mesh: string; readonly name: string; readonly port: number },
  tags: Readonly<Record<string, string>> = {},
): string {
  const cut = (text: string): string => (text.length > 62 ? `${text.slice(0, 62)}x` : text);
  const part = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  const hash = Buffer.from(`${name};${mesh};${part.sort().join(",")}`).reduce(
    (sum, byte) => BigInt.asUintN(64, (sum ^ BigInt(byte)) * 0x100000001b3n),
    0xcbf29ce484222325n,
  );
  return `a${hash.toString(16).padStart(16, "0")}.${cut(name)}.${port}.${cut(mesh)}.${kind}`;
}

/** Of every egress: as if it were a service. */
export const egressService = "zone-egress";

export const serviceIdentity = (mesh: string, service: string): string => `spiffe://${mesh}/${service}`;

type San = { readonly exact: string } | { readonly prefix: string };
const anyOfMesh = (mesh: string): San => ({ prefix: `spiffe://${mesh}/` });

const tlsContext = (mesh: string, sans: readonly San[]): CommonTlsContextJson => ({
  tlsCertificateSdsSecretConfigs: [{ name: identitySecretName(mesh), sdsConfig: overAds }],
  combinedValidationContext: {
    defaultValidationContext: {
      matchTypedSubjectAltNames: sans.map((matcher) => ({ sanType: "URI", matcher })),
    },
    validationContextSdsSecretConfig: { name: trustSecretName(mesh), sdsConfig: overAds },
  },
});

/**
 * The client's side: only a server with one of these identities is spoken to; none known: one of the mesh. Envoy's clients offer TLS 1.2 at
 * most unless they are told otherwise; its servers take both.
 */
export const upstreamTls = (
  mesh: string,
  identities: readonly string[],
  sni: string,
  alpn: readonly string[] = [meshAlpn],
): TransportSocketJson => ({
  name: "envoy.transport_sockets.tls",
  typedConfig: any("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    sni,
    commonTlsContext: {
      ...tlsContext(mesh, identities.length > 0 ? identities.map((exact) => ({ exact })) : [anyOfMesh(mesh)]),
      tlsParams: { tlsMaximumProtocolVersion: "TLSv1_3" },
      alpnProtocols: [...alpn],
    },
  }),
});

export const gatewayCertificateName = (mesh: string, secret: string): string => `gateway_cert:secret:${mesh}:${secret}`;

/** Toward clients that are outside the mesh and show no certificate. `certificates`: names over SDS; `alpn`: none if nothing is known of what is inside. */
export const edgeTls = (certificates: readonly string[], alpn: readonly string[]): TransportSocketJson => ({
  name: "envoy.transport_sockets.tls",
  typedConfig: any("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    commonTlsContext: {
      tlsCertificateSdsSecretConfigs: certificates.map((name) => ({ name, sdsConfig: overAds })),
      ...(alpn.length > 0 && { alpnProtocols: [...alpn] }),
    },
  }),
});

/** The server's side: only certificates of this mesh are accepted. */
export const downstreamTls = (mesh: string): TransportSocketJson => ({
  name: "envoy.transport_sockets.tls",
  typedConfig: any("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    requireClientCertificate: true,
    commonTlsContext: tlsContext(mesh, [anyOfMesh(mesh)]),
  }),
});

/** What is known of a server outside the mesh; base64 of PEM. */
export interface ExternalTlsOptions {
  readonly serverName: string;
  /** Whether `serverName` is no name, but an address: there is no SNI for it. */
  readonly isAddress: boolean;
  readonly checksName: boolean;
  /** Any of these is a name that it may prove, too; absent: `serverName` alone. */
  readonly names?: readonly { readonly type: "Exact" | "Prefix"; readonly value: string }[];
  /** Nothing is asked of it. */
  readonly isUnverified?: boolean;
  /** As Envoy calls them. */
  readonly versions?: { readonly min?: string; readonly max?: string };
  readonly allowsRenegotiation: boolean;
  /** Absent: what the machine of the proxy trusts. */
  readonly authority?: string;
  readonly client?: { readonly certificate: string; readonly privateKey: string };
}

/** Where Debian, Ubuntu and Alpine keep what the machine trusts. */
const machineAuthorities = "/etc/ssl/certs/ca-certificates.crt";

/** TLS to a server outside the mesh, which is one that its authority vouches for unless it is said that anyone will do. */
export const externalTls = (tls: ExternalTlsOptions): TransportSocketJson => ({
  name: "envoy.transport_sockets.tls",
  typedConfig: any("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    ...(!tls.isAddress && { sni: tls.serverName }),
    ...(tls.allowsRenegotiation && { allowRenegotiation: true }),
    commonTlsContext: {
      tlsParams: {
        ...(tls.versions?.min !== undefined && { tlsMinimumProtocolVersion: tls.versions.min as TlsVersion }),
        tlsMaximumProtocolVersion: (tls.versions?.max ?? "TLSv1_3") as TlsVersion,
      },
      ...(tls.client && {
        tlsCertificates: [
          {
            certificateChain: { inlineBytes: tls.client.certificate },
            privateKey: { inlineBytes: tls.client.privateKey },
          },
        ],
      }),
      ...(!tls.isUnverified && {
        validationContext: {
          trustedCa: tls.authority === undefined ? { filename: machineAuthorities } : { inlineBytes: tls.authority },
          ...(tls.checksName && { matchTypedSubjectAltNames: namesAsked(tls) }),
        },
      }),
    },
  }),
});

type TlsVersion = NonNullable<TlsParametersJson["tlsMaximumProtocolVersion"]>;

/** Names of one certificate are of several types, and it is not said of which these are. */
function namesAsked({ names = [], isAddress, serverName }: ExternalTlsOptions): SubjectAltNameMatcherJson[] {
  if (names.length === 0) return [{ sanType: isAddress ? "IP_ADDRESS" : "DNS", matcher: { exact: serverName } }];
  return names.flatMap(({ type, value }) =>
    (["DNS", "URI", "IP_ADDRESS", "EMAIL"] as const).map((sanType) => ({
      ...{ sanType, matcher: type === "Exact" ? { exact: value } : { prefix: value } },
    })),
  );
}

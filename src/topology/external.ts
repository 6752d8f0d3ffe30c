// Services outside the mesh, as the proxies of a zone can call them.

import type { ExternalServiceJson } from "#gen/kuma/mesh/v1alpha1/externalservice_pb.ts";
import type { HostPort } from "#lib/address.ts";
import { externalAddress } from "#resources/external-service.ts";
import { displayNameOf, type Labels, type Resource, tag } from "#resources/resource.ts";
import { type PemSource, pemData, pemSource } from "#topology/mesh.ts";
import { isSubset, type RemoteOffer, serviceKey, type Tags, withoutService } from "#topology/provider.ts";

/** An endpoint of an external service, as it is written. */
export interface External extends HostPort {
  readonly name: string;
  /** As who wrote it calls it. */
  readonly displayName: string;
  /** Without the service. */
  readonly tags: Tags;
  readonly tls?: {
    /** Whom the other side must be, and what it is asked for. */
    readonly serverName: string;
    readonly checksName: boolean;
    readonly allowsRenegotiation: boolean;
    /** Absent: what the proxy's machine trusts. */
    readonly authority?: PemSource;
    readonly certificate?: PemSource;
    readonly privateKey?: PemSource;
  } & ExternalTlsWishes;
  /** A higher number is used as far as those with lower ones are out of order; absent: 0. */
  readonly priority?: number;
}

/** What only a MeshExternalService says. */
export interface ExternalTlsWishes {
  /** What the other side must be called, instead of its server name: one of them. */
  readonly names?: readonly { readonly type: "Exact" | "Prefix"; readonly value: string }[];
  /** Whoever it is, it is spoken to. */
  readonly isUnverified?: boolean;
  /** As Envoy calls them; absent: TLS 1.2 to 1.3. */
  readonly versions?: { readonly min?: string; readonly max?: string };
}

/** The same as one zone's proxies can use it; base64 of PEM. */
export interface ExternalEndpoint extends HostPort {
  readonly tags: Tags;
  readonly tls?: ExternalTls;
  readonly priority?: number;
}
export interface ExternalTls extends ExternalTlsWishes {
  readonly serverName: string;
  readonly checksName: boolean;
  readonly allowsRenegotiation: boolean;
  readonly authority?: string;
  readonly client?: { readonly certificate: string; readonly privateKey: string };
}

/** What there is of an external service from one zone. */
export interface ExternalReach {
  readonly protocol: string;
  /** Sorted. */
  readonly endpoints: readonly ExternalEndpoint[];
  /** Why others cannot be used, with their tags. */
  readonly missing: readonly { readonly tags: Tags; readonly why: string }[];
  /** Of a MeshExternalService. */
  readonly resource?: ExternalResource;
}

/** By what SNI egresses know it, and what policies call it. */
export interface ExternalResource {
  readonly sni: string;
  readonly name: string;
  readonly namespace: string;
  readonly zone: string;
  readonly labels: Labels;
  /** Its port. */
  readonly section: string;
}

export function externalsOf(resource: Resource<ExternalServiceJson>): Map<string, External> {
  const { mesh, name, spec } = resource;
  const { tags = {}, networking = {} } = spec;
  const service = tags[tag.service];
  const place = externalAddress(networking.address ?? "");
  if (service === undefined || !place) return new Map();
  const { enabled, serverName, caCert, clientCert, clientKey, ...tls } = networking.tls ?? {};
  const authority = pemSource(caCert);
  const certificate = pemSource(clientCert);
  const privateKey = pemSource(clientKey);
  const external: External = {
    ...{ name, displayName: displayNameOf(resource), ...place, tags: withoutService(tags) },
    ...(enabled && {
      tls: {
        serverName: serverName || place.address,
        checksName: tls.skipHostnameVerification !== true,
        allowsRenegotiation: tls.allowRenegotiation === true,
        ...(authority && { authority }),
        ...(certificate && { certificate }),
        ...(privateKey && { privateKey }),
      },
    }),
  };
  return new Map([[serviceKey(mesh, service), external]]);
}

/**
 * `usesEgress`: whether its mesh leaves zones through egresses. `secretData`: of a Secret of the mesh, base64. One that is not there leads
 * nowhere: nothing is asked without the TLS that was meant.
 */
export function externalReach(
  externals: Iterable<External>,
  { zone, usesEgress }: { readonly zone: string; readonly usesEgress: boolean },
  secretData: (name: string) => string | undefined,
): ExternalReach {
  const all = [...externals].sort((a, b) => (a.name < b.name ? -1 : 1));
  const endpoints: ExternalEndpoint[] = [];
  const missing: { readonly tags: Tags; readonly why: string }[] = [];
  for (const external of all) {
    const { displayName: name, address, port, tags, priority } = external;
    const pinned = tags[tag.zone];
    const tls = external.tls && resolved(external.tls, secretData);
    if (pinned !== undefined && pinned !== zone)
      missing.push({
        tags,
        why: `external service ${name} is called from ${pinned} only, ${usesEgress ? notOffered(pinned) : `and this is ${zone}`}`,
      });
    else if (typeof tls === "string")
      missing.push({ tags, why: `external service ${name} needs Secret ${tls}, which is not in ${zone}` });
    else endpoints.push({ address, port, tags, ...(tls && { tls }), ...(priority !== undefined && { priority }) });
  }
  const protocols = new Set(all.map(({ tags }) => tags[tag.protocol] ?? "tcp"));
  const [first = "tcp"] = protocols;
  return { protocol: protocols.size === 1 ? first : "tcp", endpoints, missing };
}

const notOffered = (zone: string): string =>
  `and no zone ingress of ${zone} offers it: an ingress and an egress must be alive there`;

/** Or the name of a Secret that is not there. */
function resolved(
  { authority, certificate, privateKey, ...rest }: NonNullable<External["tls"]>,
  secretData: (name: string) => string | undefined,
): ExternalTls | string {
  for (const source of [authority, certificate, privateKey])
    if (source && "secret" in source && secretData(source.secret) === undefined) return source.secret;
  const [trusted, chain, key] = [authority, certificate, privateKey].map((source) => pemData(source, secretData));
  return {
    ...rest,
    ...(trusted !== undefined && { authority: trusted }),
    ...(chain !== undefined && key !== undefined && { client: { certificate: chain, privateKey: key } }),
  };
}

/** The part of it with these tags. */
export const externalPart = ({ protocol, endpoints, missing }: ExternalReach, subset: Tags): ExternalReach => ({
  protocol,
  endpoints: endpoints.filter(({ tags }) => isSubset(subset, tags)),
  missing: missing.filter(({ tags }) => isSubset(subset, tags)),
});

/** Whether another zone has to call that part of it, and offers to. */
export const isElsewhere = (reach: ExternalReach | undefined, offers: Iterable<RemoteOffer>, subset: Tags): boolean =>
  (!reach || externalPart(reach, subset).endpoints.length === 0) &&
  [...offers].some(({ entries }) => entries.some(({ tags }) => isSubset(subset, tags)));

/** What other zones call through this one: the tags of each, or a resource as a whole. */
export interface Pinned {
  readonly tags: readonly Tags[];
  readonly isResource: boolean;
}

/** What only this zone calls, of what it can; `undefined`: nothing. */
export function pinnedHere({ endpoints, resource }: ExternalReach, zone: string): Pinned | undefined {
  const tags = endpoints.flatMap((one) => (one.tags[tag.zone] === zone ? [one.tags] : []));
  return tags.length > 0 ? { tags, isResource: resource !== undefined } : undefined;
}

/** Why a MeshExternalService, which egresses alone lead to, is not reached. */
export const withoutMtls: ExternalReach["missing"] = [
  {
    tags: {},
    why: "its mesh has no mTLS, and MeshExternalServices are reached through a zone egress, which asks for it",
  },
];

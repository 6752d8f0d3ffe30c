// MeshExternalServices as the egresses of a zone lead to them (interop 3.5, 7.8).

import { resourceSni } from "#envoy/tls.ts";
import type { SecretJson } from "#gen/kuma/system/v1alpha1/secret_pb.ts";
import type { Collection, Graph } from "#incremental/collection.ts";
import type { JsonObject } from "#lib/json.ts";
import { type MeshExternalService, meshExternalServiceIn } from "#policies/mesh-external-service.ts";
import { identityOf } from "#policies/reference.ts";
import type { Sources } from "#proxy/sources.ts";
import { isIp } from "#resources/address.ts";
import { displayNameOf, keyOf, label, type Resource, tag } from "#resources/resource.ts";
import { type External, type ExternalReach, externalReach } from "#topology/external.ts";
import { pemSource } from "#topology/mesh.ts";
import { resourceServiceName } from "#topology/mesh-service.ts";
import { serviceKey, type Tags } from "#topology/provider.ts";

/** By service key, with `resourceServiceName` for the service. */
export function meshExternals(graph: Graph, sources: Sources, zone: string): Collection<ExternalReach> {
  const secrets = sources.of<SecretJson>("Secret");
  const reaches = graph.derive("mesh external services", sources.of<JsonObject>("MeshExternalService"), (one, read) => {
    const { mesh } = one;
    const spec = meshExternalServiceIn(one);
    if (!spec) return undefined;
    const { port, protocol = "tcp" } = spec.match;
    const pinned = pinOf(one);
    const externals = meshExternalsOf(one, spec, pinned);
    const reach = externalReach(
      externals,
      { zone, usesEgress: true },
      (name) => read.one(secrets, keyOf({ mesh, name }))?.spec.data,
    );
    const missing = externals.length > 0 ? reach.missing : [{ tags: {}, why: notHere(one, spec) }];
    const sni = resourceSni("mes", { mesh, name: displayNameOf(one), port }, pinned);
    const resource = { ...identityOf(one), sni, section: String(port) };
    return { key: serviceKey(mesh, resourceServiceName(one, port)), reach: { ...reach, protocol, missing, resource } };
  });
  const byKey = graph.group("mesh external services by key", reaches, ({ key, reach }) => [[key, reach]]);
  // One that a zone wrote and one that is pinned to it may have one name: which is called must not depend on which came first.
  return graph.derive("mesh external services by name", byKey, (group) => [...group].sort(byResource)[0]?.[1]);
}

const byResource = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** The zone that alone calls it, as a tag. One that a zone wrote has its label, too, and is nowhere else. */
const pinOf = ({ labels: { [label.origin]: origin, [label.zone]: zone } }: Resource): Tags =>
  origin === "global" && zone !== undefined ? { [tag.zone]: zone } : {};

const notHere = (resource: Resource, { extension }: MeshExternalService): string =>
  `MeshExternalService ${displayNameOf(resource)} is provided by the extension ${extension?.type}, which is not supported`;

/** None where an extension provides it: what that would do is not known. */
function meshExternalsOf(
  resource: Resource,
  { endpoints = [], tls, extension }: MeshExternalService,
  tags: Tags,
): External[] {
  if (extension) return [];
  const called = { name: resource.name, displayName: displayNameOf(resource), tags };
  const { mode = "Secured", serverName, subjectAltNames = [], ...sources } = tls?.verification ?? {};
  const firstName = endpoints.find(({ address }) => !isIp(address))?.address;
  const [authority, certificate, privateKey] = [sources.caCert, sources.clientCert, sources.clientKey].map(pemSource);
  const { min = "TLSAuto", max = "TLSAuto" } = tls?.version ?? {};
  const versions = { ...envoyVersion("min", min), ...envoyVersion("max", max) };
  const names = subjectAltNames.map(({ type = "Exact", value }) => ({ type, value }) as const);
  return endpoints.map(({ address, port, priority = 0 }) => ({
    ...{ ...called, address, port, priority },
    ...(tls?.enabled === true && {
      tls: {
        serverName: serverName || firstName || address,
        checksName: mode === "Secured",
        allowsRenegotiation: tls.allowRenegotiation === true,
        // Without an authority a name proves nothing.
        ...((mode === "SkipCA" || mode === "SkipAll") && { isUnverified: true }),
        ...(names.length > 0 && { names }),
        ...(Object.keys(versions).length > 0 && { versions }),
        ...(authority && { authority }),
        ...(certificate && { certificate }),
        ...(privateKey && { privateKey }),
      },
    }),
  }));
}

/** `TLS12` is Envoy's `TLSv1_2`. */
const envoyVersion = (end: "min" | "max", version: string): Readonly<Record<string, string>> =>
  version === "TLSAuto" ? {} : { [end]: version.replace(/^TLS1(\d)$/, "TLSv1_$1") };

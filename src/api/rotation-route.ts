// `GET /meshes/<mesh>/_authorities`: who vouches for a mesh, how far a rotation is, and who holds it up.

import { X509Certificate } from "node:crypto";
import type { Site } from "#api/ownership.ts";
import { existing } from "#api/resource-routes.ts";
import { membersOf } from "#api/rotation.ts";
import type { Route } from "#api/router.ts";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { JsonObject } from "#lib/json.ts";
import { needsOf, type ProxyTrust, rotationOf } from "#owned/rotation.ts";
import { kindNamed } from "#resources/kinds.ts";
import { asMesh } from "#resources/mesh.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store, View } from "#resources/store.ts";
import { authoritiesOf, meshFactsOf, pemData } from "#topology/mesh.ts";

export const rotationRoute = (store: Store, site: Site): Route => ({
  path: "/meshes/:name/_authorities",
  access: { kind: kindNamed("Mesh") },
  methods: {
    GET(call) {
      const mesh = asMesh(existing(store, call, kindNamed("Mesh")));
      // It names proxies.
      call.rights.requireRead(kindNamed("Dataplane"), mesh.name);
      return { json: authoritiesShown(store, mesh, site) };
    },
  },
});

/** Without keys. */
function authoritiesShown(view: View, mesh: Resource<MeshJson>, site: Site): JsonObject {
  const { proxies, away } = membersOf(view, mesh.name, site);
  const rotation = rotationOf(mesh, proxies, away);
  const isFor = ({ isOnline, since }: ProxyTrust): string | undefined =>
    // What is asked for is asked since the Mesh was changed, of a proxy that came later since then.
    isOnline ? [mesh.modificationTime, since ?? ""].sort().at(-1) : since;
  return {
    mesh: mesh.name,
    mode: meshFactsOf(mesh).mtls?.mode ?? "off",
    ...(rotation && {
      enabledBackend: rotation.enabled,
      issuingBackend: rotation.issuing,
      step: rotation.step,
      since: mesh.modificationTime,
      missing: rotation.missing.map((one) => ({
        ...{ proxy: one.proxy, isOnline: one.isOnline },
        ...(one.zone !== undefined && { zone: one.zone }),
        ...(isFor(one) !== undefined && { since: isFor(one) }),
      })),
      awayZones: away.map(({ zone, since }) => ({ zone, ...(since !== undefined && { since }) })),
    }),
    proxies: proxies.length,
    backends: authoritiesOf(mesh).map(({ backend, type, certificate }) => {
      const data = pemData(certificate, (name) => dataOf(view.get({ kind: "Secret", mesh: mesh.name, name })));
      const needs = needsOf(backend, mesh, proxies, away);
      return {
        ...{ name: backend, type },
        ...validityIn(data),
        trustedBy: proxies.filter(({ trusts }) => trusts.includes(backend)).length,
        certificates: proxies.filter(({ holds }) => holds === backend).length,
        ...(backend !== rotation?.enabled && {
          mayGo: needs.length === 0,
          ...(needs.length > 0 && { needs: [...needs] }),
        }),
      };
    }),
  };
}

const dataOf = (secret: Resource | undefined): string | undefined =>
  typeof secret?.spec.data === "string" ? secret.spec.data : undefined;

/** Of the authority's own certificate. */
function validityIn(base64: string | undefined): JsonObject {
  if (base64 === undefined) return {};
  const { validFromDate, validToDate, fingerprint256 } = new X509Certificate(Buffer.from(base64, "base64"));
  return { notBefore: validFromDate.toISOString(), notAfter: validToDate.toISOString(), fingerprint: fingerprint256 };
}

// What a proxy that asks for its bootstrap may be refused for (interop 6.2), and the sentence that tells what to do.

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { HttpResponse } from "#host/world.ts";
import type { Issue } from "#lib/issue.ts";
import { asDataplane, dataplaneIssues } from "#resources/dataplane.ts";
import type { Resource } from "#resources/resource.ts";
import { zoneClaims } from "#resources/zone-claims.ts";
import { asZoneEgress, zoneEgressIssues } from "#resources/zone-egress.ts";
import { asZoneIngress, zoneIngressIssues } from "#resources/zone-ingress.ts";
import type { BootstrapRequest } from "#xds/bootstrap-request.ts";

export function refusal(status: number, why: string): HttpResponse {
  return { status, headers: { "content-type": "text/plain; charset=utf-8" }, body: why };
}

/** Host of a `Host` header, without port and brackets; empty if it is none. */
export function hostOf(authority: string): string {
  const url = URL.parse(`https://${authority}`);
  return url ? url.hostname.replace(/^\[(.*)\]$/, "$1") : "";
}

let parsed: { readonly pem: string; readonly x509: X509Certificate } | undefined;
/** It is the same for all who ask, until it is replaced. */
function parsedOnce(pem: string): X509Certificate {
  if (parsed?.pem !== pem) parsed = { pem, x509: new X509Certificate(pem) };
  return parsed.x509;
}

/** Envoy will check the certificate against the name that the proxy used here, so it must be in the certificate. */
export function refusedHost(host: string, certificate: string): HttpResponse | undefined {
  const x509 = parsedOnce(certificate);
  const matches = isIP(host) === 0 ? x509.checkHost(host, { subject: "never" }) : x509.checkIP(host);
  if (matches !== undefined) return undefined;
  const names = (x509.subjectAltName ?? "").split(", ").map((name) => JSON.stringify(name.replace(/^[^:]*:/, "")));
  return refusal(
    400,
    `A data plane proxy is trying to connect to the control plane using ${JSON.stringify(host)} address, but the certificate in the control plane has the following SANs [${names.sort().join(" ")}]. Give one of those as the control plane's address to the proxy, or restart the control plane with a certificate that names ${JSON.stringify(host)}.`,
  );
}

export function refusedToken(request: BootstrapRequest): HttpResponse | undefined {
  if (request.dataplaneToken !== "" || request.dataplaneTokenPath !== "") return undefined;
  const [what, how] =
    request.proxyType === "dataplane"
      ? ["Dataplane Token", "kodiak token dataplane"]
      : ["Zone Token", `kodiak token zone --scope ${request.proxyType}`];
  return refusal(422, `${what} is required: make one with \`${how}\` and give it to the proxy as its token file.`);
}

export function refusedCa(request: BootstrapRequest): HttpResponse | undefined {
  if (request.caCert === "") return undefined;
  let x509: X509Certificate;
  try {
    x509 = new X509Certificate(request.caCert);
  } catch {
    return refusal(400, "caCert: must be a certificate in PEM");
  }
  if (x509.ca) return undefined;
  return refusal(
    400,
    "caCert: must be the certificate of an authority (its basic constraint CA is false): give the proxy the CA that signed the control plane's certificate, or none",
  );
}

export function issuesOf(
  request: BootstrapRequest,
  resource: Resource,
  zone: string,
  meshExists: boolean,
): readonly Issue[] {
  const issues = [...meaningIssues(resource), ...foreignZone(resource, zone)];
  if (resource.kind !== "Dataplane") return issues;
  if (!meshExists) issues.push({ path: "mesh", message: `mesh ${JSON.stringify(request.mesh)} does not exist` });
  return issues;
}

function meaningIssues(resource: Resource): readonly Issue[] {
  switch (resource.kind) {
    case "Dataplane":
      return dataplaneIssues(asDataplane(resource).spec);
    case "ZoneIngress":
      return zoneIngressIssues(asZoneIngress(resource).spec);
    case "ZoneEgress":
      return zoneEgressIssues(asZoneEgress(resource).spec);
  }
  return [];
}

/** A proxy belongs to the zone whose control plane it asks; what says otherwise is a mistake worth a name. */
export function foreignZone(resource: Resource, zone: string): readonly Issue[] {
  return zoneClaims(resource)
    .filter((claim) => claim.zone !== zone)
    .map((claim) => ({
      path: claim.path,
      message: `${resource.kind} "${resource.name}" belongs to zone "${claim.zone}", and this is the control plane of zone "${zone}": give the proxy the address of its own zone's control plane`,
    }));
}

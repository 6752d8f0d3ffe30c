// POST /bootstrap of a zone's control plane: checks (interop 6.2), then Envoy's bootstrap. Whether the token is taken is asked by who
// sends the answer, as that takes time. Statuses are Kuma's: kuma-dp gives up on 4xx (but 404: not there yet) and tries
// again on 5xx. Other than Kuma's: what is wrong with a request is never a 500, as it would not get right by being sent again;
// and where Kuma answers with an empty body, a sentence says why.

import { parse } from "yaml";
import type { Dataplane_NetworkingJson } from "#gen/kuma/mesh/v1alpha1/dataplane_pb.ts";
import type { HttpRequest, HttpResponse } from "#host/world.ts";
import { describeIssues } from "#lib/issue.ts";
import { isObject, isTooDeep, type JsonObject, parseJson } from "#lib/json.ts";
import { announcesLeaving } from "#proxy/features.ts";
import { asDataplane } from "#resources/dataplane.ts";
import { kindNamed } from "#resources/kinds.ts";
import { asMesh } from "#resources/mesh.ts";
import { type Resource, type ResourceId, tag } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";
import { bootstrapFor } from "#xds/bootstrap.ts";
import {
  hostOf,
  issuesOf,
  refusedCa,
  refusedHost,
  refusedToken,
  refusal as refusedWith,
} from "#xds/bootstrap-refusal.ts";
import { type BootstrapRequest, type ProxyType, parseBootstrapRequest } from "#xds/bootstrap-request.ts";

export interface BootstrapContext {
  /** This control plane's zone. */
  readonly zone: string;
  /** The port that proxies reach it at. */
  readonly port: number;
  /** PEM of the certificate that it shows there; also what proxies trust that bring no CA. */
  readonly certificate: string;
  readonly find: (id: ResourceId) => Resource | undefined;
  /** Why not all that there is for this zone is here; absent: it is. */
  readonly notReady?: string | undefined;
}

const kindOfProxy: Readonly<Record<ProxyType, "Dataplane" | "ZoneIngress" | "ZoneEgress">> = {
  dataplane: "Dataplane",
  ingress: "ZoneIngress",
  egress: "ZoneEgress",
};
const isProxyType = (type: string): type is ProxyType => Object.hasOwn(kindOfProxy, type);

/** A global control plane has no proxies of its own. */
export const bootstrapOnGlobal: HttpResponse = refusedWith(
  403,
  "this is the global control plane, which serves no proxies: give the address of the zone control plane of the proxy's zone, port 5678, as the control plane's address",
);

export const answerBootstrap = (http: HttpRequest, context: BootstrapContext): HttpResponse =>
  prepareBootstrap(http, context).response;

export interface PreparedBootstrap {
  readonly response: HttpResponse;
  /** Of a good answer: who gets it, and the token that came with the request; empty: the proxy has it in a file, and shows it later. */
  readonly to?: { readonly resource: Resource; readonly token: string };
}

export function prepareBootstrap(http: HttpRequest, context: BootstrapContext): PreparedBootstrap {
  const refusal = (status: number, why: string): PreparedBootstrap => ({ response: refusedWith(status, why) });
  const parsed = parseBootstrapRequest(http.body);
  if (parsed.kind === "unreadable") return refusal(400, parsed.why);
  const { request } = parsed;
  const { proxyType } = request;
  if (!isProxyType(proxyType))
    return refusal(400, `proxyType: must be dataplane, ingress or egress, not ${JSON.stringify(proxyType)}`);
  const host = hostOf(http.authority);
  const refused = refusedHost(host, context.certificate) ?? refusedToken(request) ?? refusedCa(request);
  if (refused) return { response: refused };

  const found = resourceOf(request, proxyType, context);
  if (found.kind === "refused") return { response: found.response };
  const { resource } = found;
  const mesh = context.find({ kind: "Mesh", mesh: "", name: request.mesh });
  // A final refusal would be wrong: the proxy is told to ask again.
  if (resource.kind === "Dataplane" && !mesh && context.notReady !== undefined)
    return refusal(
      503,
      `mesh ${JSON.stringify(request.mesh)} is not here yet: the control plane is ${context.notReady}`,
    );
  const issues = issuesOf(request, resource, context.zone, mesh !== undefined);
  if (issues.length > 0) return refusal(422, describeIssues(issues));

  const networking = resource.kind === "Dataplane" ? asDataplane(resource).spec.networking : undefined;
  // JSON is YAML, too, and takes a fortieth of the time to write: all proxies of a zone may ask at once.
  const bootstrap = JSON.stringify(
    bootstrapFor(
      { ...request, dataplaneResource: found.text },
      {
        host,
        port: context.port,
        ca: request.caCert || context.certificate,
        service: networking ? serviceOf(networking) : proxyType,
        reportsHealth: hasHealthToReport(request, networking),
        adminPort: adminPortOf(resource),
        unifiedNames: mesh !== undefined && hasUnifiedNames(request, mesh),
      },
    ),
  );
  const to = { resource, token: request.dataplaneToken };
  if (http.headers.accept?.join(",") !== "application/json") return { response: ok("text/x-yaml", bootstrap), to };
  const answer = {
    bootstrap: Buffer.from(bootstrap).toString("base64"),
    kumaSidecarConfiguration: {
      networking: { corefileTemplate: null, address: networking?.address ?? "" },
      metrics: { aggregate: [] },
    },
  };
  return { response: ok("application/json", JSON.stringify(answer)), to };
}

const ok = (contentType: string, body: string): HttpResponse => ({
  status: 200,
  headers: { "content-type": contentType },
  body,
});

type Found =
  | { readonly kind: "found"; readonly resource: Resource; readonly text: string }
  | { readonly kind: "refused"; readonly response: HttpResponse };

/** The resource that the proxy brings (its text as JSON, for the node's metadata), or that is stored under its name. */
function resourceOf(request: BootstrapRequest, proxyType: ProxyType, context: BootstrapContext): Found {
  const kind = kindNamed(kindOfProxy[proxyType]);
  const { mesh, name, dataplaneResource: text } = request;
  if (text === "") {
    const resource = context.find({ kind: kind.name, mesh: kind.scope === "Mesh" ? mesh : "", name });
    return resource ? { kind: "found", resource, text: "" } : { kind: "refused", response: { status: 404, body: "" } };
  }
  const json = readObject(text);
  if (json?.type !== kind.name)
    return { kind: "refused", response: refusedWith(422, `dataplaneResource: must be a ${kind.name} in JSON or YAML`) };
  const { resource, issues } = fromRest(kind, json);
  if (issues.length > 0) return { kind: "refused", response: refusedWith(422, describeIssues(issues)) };
  return { kind: "found", resource, text: text.startsWith("{") ? text : JSON.stringify(json) };
}

/** Nesting in one line, deeper than any manifest: six kilobytes of it cost YAML's parser most of a second and 200 MB. */
const nested = /(?:- ){64}|(?:[[{] ?){64}/;

function readObject(text: string): JsonObject | undefined {
  try {
    if (!text.startsWith("{") && nested.test(text)) return undefined;
    // What the parser warns of it would print.
    const value: unknown = text.startsWith("{") ? parseJson(text) : parse(text, { logLevel: "error" });
    return isObject(value) && !isTooDeep(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A report is sent every few seconds, also at rest. An ingress of ours finds out which other zones answer. */
function hasHealthToReport(
  { features, proxyType }: BootstrapRequest,
  networking: Dataplane_NetworkingJson | undefined,
): boolean {
  if (!networking) return proxyType !== "dataplane" && features.includes(announcesLeaving);
  return (
    !features.includes(announcesLeaving) ||
    (networking.inbound ?? []).some(({ serviceProbe }) => serviceProbe !== undefined)
  );
}

const hasUnifiedNames = (request: BootstrapRequest, mesh: Resource): boolean =>
  request.features.includes("feature-unified-resource-naming") && asMesh(mesh).spec.meshServices?.mode === "Exclusive";

/** Of the gateway or the first inbound that has one; Kuma's word where there is none is `unknown`. */
function serviceOf({ gateway, inbound = [] }: Dataplane_NetworkingJson): string {
  const services = [gateway, ...inbound].map((carrier) => carrier?.tags?.[tag.service]);
  return services.find((service) => service !== undefined) ?? "unknown";
}

/** `networking.admin.port`, at the same place in all three kinds. */
function adminPortOf({ spec }: Resource): number | undefined {
  const admin = isObject(spec.networking) ? spec.networking.admin : undefined;
  const port = isObject(admin) ? admin.port : undefined;
  return typeof port === "number" ? port : undefined;
}

// An Envoy route as far as MeshHTTPRoute says it: everything but the names of clusters, which `proxy/` knows.

import type { RuntimeFractionalPercentJson } from "#gen/envoy/config/core/v3/base_pb.ts";
import type { RouteActionJson, RouteJson, RouteMatchJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { BackendRef, PolicySpec, TargetKind } from "#policies/schema.ts";
import { type Labels, type Resource, tag } from "#resources/resource.ts";

export interface HttpRule {
  /** Name of the route; two routes may have the same. */
  readonly name: string;
  readonly match: RouteMatchJson;
  /** Where matching requests go; empty: to the destination itself. Not of a route with a redirect or direct response. */
  readonly split: readonly Share[];
  readonly mirrors: readonly Mirror[];
  /** Of the route beside its action: changes of headers; a redirect or direct response instead of an action. */
  readonly piece: RouteJson;
  /** Of the action: rewrites. */
  readonly action: RouteActionJson;
  /** The MeshHTTPRoutes it comes from, ascending; none of the default route. */
  readonly origins: readonly Resource<PolicySpec>[];
}

export interface Mirror {
  readonly backend: Backend;
  /** Absent: every request. */
  readonly fraction?: RuntimeFractionalPercentJson;
}

export type Backend =
  | { readonly kind: "service"; readonly service: string; readonly tags: Labels }
  | {
      readonly kind: "resource";
      readonly ref: BackendRef;
      /** The policy that refers to it: names are looked up in its zone and namespace. */
      readonly from: Resource<PolicySpec>;
    };

export type Share = Backend & { readonly weight: number };

/** What a backendRef of a route may refer to. */
export const backends: readonly TargetKind[] = [
  "MeshService",
  "MeshServiceSubset",
  "MeshExternalService",
  "MeshMultiZoneService",
];

/** A MeshService with nothing but a name is a service by its tag. */
export function backendOf(ref: BackendRef, from: Resource<PolicySpec>): Backend {
  const isResource =
    ref.port !== undefined || ref.labels || ref.namespace !== undefined || ref.sectionName !== undefined;
  const isService = ref.kind === "MeshServiceSubset" || (ref.kind === "MeshService" && !isResource);
  if (!isService || ref.name === undefined) return { kind: "resource", ref, from };
  const { [tag.service]: _, ...tags } = ref.tags ?? {};
  return { kind: "service", service: ref.name, tags };
}

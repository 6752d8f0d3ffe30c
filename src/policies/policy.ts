// What a policy is: a kind, a schema from which its types derive, what it may be for, and what it says, by the place in a
// proxy's configuration where it says it. A policy contributes pieces; `proxy/` puts them together.

import type { z } from "zod";
import type { ClusterPiece } from "#envoy/cluster.ts";
import type { RouteActionJson } from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { RBACJson } from "#gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import type { HttpConnectionManagerJson } from "#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import type { TcpProxyJson } from "#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { at, type Issue } from "#lib/issue.ts";
import { isObject, type JsonObject } from "#lib/json.ts";
import type { Match } from "#policies/match.ts";
import type { HttpRule, Share } from "#policies/mesh-http-route/http-rule.ts";
import type { PassthroughConf } from "#policies/mesh-passthrough/schema.ts";
import { roleOf } from "#policies/precedence.ts";
import {
  asGoReads,
  issuesOf,
  type PolicySpec,
  type SpiffeMatch,
  sayMissing,
  type TargetKind,
  unknownIn,
} from "#policies/schema.ts";
import { type Allowed, targetRefIssues } from "#policies/target-ref.ts";
import type { Destination } from "#policies/to.ts";
import type { Resource } from "#resources/resource.ts";
import type { Locality } from "#topology/locality.ts";

type Part = "to" | "from" | "rules";

/** Where a targetRef of which kind may stand (interop 3.2.2). */
export interface Targets {
  /** In a policy of the system, and in one of an application's namespace. */
  readonly top: { readonly system: readonly TargetKind[]; readonly namespaced: readonly TargetKind[] };
  readonly listenerTags: boolean;
  readonly parts: readonly Part[];
  /** One of the parts must have an entry. */
  readonly needsPart: boolean;
  /** By the kind of the policy's own target; none: the part must be left out. */
  readonly from?: (top: TargetKind) => readonly TargetKind[];
  readonly to?: (top: TargetKind) => readonly TargetKind[];
}

/** What policies say of traffic to a destination, and of an inbound. */
export interface Pieces {
  readonly cluster?: ClusterPiece;
  /** Of the route action. */
  readonly route?: RouteActionJson;
  /** Of the HTTP connection manager. */
  readonly connection?: HttpConnectionManagerJson;
  readonly tcp?: TcpProxyJson;
  /** Which endpoints are preferred; absent: as the mesh says. Only of what goes to a destination. */
  readonly locality?: Locality;
  /** Who may come in: same members for HTTP and TCP. Only of inbounds. */
  readonly permissions?: Permissions;
  /** Of the route action, for some clients: the first that fits holds. Only of inbounds. */
  readonly ofClients?: readonly OfClient[];
}
export interface OfClient {
  readonly client: SpiffeMatch;
  readonly route: RouteActionJson;
}
export type Permissions = Pick<RBACJson, "rules" | "shadowRules">;

export interface InboundPlace {
  readonly mesh: string;
  /** Name of the inbound, else its port. */
  readonly section: string;
}

/** What goes to a destination. */
export interface Traffic {
  /** What the destination speaks. */
  readonly protocol: string;
  /** The policies that made the route in question; absent where it is of connections. */
  readonly routes?: readonly Resource<PolicySpec>[] | undefined;
}

// Methods, not properties, so that a policy can stand in the list of all: each is given matches of its own kind.
export interface Contributions<Spec extends PolicySpec> {
  outbound?(matches: readonly Match<Spec>[], destination: Destination, traffic: Traffic): Pieces;
  inbound?(matches: readonly Match<Spec>[], inbound: InboundPlace): Pieces;
  /** The client's tags that its endpoints depend on. */
  clientTags?(spec: Spec): readonly string[];
  /** The routes to a destination, in the order in which they are tried. */
  routes?(matches: readonly Match<Spec>[], destination: Destination): readonly HttpRule[];
  /** Where connections to a destination go; `undefined`: there. */
  split?(matches: readonly Match<Spec>[], destination: Destination): readonly Share[] | undefined;
  /** What may pass that is not for the mesh; absent: it says nothing of it. */
  passthrough?(matches: readonly Match<Spec>[]): PassthroughConf | undefined;
}

export interface Policy<Spec extends PolicySpec = PolicySpec> {
  readonly kind: string;
  readonly schema: z.ZodType<JsonObject>;
  readonly targets: Targets;
  /** The spec with its types, and without members that this version doesn't know; or what is wrong with it. */
  parse(spec: JsonObject): Spec | readonly Issue[];
  /** Checks of meaning beyond the targets; paths from `spec`. */
  check(spec: Spec): readonly Issue[];
  readonly translate: Contributions<Spec>;
}

export const definePolicy = <Schema extends z.ZodType<PolicySpec & JsonObject>>(
  policy: Omit<Policy<z.output<Schema>>, "schema" | "parse"> & { readonly schema: Schema },
): Policy<z.output<Schema>> => ({
  ...policy,
  parse(spec) {
    const parsed = policy.schema.safeParse(asGoReads(spec), { error: sayMissing });
    return parsed.success ? parsed.data : issuesOf(parsed.error);
  },
});

/** For matching; `undefined` if the spec doesn't fit, as it may if it comes from another control plane. */
export function parsePolicy<Spec extends PolicySpec>(
  policy: Policy<Spec>,
  resource: Resource,
): Resource<Spec> | undefined {
  const spec = policy.parse(resource.spec);
  return isIssues(spec) ? undefined : { ...resource, spec };
}
const isIssues = (spec: PolicySpec | readonly Issue[]): spec is readonly Issue[] => Array.isArray(spec);

export function policyIssues(policy: Policy, resource: Resource): readonly Issue[] {
  const spec = policy.parse(resource.spec);
  if (isIssues(spec)) return spec;
  const top = spec.targetRef?.kind ?? "Mesh";
  return [
    ...topIssues(policy.targets, spec, roleOf(resource) === "system"),
    ...partIssues(policy.targets, spec),
    ...entryIssues(spec, "from", policy.targets.from?.(top)),
    ...entryIssues(spec, "to", policy.targets.to?.(top)),
    ...policy.check(spec),
  ];
}

const has = (spec: PolicySpec, part: Part): boolean => (spec[part]?.length ?? 0) > 0;

function topIssues({ top, listenerTags }: Targets, spec: PolicySpec, isSystem: boolean): readonly Issue[] {
  if (!spec.targetRef) return [];
  const allowed: Allowed = {
    kinds: isSystem ? top.system : top.namespaced,
    section: has(spec, "from") || has(spec, "rules"),
    listenerTags,
  };
  return targetRefIssues(spec.targetRef, allowed, ["spec", "targetRef"]);
}

function partIssues({ parts, needsPart }: Targets, spec: PolicySpec): readonly Issue[] {
  if (needsPart && !parts.some((part) => has(spec, part)))
    return [{ path: "spec", message: `must have ${parts.join(" or ")}, with at least one entry` }];
  const others = parts.filter((part) => part !== "rules" && has(spec, part));
  if (has(spec, "rules") && others.length > 0)
    return [
      { path: "spec", message: `must not have ${others.join(" and ")} beside rules; move that to another policy` },
    ];
  return [];
}

function entryIssues(spec: PolicySpec, part: "from" | "to", kinds: readonly TargetKind[] = []): readonly Issue[] {
  if (kinds.length === 0 && has(spec, part))
    return [{ path: at("spec", part), message: `must be left out with a targetRef of kind ${spec.targetRef?.kind}` }];
  return (spec[part] ?? []).flatMap(({ targetRef }, i) =>
    targetRefIssues(targetRef, { kinds }, ["spec", part, i, "targetRef"]),
  );
}

/** Paths of members of the spec that this version doesn't know; none of a spec that doesn't fit at all. */
export function unknownPolicyMembers(policy: Policy, spec: JsonObject): readonly string[] {
  const known = policy.schema.safeParse(asGoReads(spec));
  return known.success && isObject(known.data) ? unknownIn(spec, known.data, "spec") : [];
}

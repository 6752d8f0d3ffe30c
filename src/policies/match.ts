// Which policies are for a proxy, and for which of its inbounds (interop 3.3).

import { byAttributes, byName, firstOf, roleOf, topLevelOf } from "#policies/precedence.ts";
import { type Identity, identityOf, refersTo } from "#policies/reference.ts";
import type { PolicySpec, TargetRef } from "#policies/schema.ts";
import { type Labels, label, type Resource, tag } from "#resources/resource.ts";

/** What of a proxy its policies depend on. */
export interface ProxyFacts {
  readonly mesh: string;
  /** Display name. */
  readonly name: string;
  /** Name of the zone it is in. */
  readonly zone: string;
  readonly labels: Labels;
  readonly isGateway: boolean;
  /** The MeshGateway of a builtin one; its listeners stand where others have inbounds. */
  readonly gateway?: Identity;
  readonly inbounds: readonly InboundFacts[];
  /** Of a delegated gateway. */
  readonly gatewayTags?: Labels;
}

export interface InboundFacts {
  /** The inbound's name, else its port. */
  readonly section: string;
  readonly tags: Labels;
}

export interface Match<Spec extends PolicySpec = PolicySpec> {
  readonly policy: Resource<Spec>;
  /** Inbounds that it is for. Its `to` part is for the proxy as a whole. */
  readonly sections: readonly string[];
}

/** The policies of one kind that are for this proxy, ascending: later ones override earlier ones. `routes` are the
 * MeshHTTPRoutes that a policy may be attached to. */
export function matchedPolicies<Spec extends PolicySpec>(
  candidates: readonly Resource<Spec>[],
  proxy: ProxyFacts,
  routes: readonly Resource<PolicySpec>[] = [],
): readonly Match<Spec>[] {
  const order = firstOf(byAttributes, byName);
  return candidates
    .filter((policy) => policy.mesh === proxy.mesh && policy.labels[label.effect] !== "shadow")
    .filter((policy) => isForZone(policy, proxy) && isForNamespace(policy, proxy))
    .flatMap((policy) => {
      const sections = selected(topLevelOf(policy), policy, proxy, routes);
      return sections ? [{ policy, sections }] : [];
    })
    .sort((a, b) => order(a.policy, b.policy));
}

/** A zone's own policies are for its own proxies; only a producer speaks to clients everywhere. */
const isForZone = ({ labels }: Resource<PolicySpec>, proxy: ProxyFacts): boolean =>
  labels[label.policyRole] === "producer" ||
  labels[label.origin] !== "zone" ||
  labels[label.zone] === undefined ||
  labels[label.zone] === proxy.zone;

function isForNamespace(policy: Resource<PolicySpec>, proxy: ProxyFacts): boolean {
  const role = roleOf(policy);
  if (role === "system" || role === "producer") return true;
  return policy.labels[label.namespace] === proxy.labels[label.namespace];
}

/** Sections of the inbounds that the reference selects; `undefined` if it is not for this proxy at all. */
function selected(
  ref: TargetRef,
  from: Resource<PolicySpec>,
  proxy: ProxyFacts,
  routes: readonly Resource<PolicySpec>[],
): readonly string[] | undefined {
  switch (ref.kind) {
    case "Mesh":
      return isOfType(ref, proxy) ? proxy.inbounds.map(({ section }) => section) : undefined;
    case "MeshSubset":
      return isOfType(ref, proxy) ? selectedByTags(ref.tags ?? {}, proxy) : undefined;
    case "MeshService":
    case "MeshServiceSubset":
      return selectedByTags({ ...ref.tags, [tag.service]: ref.name ?? "" }, proxy);
    case "Dataplane":
      return selectedDataplane(ref, from, proxy);
    case "MeshHTTPRoute":
      return selectedByRoute(ref, from, proxy, routes);
    case "MeshGateway":
      return proxy.gateway && refersTo(ref, proxy.gateway, from) ? selectedByTags(ref.tags ?? {}, proxy) : undefined;
    case "MeshExternalService":
    case "MeshMultiZoneService":
      return undefined;
  }
}

const isOfType = ({ proxyTypes }: TargetRef, proxy: ProxyFacts): boolean =>
  proxyTypes === undefined || proxyTypes.length === 0 || proxyTypes.includes(proxy.isGateway ? "Gateway" : "Sidecar");

function selectedByTags(wanted: Labels, proxy: ProxyFacts): readonly string[] | undefined {
  const sections = proxy.inbounds.filter(({ tags }) => hasTags(tags, wanted)).map(({ section }) => section);
  const isSelected = sections.length > 0 || hasTags(proxy.gatewayTags ?? {}, wanted);
  return isSelected ? sections : undefined;
}

/** `*` is any value. */
const hasTags = (tags: Labels, wanted: Labels): boolean =>
  Object.entries(wanted).every(([key, value]) => tags[key] === value || (value === "*" && tags[key] !== undefined));

function selectedDataplane(
  ref: TargetRef,
  from: Resource<PolicySpec>,
  proxy: ProxyFacts,
): readonly string[] | undefined {
  if (proxy.gateway) return undefined;
  const target: Identity = { ...identityOf(proxy), name: proxy.name, zone: proxy.zone };
  if (!refersTo(ref, target, from)) return undefined;
  const sections = proxy.inbounds.map(({ section }) => section);
  if (ref.sectionName === undefined) return sections;
  return sections.includes(ref.sectionName) ? [ref.sectionName] : undefined;
}

/** A policy for a route is for the proxies that the route is for. */
function selectedByRoute(
  ref: TargetRef,
  from: Resource<PolicySpec>,
  proxy: ProxyFacts,
  routes: readonly Resource<PolicySpec>[],
): readonly string[] | undefined {
  const found = routes
    .filter((route) => route.mesh === proxy.mesh && refersTo(ref, identityOf(route), from))
    .filter((route) => isForZone(route, proxy) && isForNamespace(route, proxy))
    .flatMap((route) => {
      const top = topLevelOf(route);
      // Routes are attached to proxies, not to routes.
      return top.kind === "MeshHTTPRoute" ? [] : [selected(top, route, proxy, [])];
    })
    .filter((sections) => sections !== undefined);
  return found.length === 0 ? undefined : [...new Set(found.flat())];
}

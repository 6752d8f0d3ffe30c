// MeshHTTPRoute: the routes to a destination. Rules of several policies with the same matches become one; the rest lie
// beside each other, and the most specific match is tried first (interop 3.4).

import type { Match } from "#policies/match.ts";
import { mergeConf } from "#policies/merge.ts";
import { checkRoutes } from "#policies/mesh-http-route/check.ts";
import { filterPieces } from "#policies/mesh-http-route/filters.ts";
import { backendOf, type HttpRule } from "#policies/mesh-http-route/http-rule.ts";
import { bySpecificity, isCatchAll, routeMatches, routeName } from "#policies/mesh-http-route/matching.ts";
import { type MeshHTTPRoute, type RequestMatch, type Rule, schema } from "#policies/mesh-http-route/schema.ts";
import { definePolicy } from "#policies/policy.ts";
import type { PolicySpec, TargetKind } from "#policies/schema.ts";
import { type Destination, toEntries } from "#policies/to.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { kriOf } from "#resources/rest.ts";

const namespaced: readonly TargetKind[] = ["Mesh", "MeshSubset", "MeshService", "MeshServiceSubset", "Dataplane"];
const destinations: readonly TargetKind[] = ["MeshService", "MeshExternalService", "MeshMultiZoneService"];

export const meshHttpRoute = definePolicy({
  kind: "MeshHTTPRoute",
  schema,
  targets: {
    top: { system: [...namespaced, "MeshGateway"], namespaced },
    listenerTags: true,
    parts: ["to"],
    needsPart: false,
    to: (top) => (top === "MeshGateway" ? ["Mesh"] : destinations),
  },
  check: checkRoutes,
  translate: { routes: (matches, destination) => httpRules(matches, destination) },
});

interface MergedRule {
  readonly matches: readonly RequestMatch[];
  readonly conf: Rule["default"];
  /** Whose backends and filters those are: lists replace each other whole. */
  readonly backendsFrom: Resource<PolicySpec>;
  readonly filtersFrom: Resource<PolicySpec>;
  readonly origins: readonly Resource<PolicySpec>[];
}

const everything: RequestMatch = { path: { value: "/", type: "PathPrefix" } };

/** In the order in which Envoy must try them; the last one takes every request. */
export function httpRules(matches: readonly Match<MeshHTTPRoute>[], destination: Destination): readonly HttpRule[] {
  const rules = mergedRules(matches, destination)
    .flatMap((rule) => rule.matches.map((match) => ({ match, rule })))
    .sort((a, b) => bySpecificity(a.match, b.match));
  const routes = rules.flatMap(({ match, rule }) => routesOf(match, rule, destination));
  return rules.some(({ match }) => isCatchAll(match)) ? routes : [...routes, defaultRoute];
}

const defaultRoute: HttpRule = {
  name: routeName([everything]),
  match: { prefix: "/" },
  split: [],
  mirrors: [],
  piece: {},
  action: {},
  origins: [],
};

/** Of equally specific rules the one of the policy that wins comes first, and within a policy the first. */
function mergedRules(matches: readonly Match<MeshHTTPRoute>[], destination: Destination): readonly MergedRule[] {
  const merged = new Map<string, MergedRule>();
  for (const { entry, policy } of toEntries(matches, destination)) {
    const own = new Map<string, MergedRule>();
    for (const { matches: requests, default: conf } of entry.rules) {
      const key = routeName(requests);
      own.set(key, withRule(own.get(key) ?? merged.get(key), requests, conf, policy));
    }
    const others = [...merged].filter(([key]) => !own.has(key));
    merged.clear();
    for (const [key, rule] of [...own, ...others]) merged.set(key, rule);
  }
  return [...merged.values()];
}

const withRule = (
  before: MergedRule | undefined,
  matches: readonly RequestMatch[],
  conf: Rule["default"],
  policy: Resource<PolicySpec>,
): MergedRule => ({
  matches,
  conf: before ? mergeConf(before.conf, conf) : conf,
  backendsFrom: conf.backendRefs || !before ? policy : before.backendsFrom,
  filtersFrom: conf.filters || !before ? policy : before.filtersFrom,
  origins: [...new Set([...(before?.origins ?? []), policy])],
});

function routesOf(match: RequestMatch, rule: MergedRule, destination: Destination): readonly HttpRule[] {
  const { conf, matches, backendsFrom, filtersFrom, origins } = rule;
  const winner = origins[origins.length - 1];
  const name =
    destination.kind === "resource" && winner ? kriOf(kindNamed("MeshHTTPRoute"), winner) : routeName(matches);
  const split = (conf.backendRefs ?? []).map((ref) => ({ ...backendOf(ref, backendsFrom), weight: ref.weight ?? 1 }));
  return routeMatches(match).map(({ matched, match: routeMatch }) => {
    const { piece, ...rest } = filterPieces(conf.filters ?? [], matched, filtersFrom);
    // Envoy takes no split without any weight; there is nobody to ask, so the answer is an error.
    const isNowhere = split.length > 0 && split.every(({ weight }) => weight === 0) && !piece.redirect;
    return {
      name,
      match: routeMatch,
      split,
      piece: isNowhere ? { ...piece, directResponse: { status: 500 } } : piece,
      ...rest,
      origins,
    };
  });
}

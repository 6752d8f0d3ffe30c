// What is done with a matching request: filters as the pieces of an Envoy route.

import type { HeaderValueOptionJson, RuntimeFractionalPercentJson } from "#gen/envoy/config/core/v3/base_pb.ts";
import type {
  RedirectAction_RedirectResponseCodeJson,
  RedirectActionJson,
  RouteActionJson,
  RouteJson,
} from "#gen/envoy/config/route/v3/route_components_pb.ts";
import type { RegexMatchAndSubstituteJson } from "#gen/envoy/type/matcher/v3/regex_pb.ts";
import { headerOptions } from "#policies/header-change.ts";
import { backendOf, type HttpRule, type Mirror } from "#policies/mesh-http-route/http-rule.ts";
import type { Matched } from "#policies/mesh-http-route/matching.ts";
import type { Filter, HeaderModifier, PathRewrite } from "#policies/mesh-http-route/schema.ts";
import type { PolicySpec } from "#policies/schema.ts";
import type { Resource } from "#resources/resource.ts";

type Filtered = Pick<HttpRule, "piece" | "action" | "mirrors">;

/** `from` is the policy whose words they are. */
export const filterPieces = (filters: readonly Filter[], matched: Matched, from: Resource<PolicySpec>): Filtered => ({
  piece: Object.assign({}, ...filters.map((filter) => routePiece(filter, matched))),
  action: Object.assign({}, ...filters.map((filter) => rewrite(filter, matched))),
  mirrors: filters.flatMap((filter) => mirrorsOf(filter, from)),
});

function routePiece(filter: Filter, matched: Matched): RouteJson {
  switch (filter.type) {
    case "RequestHeaderModifier": {
      const { add, remove } = headerChanges(filter.requestHeaderModifier);
      return { ...(add && { requestHeadersToAdd: add }), ...(remove && { requestHeadersToRemove: remove }) };
    }
    case "ResponseHeaderModifier": {
      const { add, remove } = headerChanges(filter.responseHeaderModifier);
      return { ...(add && { responseHeadersToAdd: add }), ...(remove && { responseHeadersToRemove: remove }) };
    }
    case "RequestRedirect":
      return { redirect: redirect(filter.requestRedirect ?? {}, matched) };
    case "URLRewrite":
    case "RequestMirror":
      return {};
  }
}

function headerChanges({ remove = [], ...change }: HeaderModifier = {}): {
  add?: HeaderValueOptionJson[];
  remove?: string[];
} {
  const added = headerOptions(change);
  return { ...(added.length > 0 && { add: added }), ...(remove.length > 0 && { remove: [...remove] }) };
}

const responseCodes: Readonly<Record<number, RedirectAction_RedirectResponseCodeJson>> = {
  301: "MOVED_PERMANENTLY",
  302: "FOUND",
  303: "SEE_OTHER",
  307: "TEMPORARY_REDIRECT",
  308: "PERMANENT_REDIRECT",
};

function redirect(to: NonNullable<Filter["requestRedirect"]>, matched: Matched): RedirectActionJson {
  const { scheme, hostname, port, path, statusCode = 302 } = to;
  return {
    ...(scheme && { schemeRedirect: scheme }),
    ...(hostname && { hostRedirect: hostname }),
    ...(port && { portRedirect: port }),
    ...(path?.type === "ReplaceFullPath" && { pathRedirect: path.replaceFullPath ?? "/" }),
    ...(path?.type === "ReplacePrefixMatch" && { prefixRewrite: prefixReplacement(path, matched) }),
    responseCode: responseCodes[statusCode] ?? "FOUND",
  };
}

function rewrite(filter: Filter, matched: Matched): RouteActionJson {
  if (filter.type !== "URLRewrite") return {};
  const { hostname, path } = filter.urlRewrite ?? {};
  return {
    ...(hostname && { hostRewriteLiteral: hostname }),
    ...(path?.type === "ReplaceFullPath" && { regexRewrite: wholePath(path.replaceFullPath ?? "/") }),
    ...(path?.type === "ReplacePrefixMatch" && { prefixRewrite: prefixReplacement(path, matched) }),
  };
}

/** A backslash in a substitution refers to a group. */
const wholePath = (path: string): RegexMatchAndSubstituteJson => ({
  pattern: { regex: "^.*$" },
  substitution: path.replaceAll("\\", "\\\\"),
});

/** Envoy puts it in the place of what it matched: `/v2` where that is the whole path, `/v2/` where more follows. */
function prefixReplacement({ replacePrefixMatch = "" }: PathRewrite, matched: Matched): string {
  if (matched === "prefix") return `${replacePrefixMatch.replace(/\/+$/, "")}/`;
  return replacePrefixMatch || "/";
}

function mirrorsOf(filter: Filter, from: Resource<PolicySpec>): readonly Mirror[] {
  if (filter.type !== "RequestMirror" || !filter.requestMirror) return [];
  const { backendRef, percentage } = filter.requestMirror;
  return [
    {
      backend: backendOf(backendRef, from),
      ...(percentage !== undefined && { fraction: fraction(Number(percentage)) }),
    },
  ];
}

const fraction = (percent: number): RuntimeFractionalPercentJson => ({
  defaultValue: Number.isInteger(percent)
    ? { numerator: percent, denominator: "HUNDRED" }
    : { numerator: Math.round(percent * 10_000), denominator: "MILLION" },
});

// Which requests a rule is for: as matches of Envoy's routes, in the order in which routes must be tried, and by name.

import type {
  HeaderMatcherJson,
  QueryParameterMatcherJson,
  RouteMatchJson,
} from "#gen/envoy/config/route/v3/route_components_pb.ts";
import { sha256Base64 } from "#lib/hash.ts";
import { headerMatcher } from "#policies/header-match.ts";
import type { RequestMatch } from "#policies/mesh-http-route/schema.ts";
import { by, firstOf } from "#policies/precedence.ts";

/** How much of the path a match has looked at: a rewrite depends on it. */
export type Matched = "whole" | "prefix" | "pattern";

/** A prefix matches whole path elements, so one that isn't `/` becomes two: `/v2`, and what begins with `/v2/`. */
export function routeMatches(
  match: RequestMatch,
): readonly { readonly matched: Matched; readonly match: RouteMatchJson }[] {
  const { path = { type: "PathPrefix", value: "/" }, method, headers = [], queryParams = [] } = match;
  const conditions: HeaderMatcherJson[] = [
    ...(method ? [{ name: ":method", stringMatch: { exact: method } }] : []),
    ...headers.map(headerMatcher),
  ];
  const rest: RouteMatchJson = {
    ...(conditions.length > 0 && { headers: conditions }),
    ...(queryParams.length > 0 && { queryParameters: queryParams.map(queryMatcher) }),
  };
  const { type, value } = path;
  switch (type) {
    case "Exact":
      return [{ matched: "whole", match: { path: value, ...rest } }];
    case "RegularExpression":
      return [{ matched: "pattern", match: { safeRegex: { regex: value }, ...rest } }];
    case "PathPrefix":
      if (value === "/") return [{ matched: "prefix", match: { prefix: value, ...rest } }];
      return [
        { matched: "whole", match: { path: value, ...rest } },
        { matched: "prefix", match: { prefix: `${value}/`, ...rest } },
      ];
  }
}

type QueryMatch = NonNullable<RequestMatch["queryParams"]>[number];
const queryMatcher = ({ type, name, value }: QueryMatch): QueryParameterMatcherJson => ({
  name,
  stringMatch: type === "Exact" ? { exact: value } : { safeRegex: { regex: value } },
});

/** Takes every request. */
export const isCatchAll = ({ path, method, headers = [], queryParams = [] }: RequestMatch): boolean =>
  (path === undefined || (path.type === "PathPrefix" && path.value === "/")) &&
  method === undefined &&
  headers.length === 0 &&
  queryParams.length === 0;

/** Paths: exact, longer prefixes, longer patterns, none at all. What takes every request is last: nothing after it would
 * ever match. */
function pathRank(match: RequestMatch): number {
  if (isCatchAll(match)) return 4;
  switch (match.path?.type) {
    case "Exact":
      return 0;
    case "PathPrefix":
      return 1;
    case "RegularExpression":
      return 2;
    case undefined:
      return 3;
  }
}

/** The Gateway API's order: https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule */
export const bySpecificity = firstOf<RequestMatch>(
  by(pathRank),
  by(({ path }) => (path?.type === "Exact" ? 0 : -(path?.value.length ?? 0))),
  by(({ method }) => (method === undefined ? 1 : 0)),
  by(({ headers = [] }) => -headers.length),
  by(({ queryParams = [] }) => -queryParams.length),
);

/** The name that Kuma gives the routes of these matches: a hash of what Go makes of them in JSON (interop 7.1). */
export function routeName(matches: readonly RequestMatch[]): string {
  const ordered = matches.map(({ path, method, queryParams = [], headers = [] }) => ({
    path: path && { value: path.value, type: path.type },
    method,
    queryParams:
      queryParams.length === 0 ? undefined : queryParams.map(({ type, name, value }) => ({ type, name, value })),
    headers:
      headers.length === 0 ? undefined : headers.map(({ type = "Exact", name, value }) => ({ type, name, value })),
  }));
  const escaped = JSON.stringify(ordered).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return sha256Base64(escaped);
}

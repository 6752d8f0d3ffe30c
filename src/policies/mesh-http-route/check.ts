// What a MeshHTTPRoute must say besides its shape. What passes here, Envoy accepts.

import { at, type Issue } from "#lib/issue.ts";
import { headerMatchIssues } from "#policies/header-match.ts";
import { backends } from "#policies/mesh-http-route/http-rule.ts";
import type {
  Filter,
  HeaderModifier,
  MeshHTTPRoute,
  PathRewrite,
  RequestMatch,
  Rule,
} from "#policies/mesh-http-route/schema.ts";
import { regexIssues } from "#policies/regex.ts";
import { backendRefIssues } from "#policies/target-ref.ts";

type Path = readonly (string | number)[];
const issue = (path: Path, message: string): Issue => ({ path: at(...path), message });

export function checkRoutes(spec: MeshHTTPRoute): readonly Issue[] {
  const isGateway = spec.targetRef?.kind === "MeshGateway";
  return (spec.to ?? []).flatMap(({ hostnames = [], rules }, i) => {
    const path = ["spec", "to", i];
    const noHostnames =
      hostnames.length > 0 && !isGateway
        ? [issue([...path, "hostnames"], "can only be set with a targetRef of kind MeshGateway")]
        : [];
    return [...noHostnames, ...rules.flatMap((rule, j) => ruleIssues(rule, isGateway, [...path, "rules", j]))];
  });
}

function ruleIssues({ matches, default: conf }: Rule, isGateway: boolean, path: Path): readonly Issue[] {
  const { filters = [], backendRefs = [] } = conf;
  const isPrefix = matches.every((match) => match.path?.type === "PathPrefix");
  const issues = [
    ...matches.flatMap((match, i) => matchIssues(match, [...path, "matches", i])),
    ...filters.flatMap((filter, i) => filterIssues(filter, isPrefix, isGateway, [...path, "default", "filters", i])),
    ...backendRefs.flatMap((ref, i) => backendRefIssues(ref, backends, [...path, "default", "backendRefs", i])),
  ];
  const answers = backendRefs.length > 0 || filters.some(({ type }) => type === "RequestRedirect");
  if (isGateway && !answers)
    issues.push(
      issue([...path, "default", "backendRefs"], "must have an item: a gateway has no destination of its own"),
    );
  return issues;
}

function matchIssues({ path: requested, headers = [], queryParams = [] }: RequestMatch, path: Path): readonly Issue[] {
  const issues = [
    ...(requested ? pathIssues(requested, [...path, "path", "value"]) : []),
    ...headers.flatMap((header, i) => headerMatchIssues(header, [...path, "headers", i])),
  ];
  queryParams.forEach(({ type, name, value }, i) => {
    const where = [...path, "queryParams", i];
    if (queryParams.findIndex((other) => other.name === name) !== i)
      issues.push(issue([...where, "name"], `must not be given twice: ${name}`));
    if (type === "RegularExpression") issues.push(...regexIssues(value, [...where, "value"]));
  });
  return issues;
}

function pathIssues({ type, value }: NonNullable<RequestMatch["path"]>, path: Path): readonly Issue[] {
  if (type === "RegularExpression") return regexIssues(value, path);
  if (!value.startsWith("/")) return [issue(path, "must begin with /")];
  if (type === "PathPrefix" && value !== "/" && value.endsWith("/"))
    return [issue(path, "must not end in /: a prefix matches whole path elements anyway")];
  return [];
}

function filterIssues(filter: Filter, isPrefix: boolean, isGateway: boolean, path: Path): readonly Issue[] {
  const { type, requestHeaderModifier, responseHeaderModifier, requestRedirect, urlRewrite, requestMirror } = filter;
  const absent = (member: string): Issue[] => [issue([...path, member], `is required with type ${type}`)];
  switch (type) {
    case "RequestHeaderModifier":
      if (!requestHeaderModifier) return absent("requestHeaderModifier");
      return headerIssues(requestHeaderModifier, [...path, "requestHeaderModifier"]);
    case "ResponseHeaderModifier":
      if (!responseHeaderModifier) return absent("responseHeaderModifier");
      return headerIssues(responseHeaderModifier, [...path, "responseHeaderModifier"]);
    case "RequestRedirect":
      if (!requestRedirect) return absent("requestRedirect");
      return rewriteIssues(requestRedirect.path, isPrefix, [...path, "requestRedirect", "path"]);
    case "URLRewrite":
      if (!urlRewrite) return absent("urlRewrite");
      return [
        ...rewriteIssues(urlRewrite.path, isPrefix, [...path, "urlRewrite", "path"]),
        ...backendHostnameIssues(urlRewrite, isGateway, [...path, "urlRewrite", "hostToBackendHostname"]),
      ];
    case "RequestMirror":
      if (!requestMirror) return absent("requestMirror");
      return backendRefIssues(requestMirror.backendRef, backends, [...path, "requestMirror", "backendRef"]);
  }
}

function headerIssues({ set = [], add = [], remove = [] }: HeaderModifier, path: Path): readonly Issue[] {
  const named = [
    ...set.map(({ name }, i) => ({ name, where: [...path, "set", i, "name"] })),
    ...add.map(({ name }, i) => ({ name, where: [...path, "add", i, "name"] })),
    ...remove.map((name, i) => ({ name, where: [...path, "remove", i] })),
  ];
  if (named.length === 0) return [issue(path, "must have set, add or remove")];
  return named.flatMap(({ name, where }, i) => {
    if (name === "host") return [issue(where, "must not be host: use a filter of type URLRewrite with hostname")];
    if (named.findIndex((other) => other.name === name) !== i)
      return [issue(where, `must not be changed twice: ${name}`)];
    return [];
  });
}

function rewriteIssues(rewrite: PathRewrite | undefined, isPrefix: boolean, path: Path): readonly Issue[] {
  if (!rewrite) return [];
  const isFull = rewrite.type === "ReplaceFullPath";
  const value = isFull ? rewrite.replaceFullPath : rewrite.replacePrefixMatch;
  const where = [...path, isFull ? "replaceFullPath" : "replacePrefixMatch"];
  if (value === undefined) return [issue(where, `is required with type ${rewrite.type}`)];
  if (!isFull && !isPrefix) return [issue(where, "can only be set if all matches have a path of type PathPrefix")];
  if (!/^\/[^\s\p{Cc}]*$/u.test(value) && (isFull || value !== ""))
    return [issue(where, "must begin with / and have no spaces")];
  return [];
}

function backendHostnameIssues(
  { hostname, hostToBackendHostname = false }: NonNullable<Filter["urlRewrite"]>,
  isGateway: boolean,
  path: Path,
): readonly Issue[] {
  if (!hostToBackendHostname) return [];
  if (!isGateway) return [issue(path, "can only be set with a targetRef of kind MeshGateway")];
  return hostname ? [issue(path, "must not be set beside hostname")] : [];
}

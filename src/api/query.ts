// Query parameters of lists (interop 1.8): which resources, and which page of them.

import { invalid, Problem } from "#api/problem.ts";
import type { Call } from "#api/router.ts";
import type { Issue } from "#lib/issue.ts";
import { isObject, type JsonValue } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";

const title = "Could not retrieve resources";
const maxPageSize = 1000;

export interface Page<Item> {
  readonly total: number;
  readonly items: readonly Item[];
  /** An absolute URL, or `null` at the end. */
  readonly next: string | null;
}

export function pageOf<Item>(items: readonly Item[], { query, origin, path }: Call): Page<Item> {
  const size = sizeIn(query);
  const offset = offsetIn(query);
  const end = offset + size;
  return {
    total: items.length,
    items: items.slice(offset, end),
    next: end < items.length ? `${origin}${path}?${withOffset(query, end)}` : null,
  };
}

function withOffset(query: URLSearchParams, offset: number): URLSearchParams {
  const next = new URLSearchParams(query);
  next.set("offset", String(offset));
  next.sort();
  return next;
}

function sizeIn(query: URLSearchParams): number {
  const text = query.get("size") || "100";
  const refuse = (message: string): Problem =>
    new Problem(400, title, "Invalid page size", [{ path: "size", message }]);
  if (!/^[+-]?\d+$/.test(text)) throw refuse("invalid format");
  const size = Number(text);
  if (size <= 0) throw refuse("must be greater than 0");
  if (size > maxPageSize) throw refuse(`invalid page size of ${size}. Maximum page size is ${maxPageSize}`);
  return size;
}

function offsetIn(query: URLSearchParams): number {
  const text = query.get("offset") || "0";
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new Problem(400, title, `invalid offset: must be a number that is not negative, not ${JSON.stringify(text)}`);
}

/** Keeps the resources that match `name`, `filter[labels.…]`, `tag` and `gateway`. `route` names the list in refusals. */
export function filtered(resources: readonly Resource[], { query }: Call, route: string): readonly Resource[] {
  const issues: Issue[] = [];
  const wantedLabels = labelFilters(query, route, issues);
  const gateway = gatewayFilter(query, route, issues);
  if (issues.length > 0) throw invalid(title, issues);
  const name = query.get("name") ?? "";
  const tags = tagFilters(query);
  return resources.filter(
    (resource) =>
      resource.name.includes(name) &&
      wantedLabels.every(([key, value]) => resource.labels[key] === value) &&
      (!hasTags.has(resource.kind) || tags.every(([key, value]) => hasTag(resource, key, value))) &&
      (resource.kind !== "Dataplane" || gateway(resource)),
  );
}

const hasTags: ReadonlySet<string> = new Set(["Dataplane", "ExternalService"]);

function labelFilters(query: URLSearchParams, route: string, issues: Issue[]): [string, string][] {
  const filters: [string, string][] = [];
  for (const [parameter, value] of query) {
    if (!parameter.startsWith("filter[")) continue;
    const key = /^filter\[labels\.(.+)\]$/.exec(parameter)?.[1];
    if (key === undefined)
      issues.push({ path: `${route}.${parameter}`, message: "filters are only supported on labels" });
    else filters.push([key, value]);
  }
  return filters;
}

/** Of two with the same key the last counts; without `:` there is nothing to look for. */
function tagFilters(query: URLSearchParams): [string, string][] {
  const byKey = new Map<string, string>();
  for (const text of query.getAll("tag")) {
    const colon = text.indexOf(":");
    if (colon > 0) byKey.set(text.slice(0, colon), text.slice(colon + 1));
  }
  return [...byKey];
}

function hasTag(resource: Resource, key: string, part: string): boolean {
  return tagSets(resource).some((tags) => {
    const value = isObject(tags) ? tags[key] : undefined;
    return typeof value === "string" && value.includes(part);
  });
}

function tagSets({ kind, spec }: Resource): readonly (JsonValue | undefined)[] {
  if (kind === "ExternalService") return [spec.tags];
  const { gateway, inbound } = networkingOf(spec);
  const inbounds = Array.isArray(inbound) ? inbound : [];
  return [...inbounds, gateway].map((part: JsonValue | undefined) => (isObject(part) ? part.tags : undefined));
}

const networkingOf = (spec: Resource["spec"]) => (isObject(spec.networking) ? spec.networking : {});

function gatewayFilter(query: URLSearchParams, route: string, issues: Issue[]): (dataplane: Resource) => boolean {
  const wanted = query.get("gateway") || undefined;
  const gatewayOf = (dataplane: Resource) => networkingOf(dataplane.spec).gateway;
  switch (wanted) {
    case undefined:
      return () => true;
    case "true":
      return (dataplane) => gatewayOf(dataplane) !== undefined;
    case "false":
      return (dataplane) => gatewayOf(dataplane) === undefined;
    case "builtin":
    case "delegated":
      return (dataplane) => {
        const gateway = gatewayOf(dataplane);
        // Proto JSON omits the default, which is DELEGATED.
        return isObject(gateway) && (gateway.type === "BUILTIN") === (wanted === "builtin");
      };
  }
  issues.push({ path: `${route}.gateway`, message: `must be true, false, builtin or delegated, not ${wanted}` });
  return () => true;
}

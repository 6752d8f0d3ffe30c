// Overviews: a proxy or zone together with what is recorded about it (interop 9.2).

import { insightKinds } from "#api/in-use.ts";
import { existing, listOf } from "#api/resource-routes.ts";
import type { Access, Route } from "#api/router.ts";
import type { JsonObject } from "#lib/json.ts";
import type { Kind } from "#resources/kind.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { toRest } from "#resources/rest.ts";
import type { Store } from "#resources/store.ts";

/** Paths that old clients ask for, besides `…/_overview`. */
const aliases: Readonly<Record<string, { readonly list: string; readonly one: string }>> = {
  Dataplane: { list: "dataplanes+insights", one: "dataplanes+insights/:name" },
  ZoneIngress: { list: "zoneingresses+insights", one: "zoneingresses+insights/:name" },
  ZoneEgress: { list: "zoneegressoverviews", one: "zoneegressoverviews/:name" },
  Zone: { list: "zones+insights", one: "zones+insights/:name" },
};

export function overviewRoutes(store: Store): Route[] {
  return Object.keys(insightKinds).flatMap((name) => routesOf(store, kindNamed(name)));
}

function routesOf(store: Store, kind: Kind): Route[] {
  const access: Access = { kind };
  const show = (resource: Resource) => overviewOf(store, kind, resource);
  const list = (path: string): Route => ({
    path,
    access,
    methods: { GET: (call) => listOf(store, call, kind, path.replace(":mesh", "{mesh}"), show) },
  });
  const one = (path: string): Route => ({
    path,
    access,
    methods: { GET: (call) => ({ json: show(existing(store, call, kind)) }) },
  });
  const { list: oldList, one: oldOne } = aliases[kind.name]!;
  const segments = [kind.plural, kind.alias].filter((segment) => segment !== undefined);
  const lists = [...segments.map((segment) => `${segment}/_overview`), oldList];
  const ones = [...segments.map((segment) => `${segment}/:name/_overview`), oldOne];
  const prefix = kind.scope === "Mesh" ? "/meshes/:mesh" : "";
  return [
    ...lists.map((path) => list(`${prefix}/${path}`)),
    ...ones.map((path) => one(`${prefix}/${path}`)),
    ...(kind.scope === "Mesh" ? lists.map((path) => list(`/${path}`)) : []),
  ];
}

function overviewOf(store: Store, kind: Kind, resource: Resource): JsonObject {
  const { type: _type, ...meta } = toRest(kind, { ...resource, spec: {} });
  const insight = store.get({ kind: insightKinds[kind.name]!, mesh: resource.mesh, name: resource.name });
  const member = kind.name[0]!.toLowerCase() + kind.name.slice(1);
  return {
    type: `${kind.name}Overview`,
    ...meta,
    [member]: resource.spec,
    ...(insight && { [`${member}Insight`]: insight.spec }),
  };
}

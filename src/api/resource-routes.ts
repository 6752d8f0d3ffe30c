// `GET`, `PUT` and `DELETE` of single resources and lists, for every kind (interop 9.1).

import { admitDelete, admitPut, bodyOf, type Rules } from "#api/admission.ts";
import { change } from "#api/change.ts";
import { requireWritable } from "#api/ownership.ts";
import { notFound } from "#api/problem.ts";
import { filtered, pageOf } from "#api/query.ts";
import { meshOf } from "#api/rights.ts";
import type { Access, Answer, Call, Route } from "#api/router.ts";
import { shownRest } from "#api/written-keys.ts";
import type { Kind } from "#resources/kind.ts";
import { kindNamed, kinds } from "#resources/kinds.ts";
import type { Resource, ResourceId } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

export function resourceRoutes(store: Store, rules: Rules): Route[] {
  return kinds.flatMap((kind) => {
    const segments = [kind.plural, kind.alias].filter((segment) => segment !== undefined);
    return segments.flatMap((segment) => routesOf(store, rules, kind, segment));
  });
}

function routesOf(store: Store, rules: Rules, kind: Kind, segment: string): Route[] {
  const access: Access = { kind };
  const list = (path: string): Route => ({
    path,
    access,
    methods: { GET: (call) => listOf(store, call, kind, path.replace(":mesh", "{mesh}"), (r) => shownRest(kind, r)) },
  });
  const one = (path: string): Route => ({
    path,
    access,
    methods: {
      GET: (call) => ({ json: shownRest(kind, existing(store, call, kind)) }),
      PUT: (call) => put(store, rules, kind, call),
      DELETE: (call) => remove(store, rules, kind, call),
    },
  });
  if (kind.scope === "Global") return [list(`/${segment}`), one(`/${segment}/:name`)];
  return [list(`/${segment}`), list(`/meshes/:mesh/${segment}`), one(`/meshes/:mesh/${segment}/:name`)];
}

/** What goes with something else, too. What control planes write themselves goes without asking. */
function requireDelete({ rights }: Call, id: ResourceId): void {
  const kind = kindNamed(id.kind);
  if (!kind.readOnly) rights.requireWrite(kind, meshOf(kind, id));
}

/** A page of a kind, as far as the user may read it, in the call's mesh if its path names one. `route` is the path with its parameters in braces. */
export function listOf(
  store: Store,
  call: Call,
  kind: Kind,
  route: string,
  show: (resource: Resource) => unknown,
): Answer {
  requireMesh(store, call);
  const { mesh } = call.params;
  const all = store.list(kind.name);
  const inMesh = mesh === undefined ? all : all.filter((resource) => resource.mesh === mesh);
  const readable = call.rights.isAdmin
    ? inMesh
    : inMesh.filter((resource) => call.rights.mayRead(kind, meshOf(kind, resource)));
  const page = pageOf(filtered(readable, call, route), call);
  return { json: { ...page, items: page.items.map(show) } };
}

/** The resource that the call's path names; throws a 404. */
export function existing(store: Store, call: Call, kind: Kind): Resource {
  requireMesh(store, call);
  const resource = store.get(idIn(call, kind));
  if (!resource) throw notFound("Could not retrieve a resource");
  return resource;
}

const idIn = ({ params }: Call, kind: Kind): ResourceId => ({
  kind: kind.name,
  mesh: params.mesh ?? "",
  name: params.name ?? "",
});

function requireMesh(store: Store, { params: { mesh } }: Call): void {
  if (mesh !== undefined && !store.get({ kind: "Mesh", mesh: "", name: mesh }))
    throw notFound("Failed to retrieve Mesh");
}

const put = (store: Store, rules: Rules, kind: Kind, call: Call): Promise<Answer> =>
  change(store, call, () => {
    requireWritable(rules, kind);
    requireMesh(store, call);
    const id = idIn(call, kind);
    const { edit, result, warnings } = admitPut(rules, kind, bodyOf(kind, call.body), id, store.get(id), store);
    const answer = { status: result === "created" ? 201 : 200, json: warnings.length > 0 ? { warnings } : {} };
    return { edits: [edit], answer: () => answer };
  });

const remove = (store: Store, rules: Rules, kind: Kind, call: Call): Promise<Answer> =>
  change(store, call, () => {
    requireWritable(rules, kind);
    requireMesh(store, call);
    const edits = admitDelete(rules, kind, store.get(idIn(call, kind)), store, store.all());
    for (const edit of edits) if (edit.kind === "delete") requireDelete(call, edit.id);
    return { edits, answer: () => ({ json: {} }) };
  });

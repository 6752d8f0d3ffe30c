// `POST /_apply`: a list of resources in one transaction, all or nothing. Each is checked against the state that all of them
// together will make, so their order does not matter. A refusal lists what is wrong by the position in the list.

import { type Admitted, admitPut, type Rules } from "#api/admission.ts";
import { change, type Plan } from "#api/change.ts";
import { badRequest, invalid, Problem, problemJson } from "#api/problem.ts";
import { meshOf } from "#api/rights.ts";
import type { Answer, Call, Route } from "#api/router.ts";
import { isObject, type JsonObject, parseJson, whyNotJson } from "#lib/json.ts";
import { didYouMean } from "#lib/nearest.ts";
import type { Kind } from "#resources/kind.ts";
import { findKind, kinds } from "#resources/kinds.ts";
import { describeId, keyOf, type Resource, type ResourceId } from "#resources/resource.ts";
import { fromRest } from "#resources/rest.ts";
import type { Store, View } from "#resources/store.ts";

/** What became of one resource of the list. */
export interface Applied {
  readonly type: string;
  readonly mesh?: string;
  readonly name: string;
  readonly result: Admitted["result"];
  readonly warnings: readonly string[];
}
export interface ApplyAnswer {
  readonly revision: number;
  readonly resources: readonly Applied[];
}
/** A refusal has this beside the members of interop 1.10. */
export interface DocumentProblem {
  readonly index: number;
  readonly title: string;
  readonly detail: string;
  readonly invalid_parameters: readonly { readonly field: string; readonly reason: string }[];
}

export const applyRoute = (store: Store, rules: Rules): Route => ({
  path: "/_apply",
  access: "known",
  methods: { POST: (call) => change(store, call, () => planOf(store, rules, call)) },
});

function listIn(text: string): readonly unknown[] {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    throw badRequest(whyNotJson(error));
  }
  if (!Array.isArray(value)) throw badRequest("must be a list of resources");
  return value;
}

interface Document {
  readonly kind: Kind;
  readonly id: ResourceId;
  readonly body: JsonObject;
}

function planOf(store: Store, rules: Rules, call: Call): Plan {
  const list = listIn(call.body);
  const documents = list.map((item) => attempt(() => documentOf(item)));
  const readable = documents.filter(isFine);
  for (const { kind, id } of readable) call.rights.requireWrite(kind, meshOf(kind, id));
  const view = viewAfter(store, readable);
  const admitted = documents.map((document, index) =>
    isProblem(document)
      ? document
      : attempt(() => {
          if (documents.findIndex((other) => isSame(other, document)) < index) throw twice(document.id);
          return admit(store, rules, document, view);
        }),
  );
  const problems = admitted.flatMap((outcome, index) => (isProblem(outcome) ? [{ index, outcome }] : []));
  if (problems.length > 0) return { edits: [], answer: () => refusal(problems, list.length) };

  const accepted = admitted.filter(isFine);
  return {
    edits: accepted.map(({ edit }) => edit),
    answer: (revision) => ({ json: { revision, resources: accepted.map(appliedOf) } satisfies ApplyAnswer }),
  };
}

function attempt<T>(work: () => T): T | Problem {
  try {
    return work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
}

function documentOf(item: unknown): Document {
  if (!isObject(item)) throw badRequest("must be an object");
  const refuse = (path: string, message: string): Problem => invalid(title, [{ path, message }]);
  const { type } = item;
  if (typeof type !== "string") throw refuse("type", "is required: the kind of the resource, like MeshTimeout");
  const kind = findKind(type);
  if (!kind || kind.plural === undefined)
    throw refuse("type", `there is no kind ${JSON.stringify(type)}${didYouMean(type, kindNames)}`);
  // Only for the identity; what is wrong with the rest is said when the document is admitted.
  const { resource, issues } = fromRest(kind, item);
  const { mesh, name } = resource;
  const wrong = issues.filter(({ path }) => path === "name" || path === "mesh");
  if (wrong.length > 0) throw invalid(title, wrong);
  return { kind, id: { kind: kind.name, mesh, name }, body: item };
}
const kindNames: readonly string[] = kinds.filter((kind) => kind.plural !== undefined).map((kind) => kind.name);

const isProblem = (outcome: unknown): outcome is Problem => outcome instanceof Problem;
const isFine = <T>(outcome: T | Problem): outcome is T => !isProblem(outcome);
const isSame = (a: Document | Problem, b: Document): boolean =>
  !isProblem(a) && a.kind === b.kind && keyOf(a.id) === keyOf(b.id);
const twice = (id: ResourceId): Problem =>
  invalid(title, [{ path: "", message: `${describeId(id)} is in the list twice; keep one of them` }]);

/** What checks look up, as it will be: only kinds of global scope and secrets are referred to by name. */
function viewAfter(store: Store, documents: readonly Document[]): View {
  const added = new Map<string, Resource>();
  for (const { kind, id, body } of documents) added.set(`${kind.name}/${keyOf(id)}`, fromRest(kind, body).resource);
  return { get: (id) => added.get(`${id.kind}/${keyOf(id)}`) ?? store.get(id), list: store.list };
}

function admit(store: Store, rules: Rules, { kind, id, body }: Document, view: View): Admitted {
  if (id.mesh !== "" && !view.get({ kind: "Mesh", mesh: "", name: id.mesh }))
    throw invalid(title, [
      { path: "mesh", message: `mesh "${id.mesh}" does not exist; apply it first, or in the same file` },
    ]);
  return admitPut(rules, kind, body, id, store.get(id), view);
}

const appliedOf = ({ edit: { resource }, result, warnings }: Admitted): Applied => ({
  type: resource.kind,
  ...(resource.mesh !== "" && { mesh: resource.mesh }),
  name: resource.name,
  result,
  warnings,
});

function refusal(problems: readonly { readonly index: number; readonly outcome: Problem }[], total: number): Answer {
  const detail = `${problems.length} of ${total} resources are refused; nothing was applied`;
  const documents = problems.map(({ index, outcome }): DocumentProblem => {
    const { title, message, issues } = outcome;
    const parameters = issues.map(({ path, message }) => ({ field: path, reason: message }));
    return { index, title, detail: message.trimEnd(), invalid_parameters: parameters };
  });
  return { status: 400, json: { ...problemJson(new Problem(400, "Could not apply", detail)), documents } };
}

const title = "Could not process a resource";

// Requests to the HTTP API: resources of all kinds with members changed, several at once, and other paths and methods.

import { kinds } from "#resources/kinds.ts";
import { type Facts, proxyNamed } from "./facts.ts";
import { type HttpInput, type Input, mutated, mutatedJson, rawTcp, rawTls, withRaw } from "./inputs.ts";
import { listOf, type Make, oneOf } from "./made.ts";

const headers = { "content-type": "application/json" };
const policies = kinds.filter(
  ({ sync, plural, readOnly, scope }) => sync.writtenOnGlobal && plural && !readOnly && scope === "Mesh",
);
/** Where a resource of mesh `fuzz` is written, and as what; some names: what is stored stays within bounds. */
const samples = policies.flatMap(({ name: type, plural, style }) =>
  Array.from({ length: 20 }, (_, at): Make<{ readonly path: string; readonly body: string }> => {
    const name = `fuzz-${at}`;
    const spec = {
      targetRef: { kind: "Mesh" },
      to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "1s" } }],
      from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }],
      rules: [{ matches: [{ path: { type: "Exact", value: "/" } }], default: {} }],
    };
    const own = style === "spec" ? { spec } : { sources: [{ match: { "kuma.io/service": "*" } }], conf: {} };
    const body = mutatedJson([{ type, mesh: "fuzz", name, labels: { a: "b" }, ...own }, proxyNamed(name)]);
    return (of) => ({ path: `/meshes/fuzz/${plural}/${name}`, body: body(of) });
  }),
);
const sample: Make<{ readonly path: string; readonly body: string }> = (of) => of.pick(samples)(of);

const written: Make<HttpInput> = (of) => {
  const { path, body } = sample(of);
  const method = of.pick(["PUT", "PUT", "PUT", "DELETE"]);
  return { kind: "http", method, path, headers, body: Buffer.from(body) };
};

const several = listOf(sample, 5);
const applied: Make<HttpInput> = (of) => {
  const body = Buffer.from(`[${several(of).map(({ body }) => body)}]`);
  return { kind: "http", method: "POST", path: "/_apply", headers, body };
};

const paths = [
  "/meshes/fuzz/meshtimeouts?size=10&offset=0&name=a",
  "/dataplanes/_overview?tag=a:b&gateway=true",
  "/tokens/dataplane",
  "/config",
  "/meshes/fuzz",
  "/mesh-insights",
  "/zones/zone-a",
];
const oddPath = mutated(paths);
const oddBody = mutated(['{"mesh":"fuzz","name":"a","tags":{"a":["b"]},"validFor":"1h"}']);
const others: Make<HttpInput> = (of) => ({
  kind: "http",
  method: of.pick(["GET", "POST", "HEAD", "OPTIONS", "PATCH"]),
  path: encodeURI(`/${oddPath(of).toString("latin1")}`).replace("//", "/"),
  headers: of.pick<HttpInput["headers"]>([headers, { accept: "text/html" }, { ...headers, authorization: "Bearer x" }]),
  body: oddBody(of),
});

const requests = oneOf<HttpInput>([3, written], [1, applied], [2, others]);

/** On the plain port, where every process of this machine is an administrator. */
export const apiInputs: Make<Input> = withRaw(requests, rawTcp);

/** Over TLS, as a user who has no role. */
export function userInputs({ reader }: Facts): Make<Input> {
  const authorization = `Bearer ${reader}`;
  const asked: Make<Input> = (of) => {
    const request = requests(of);
    return { ...request, headers: { authorization, ...request.headers } };
  };
  return withRaw(asked, rawTls);
}

const diagnosed = mutated(["healthy", "ready", "metrics?name=a", "logging", "logging/api", "logging/all"]);
const level = mutatedJson([
  { component: "api", level: "debug" },
  { component: "kds", level: "info" },
]);
const levelBytes = mutated(['{"component":"api","level":"warn"}']);

/** Of log levels, too: none that would hide an error. */
export const diagnosticsInputs: Make<Input> = withRaw(
  (of) => ({
    kind: "http",
    method: of.pick(["GET", "PUT", "PUT", "DELETE", "POST", "HEAD"]),
    path: of.is(0.5) ? "/logging" : encodeURI(`/${diagnosed(of).toString("latin1")}`),
    headers: of.pick<HttpInput["headers"]>([headers, headers, {}, { "x-forwarded-for": "10.0.0.1" }]),
    body: of.is(0.7) ? Buffer.from(level(of)) : levelBytes(of),
  }),
  rawTcp,
);

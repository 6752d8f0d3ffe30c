// Requests to the HTTP API: resources of all kinds with members changed, several at once, and other paths and methods.

import fc from "fast-check";
import { kinds } from "#resources/kinds.ts";
import { type Input, mutated, mutatedJson, rawTcp, withRaw } from "./inputs.ts";
import { proxyNamed } from "./stage.ts";

const headers = { "content-type": "application/json" };
const policies = kinds.filter(
  ({ sync, plural, readOnly, scope }) => sync.writtenOnGlobal && plural && !readOnly && scope === "Mesh",
);
/** Some: what is stored stays within bounds. */
const names = fc.integer({ min: 0, max: 20 }).map((i) => `fuzz-${i}`);

/** Where a resource of mesh `fuzz` is written, and as what. */
const sample = fc.constantFrom(...policies).chain(({ name: type, plural, style }) =>
  names.chain((name) => {
    const spec = {
      targetRef: { kind: "Mesh" },
      to: [{ targetRef: { kind: "Mesh" }, default: { connectionTimeout: "1s" } }],
      from: [{ targetRef: { kind: "Mesh" }, default: { action: "Allow" } }],
      rules: [{ matches: [{ path: { type: "Exact", value: "/" } }], default: {} }],
    };
    const own = style === "spec" ? { spec } : { sources: [{ match: { "kuma.io/service": "*" } }], conf: {} };
    const body = { type, mesh: "fuzz", name, labels: { a: "b" }, ...own };
    return fc.record({
      path: fc.constant(`/meshes/fuzz/${plural}/${name}`),
      body: mutatedJson([body, proxyNamed(name)]),
    });
  }),
);

const written: fc.Arbitrary<Input> = fc
  .record({ at: sample, method: fc.constantFrom("PUT", "PUT", "PUT", "DELETE") })
  .map(({ at: { path, body }, method }) => ({ kind: "http", method, path, headers, body: Buffer.from(body) }));

const applied: fc.Arbitrary<Input> = fc.array(sample, { maxLength: 5 }).map((those) => ({
  ...{ kind: "http", method: "POST", path: "/_apply", headers },
  body: Buffer.from(`[${those.map(({ body }) => body).join()}]`),
}));

const paths = [
  "/meshes/fuzz/meshtimeouts?size=10&offset=0&name=a",
  "/dataplanes/_overview?tag=a:b&gateway=true",
  "/tokens/dataplane",
  "/config",
  "/meshes/fuzz",
  "/mesh-insights",
  "/zones/zone-a",
];
const others: fc.Arbitrary<Input> = fc
  .record({
    method: fc.constantFrom("GET", "POST", "HEAD", "OPTIONS", "PATCH"),
    path: mutated(paths).map((bytes) => encodeURI(`/${bytes.toString("latin1")}`).replace("//", "/")),
    headers: fc.constantFrom<Readonly<Record<string, string>>>(
      headers,
      { accept: "text/html" },
      { ...headers, authorization: "Bearer x" },
    ),
    body: mutated(['{"mesh":"fuzz","name":"a","tags":{"a":["b"]},"validFor":"1h"}']),
  })
  .map((request) => ({ kind: "http", ...request }));

export const apiInputs: fc.Arbitrary<Input> = withRaw(
  fc.oneof({ weight: 3, arbitrary: written }, { weight: 1, arbitrary: applied }, { weight: 2, arbitrary: others }),
  rawTcp,
);

// The manifest of a proxy: what is read from it, and what is told of one that is wrong.

import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestIn } from "#cli/manifest.ts";

const text = `type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: {{address}}
  inbound:
    - port: 8080
      tags: { kuma.io/service: backend }
`;
const variables = { name: "b-1", address: "127.0.0.1" };
const read = (text: string, values: Record<string, string> = variables) =>
  manifestIn({ text, name: "b.yaml" }, "Dataplane", values);

test("variables are filled in", () => {
  const manifest = read(text);
  assert.ok(manifest.kind === "resource");
  const { name, mesh, spec } = manifest.resource;
  assert.deepEqual([mesh, name], ["default", "b-1"]);
  assert.deepEqual(spec.networking, {
    address: "127.0.0.1",
    inbound: [{ port: 8080, tags: { "kuma.io/service": "backend" } }],
  });
});

test("all that is wrong is told at once, each with file, document, line and path", () => {
  assert.deepEqual(read(text, {}), {
    kind: "refused",
    problems: [
      "b.yaml, line 3: {{ name }} has no value; give it with --var name=…",
      "b.yaml, line 5: {{address}} has no value; give it with --var address=…",
    ],
  });
  assert.deepEqual(read(`# of the backend\n---\n${text.replace("8080", "http").replace("inbound", "inbounds")}`), {
    kind: "refused",
    problems: ['b.yaml, document 1, line 8: networking.inbounds: is not known here; did you mean "inbound"?'],
  });
});

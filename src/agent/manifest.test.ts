import assert from "node:assert/strict";
import { test } from "node:test";
import { resourceOf } from "#agent/manifest.ts";

const text = `
type: Dataplane
mesh: default
name: {{ name }}
networking:
  address: {{address}}
  inbound:
    - port: 8080
      tags: { kuma.io/service: backend }
`;
const read = (manifest: string, variables: Record<string, string> = { name: "b-1", address: "127.0.0.1" }) =>
  resourceOf({ text: manifest, source: "b.yaml" }, "Dataplane", variables);

test("variables are filled in", () => {
  const { name, mesh, spec } = read(text);
  assert.deepEqual([mesh, name], ["default", "b-1"]);
  assert.deepEqual(spec.networking, {
    address: "127.0.0.1",
    inbound: [{ port: 8080, tags: { "kuma.io/service": "backend" } }],
  });
});

const wrong: readonly [what: string, manifest: string, message: string][] = [
  [
    "variables without a value",
    text,
    "b.yaml: {{ name }}: has no value: give it as variable name=…; {{ address }}: has no value: give it as variable address=…",
  ],
  [
    "no YAML",
    "type: [",
    "b.yaml: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 8",
  ],
  ["nothing", "# empty\n", "b.yaml: must hold one Dataplane"],
  ["two documents", "type: Dataplane\n---\ntype: Dataplane\n", "b.yaml: must hold one Dataplane"],
  ["another kind", "type: Mesh\nname: a\n", 'b.yaml: type: must be Dataplane, not "Mesh"'],
  [
    "a misspelt member",
    text.replace("inbound", "inbounds").replaceAll(/\{\{.*\}\}/g, "x"),
    "b.yaml: networking.inbounds: is not a member of Dataplane",
  ],
  ["no name", "type: Dataplane\n", "b.yaml: name: is required"],
];
for (const [what, manifest, message] of wrong)
  test(`${what}: the file and the place are named`, () => {
    assert.throws(() => read(manifest, {}), { message });
  });

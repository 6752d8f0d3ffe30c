import assert from "node:assert/strict";
import { it } from "node:test";
import { hashedName, idOfWireName, wireNameOf, withHashedName } from "#kds/name.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Labels, Resource } from "#resources/resource.ts";
import { zeroTime } from "#resources/rest.ts";

const resource = (mesh: string, name: string, labels: Labels): Resource => ({
  kind: "MeshService",
  mesh,
  name,
  labels,
  spec: {},
  creationTime: zeroTime,
  modificationTime: zeroTime,
});

// Interop 4.7, and names seen in the recordings.
const vectors: readonly (readonly [mesh: string, name: string, extra: readonly string[], result: string])[] = [
  ["default", "backend", [], "backend-524cwbwv5vzz94b6"],
  ["default", "backend", ["zone-1"], "backend-d8466458x7574b7b"],
  ["default", "backend", ["zone-1", "kuma-demo"], "backend-5b4f4xdx76x7zxxx"],
  ["", "synced-headless-mesh-service", [], "synced-headless-mesh-service-vwcz72829bf44wc7"],
  ["", "zone-1-ingress", ["zone-1"], "zone-1-ingress-b9945b7v4z547vd7"],
  ["mesh-1", "mtp-on-zone", [], "mtp-on-zone-5v554d449f4dc8zv"],
  ["", "ingress-2", ["zone-2"], "ingress-2-8b4xzbx26wc82zz2"],
  ["default", "all-services-default", [], "all-services-default-wv4b46z9d8z49284"],
  ["default", "backend", ["zone-2"], "backend-d8466258x75748d7"],
  ["default", "local", ["zone-1"], "local-x7bv5zcxb875cbfz"],
];
for (const [mesh, name, extra, result] of vectors) {
  it(`${name} of mesh "${mesh}" with [${extra}] is ${result}`, () =>
    assert.equal(hashedName(mesh, name, extra), result));
}

it("a long name keeps its first 236 characters and gets a suffix of 17", () => {
  const name = hashedName("default", "a".repeat(300), []);
  assert.equal(name.length, 253);
  assert.equal(name.slice(0, 237), `${"a".repeat(236)}-`);
});

it("a name is hashed once: the display name stays, and hashing again gives the same", () => {
  const labels = { "kuma.io/zone": "zone-1", "k8s.kuma.io/namespace": "kuma-demo" };
  const once = withHashedName(resource("default", "backend", labels));
  assert.equal(once.name, "backend-5b4f4xdx76x7zxxx");
  assert.deepEqual(once.labels, { ...labels, "kuma.io/display-name": "backend" });
  assert.deepEqual(withHashedName(once), once);
});

it("names on the wire end in the mesh, and are read back from the last dot", () => {
  const service = kindNamed("MeshService");
  assert.equal(wireNameOf({ name: "a.b", mesh: "default" }), "a.b.default");
  assert.deepEqual(idOfWireName(service, "a.b.default"), { kind: "MeshService", mesh: "default", name: "a.b" });
  assert.deepEqual(idOfWireName(kindNamed("Mesh"), wireNameOf({ name: "default", mesh: "" })), {
    kind: "Mesh",
    mesh: "",
    name: "default",
  });
});

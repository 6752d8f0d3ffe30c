import assert from "node:assert/strict";
import { test } from "node:test";
import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Log } from "#host/log.ts";
import { rotationKeeper } from "#identity/rotation-keeper.ts";
import { incrementalGraph } from "#incremental/graph.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import type { Edit } from "#resources/store.ts";

const meshAt = (modificationTime: string): Resource<MeshJson> => ({
  ...{ kind: "Mesh", mesh: "", name: "m", labels: {}, creationTime: "", modificationTime },
  spec: { mtls: { enabledBackend: "b" } },
});

/** `fails`: how the write ends. */
function stage(fails?: unknown) {
  const graph = incrementalGraph();
  const open = graph.source<Resource<MeshJson>>("open gates");
  const [written, errors]: [Edit[], string[]] = [[], []];
  const asked: (() => void)[] = [];
  const log: Log = { debug() {}, info() {}, warn() {}, error: (_, text) => void errors.push(text), child: () => log };
  const keep = rotationKeeper({
    ...{ open, log },
    store: {
      async write(edits) {
        if (fails !== undefined) throw fails;
        written.push(...edits);
        return 1;
      },
    },
    heard: () => new Promise((resolve) => asked.push(resolve)),
  });
  return {
    ...{ written, errors, asked },
    set(mesh: Resource<MeshJson> | undefined): void {
      open.set("m", mesh);
      keep(graph.settle());
    },
    /** All that has been asked is answered, and what follows from it is done. */
    async answered(): Promise<void> {
      for (const answer of asked.splice(0)) answer();
      await new Promise(setImmediate);
    },
  };
}

test("a gate that is open is passed when all have heard, once, and only as the Mesh was", async () => {
  const { set, written, answered } = stage();
  set(meshAt("1"));
  assert.deepEqual(written, []);
  await answered();
  assert.deepEqual(written, [{ kind: "put", resource: meshAt("1"), expected: { modificationTime: "1" } }]);
  set(undefined);
  await answered();
  assert.equal(written.length, 1);
});

test("one that closes meanwhile is not passed; one that opens again is asked for anew", async () => {
  const { set, written, asked, answered } = stage();
  set(meshAt("1"));
  set(undefined);
  await answered();
  assert.deepEqual(written, []);
  set(meshAt("1"));
  set(meshAt("2"));
  assert.equal(asked.length, 2);
  await answered();
  assert.deepEqual(written, [{ kind: "put", resource: meshAt("2"), expected: { modificationTime: "2" } }]);
});

test("who writes the Mesh meanwhile is no error; a store that fails is", async () => {
  for (const [failure, errors] of [
    [new KodiakError({ kind: "conflict", what: "Mesh" }), []],
    [new Error("disk"), ["could not go on with a rotation"]],
  ] as const) {
    const of = stage(failure);
    of.set(meshAt("1"));
    await of.answered();
    assert.deepEqual(of.errors, errors);
  }
});

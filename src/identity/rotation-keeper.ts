// Opens the first gate of a rotation (decision 14): when all that is known says so, and those of whom nothing is known yet have the new
// root, too, the label is taken off the Mesh.

import type { MeshJson } from "#gen/kuma/mesh/v1alpha1/mesh_pb.ts";
import type { Log } from "#host/log.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { isConflict } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

export interface RotationKeeperOptions {
  /** `openGates`, of the graph whose changes are told. */
  readonly open: Collection<Resource<MeshJson>>;
  readonly store: Pick<Store, "write">;
  readonly log: Log;
  /** Resolves when the proxies of all zones that are there have acknowledged what is in the store now. */
  readonly heard: () => Promise<void>;
}

export function rotationKeeper({ open, store, log, heard }: RotationKeeperOptions): (changes: Changes) => void {
  async function pass(mesh: Resource<MeshJson>): Promise<void> {
    const { name, modificationTime } = mesh;
    await heard();
    // It has closed again, or is open for another Mesh and has been told so.
    if (open.get(name) !== mesh) return;
    await store.write([{ kind: "put", resource: mesh as Resource, expected: { modificationTime } }]);
    log.info({ mesh: name, backend: mesh.spec.mtls?.enabledBackend }, "all proxies trust it: it issues from here on");
  }

  return (changes) => {
    for (const name of changes.get(open) ?? []) {
      const mesh = open.get(name);
      if (!mesh) continue;
      pass(mesh).catch((error: unknown) => {
        // Whoever was faster has made a change, and that is looked at anew.
        if (!isConflict(error)) log.error({ mesh: name, error: String(error) }, "could not go on with a rotation");
      });
    }
  };
}

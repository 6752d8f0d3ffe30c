// Keeps the tables of names and addresses (decision 16): what is computed from a mesh's names and its table is written as its
// table. A mesh's writes follow each other, so that each sees what the last one gave.

import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Changes, Collection } from "#incremental/collection.ts";
import { isConflict } from "#lib/failure.ts";
import type { WantedVips } from "#owned/names.ts";
import { vipsOf } from "#owned/vips.ts";
import { zeroTime } from "#resources/rest.ts";
import type { ResourceEdit, Store } from "#resources/store.ts";
import { tableConfig, tableIn, tableText } from "#topology/vips.ts";

export interface VipKeeperOptions {
  /** By mesh. */
  readonly wanted: Collection<WantedVips>;
  readonly store: Pick<Store, "get" | "write">;
  readonly clock: Pick<Clock, "now">;
  readonly log: Log;
}

export function vipKeeper({ wanted, store, clock, log }: VipKeeperOptions): (changes: Changes) => void {
  /** Meshes whose table is being written; `true`: something has changed since. */
  const writing = new Map<string, boolean>();

  async function keep(mesh: string): Promise<void> {
    if (writing.has(mesh)) {
      writing.set(mesh, true);
      return;
    }
    do {
      writing.set(mesh, false);
      const edit = editFor(mesh);
      // Whoever else writes it makes a change of nothing that is looked at here: it is read again at once.
      if (edit) await store.write([edit]).catch((error: unknown) => failed(mesh, error));
    } while (writing.get(mesh));
    writing.delete(mesh);
  }

  function editFor(mesh: string): ResourceEdit | undefined {
    const id = { kind: "Config", mesh: "", name: tableConfig(mesh) };
    const stored = store.get(id);
    const want = wanted.get(mesh);
    if (!want) return stored && { kind: "delete", id };
    const text = typeof stored?.spec.config === "string" ? stored.spec.config : undefined;
    const config = tableText(vipsOf({ ...want, mesh, before: tableIn(text), now: clock.now() }));
    if (config === (text ?? "{}")) return undefined;
    const times = { creationTime: zeroTime, modificationTime: zeroTime };
    return {
      kind: "put",
      resource: { ...id, labels: stored?.labels ?? {}, spec: { config }, ...times },
      expected: stored ? { modificationTime: stored.modificationTime } : "absent",
    };
  }

  function failed(mesh: string, error: unknown): void {
    if (isConflict(error)) writing.set(mesh, true);
    else log.error({ mesh, error: String(error) }, "could not keep the addresses of names");
  }

  return (changes) => {
    for (const mesh of changes.get(wanted) ?? []) void keep(mesh);
  };
}

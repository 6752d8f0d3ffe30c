// Remembers which meshes had mTLS, over a restart of the control plane, too: a note in its store.

import type { Log } from "#host/log.ts";
import type { Changes, Source } from "#incremental/collection.ts";
import type { MtlsPromises, PromisedMtls } from "#owned/promised-mtls.ts";
import type { Store } from "#resources/store.ts";
import { allowPlaintextAdvice } from "#topology/mesh.ts";

const noteKey = "meshes that had mtls";

/** Before anything is computed. */
export function rememberPromises(store: Pick<Store, "note">, promised: Source<PromisedMtls>): void {
  const noted: Record<string, PromisedMtls> = JSON.parse(store.note(noteKey) ?? "{}");
  for (const [mesh, mtls] of Object.entries(noted)) promised.set(mesh, mtls);
}

export function promiseKeeper(
  { made, ended, held }: MtlsPromises,
  promised: Source<PromisedMtls>,
  store: Pick<Store, "note" | "write">,
  touch: () => void,
  log: Log,
) {
  let writing: Promise<unknown> = Promise.resolve();

  function save(): void {
    writing = writing
      .then(() => {
        const all = Object.fromEntries([...promised.keys()].sort().map((mesh) => [mesh, promised.get(mesh)]));
        const after = Object.keys(all).length === 0 ? undefined : JSON.stringify(all);
        return store.write([{ kind: "note", key: noteKey, before: store.note(noteKey), after }]);
      })
      .catch((error: unknown) => log.warn({ error: String(error) }, "could not note which meshes have mTLS"));
  }

  return {
    publish(changes: Changes): void {
      const news = [...(changes.get(made) ?? [])].filter((mesh) => made.get(mesh));
      const over = [...(changes.get(ended) ?? [])].filter((mesh) => ended.get(mesh));
      for (const mesh of over) promised.set(mesh, undefined);
      for (const mesh of news) promised.set(mesh, made.get(mesh));
      if (news.length + over.length > 0) {
        touch();
        save();
      }
      for (const mesh of changes.get(held) ?? [])
        if (held.get(mesh))
          log.warn(
            { mesh },
            `the Mesh has no mTLS any more, and has not been allowed to be without: its proxies keep what they had; ${allowPlaintextAdvice}`,
          );
    },
  };
}

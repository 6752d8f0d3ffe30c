// What is noted of proxies beside their resources, over a restart of the control plane: that a proxy brought its own, and that one
// was refused whose resource a user wrote.

import { isOnline } from "#owned/online.ts";
import { statusKey } from "#owned/proxy-insight.ts";
import { label, type ResourceId } from "#resources/resource.ts";
import type { Edit, Store } from "#resources/store.ts";

export interface ProxyNotes {
  isBrought(id: ResourceId): boolean;
  isRefused(id: ResourceId): boolean;
  /** What is to be written for that to be so; what is left out is as it was. */
  edits(id: ResourceId, so: { readonly brought?: boolean; readonly refused?: boolean }): readonly Edit[];
  /**
   * Of this zone: what is stored, as proxies may have come and gone in the last second of an earlier control plane, and what was
   * online. One that was refused is not expected back.
   */
  earlier(): readonly ResourceId[];
}

export const kindsOfProxies: readonly string[] = ["Dataplane", "ZoneIngress", "ZoneEgress"];

const texts = { brought: "by its proxy", refused: "its token is not taken any more" };
type Note = keyof typeof texts;

export function proxyNotes(store: Store): ProxyNotes {
  const keyOfNote = (note: Note, id: ResourceId): string => `${note} ${statusKey(id)}`;
  const is = (note: Note, id: ResourceId): boolean => store.note(keyOfNote(note, id)) !== undefined;
  const editOf = (note: Note, id: ResourceId, isSo: boolean): readonly Edit[] => {
    const key = keyOfNote(note, id);
    const before = store.note(key);
    return (before !== undefined) === isSo
      ? []
      : [{ kind: "note", key, before, after: isSo ? texts[note] : undefined }];
  };
  // What a user wrote and no proxy has ever used is nobody's who could be away.
  const hadProxy = (id: ResourceId): boolean =>
    is("brought", id) || store.get({ ...id, kind: `${id.kind}Insight` }) !== undefined;
  return {
    isBrought: (id) => is("brought", id),
    isRefused: (id) => is("refused", id),
    edits: (id, { brought, refused }) => [
      ...(brought === undefined ? [] : editOf("brought", id, brought)),
      ...(refused === undefined ? [] : editOf("refused", id, refused)),
    ],
    earlier: () =>
      kindsOfProxies.flatMap((kind) => {
        const stored = store
          .list(kind)
          .filter((one) => one.labels[label.origin] !== "global" && hadProxy(one) && !is("refused", one));
        const online = store.list(`${kind}Insight`).filter(isOnline);
        return [...stored, ...online].map(({ mesh, name }) => ({ kind, mesh, name }));
      }),
  };
}

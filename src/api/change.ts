// The one way in which a request changes what is stored: planned, then in the audit log, then made. What somebody else changed
// in between is planned anew.

import { differences } from "#api/difference.ts";
import type { Action, Answer, Call } from "#api/router.ts";
import { messageOf } from "#host/connection-failure.ts";
import { isConflict } from "#lib/failure.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Resource } from "#resources/resource.ts";
import { isSameContent } from "#resources/rest.ts";
import type { ResourceEdit, Store } from "#resources/store.ts";

export interface Plan {
  readonly edits: readonly ResourceEdit[];
  readonly answer: (revision: number) => Answer;
}

/** With others that write the same at the same time, one of them is done at each attempt. */
const mostAttempts = 20;

/** `plan` reads the store and throws what is wrong with the request. */
export async function change(store: Store, { record }: Pick<Call, "record">, plan: () => Plan): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const { edits, answer } = plan();
    if (edits.length === 0) return answer(store.revision);
    const actions = edits.flatMap((edit) => actionOf(store, edit));
    await record.accepted(actions);
    try {
      return answer(await store.write(edits));
    } catch (error) {
      if (!isConflict(error) || attempt === mostAttempts) throw error;
      await record.failed(messageOf(error));
    }
  }
}

function actionOf(store: Store, edit: ResourceEdit): Action[] {
  const { kind, mesh, name } = edit.kind === "put" ? edit.resource : edit.id;
  const before = store.get({ kind, mesh, name });
  const after: Resource | undefined = edit.kind === "put" ? edit.resource : undefined;
  if (before && after && isSameContent(before, after)) return [];
  return [
    {
      verb: after === undefined ? "delete" : before === undefined ? "create" : "update",
      what: { kind, ...(mesh !== "" && { mesh }), name },
      changes: differences(kindNamed(kind), before, after),
    },
  ];
}

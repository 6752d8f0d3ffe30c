// `POST /_zones/<zone>/drain`: other zones send nothing there while anybody else has the service. `…/restore` ends it.
// `POST /_zones/<zone>/revoke`: the zone's certificates are worth nothing any more, and what it has open ends at once.
// `POST /_zones/<zone>/forget`: that, and the zone goes with all that it sent.

import { change } from "#api/change.ts";
import { dependents } from "#api/in-use.ts";
import type { Answer, Call, Route } from "#api/router.ts";
import { KodiakError } from "#lib/failure.ts";
import { label, type Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

export interface ZonesOfGlobal {
  /** Resolves when the zone's certificates are revoked and all that it had open is ended. */
  revoke(zone: string): Promise<void>;
  /** Milliseconds since the epoch. */
  now(): number;
}

export function zoneRoutes(store: Store, { revoke, now }: ZonesOfGlobal): Route[] {
  const named = ({ params }: Call): Resource => {
    const { zone: name = "" } = params;
    const zone = store.get({ kind: "Zone", mesh: "", name });
    if (zone) return zone;
    throw new KodiakError({
      kind: "not-found",
      what: `zone "${name}"`,
      hint: "`kodiak get zones` lists what there is",
    });
  };
  /** Drained since when it was first. */
  const drain = (call: Call, since: number | undefined): Promise<Answer> =>
    change(store, call, () => {
      const zone = named(call);
      const { [label.drainedSince]: before, ...labels } = zone.labels;
      const after = since === undefined ? undefined : (before ?? String(since));
      const resource = { ...zone, labels: { ...labels, ...(after !== undefined && { [label.drainedSince]: after }) } };
      const edits =
        before === after
          ? []
          : [{ kind: "put", resource, expected: { modificationTime: zone.modificationTime } } as const];
      return { edits, answer: () => ({ json: { changed: edits.length > 0 } }) };
    });
  const access = { admin: "certificates of zones" };
  const draining = { admin: "where traffic goes between zones" };
  return [
    { path: "/_zones/:zone/drain", access: draining, methods: { POST: (call) => drain(call, now()) } },
    { path: "/_zones/:zone/restore", access: draining, methods: { POST: (call) => drain(call, undefined) } },
    {
      path: "/_zones/:zone/revoke",
      access,
      methods: {
        POST: async (call) => {
          const { name } = named(call);
          await call.record.accepted([{ verb: "revoke", what: { zone: name } }]);
          await revoke(name);
          return { json: {} };
        },
      },
    },
    {
      path: "/_zones/:zone/forget",
      access,
      methods: {
        POST: async (call) => {
          const zone = named(call);
          await call.record.accepted([{ verb: "forget", what: { zone: zone.name } }]);
          await revoke(zone.name);
          // What it sent before is in the store then.
          await store.write([]);
          const all = [zone, ...dependents(zone, store.all())];
          await store.write(all.map((id) => ({ kind: "delete", id })));
          return { json: { deleted: all.length } };
        },
      },
    },
  ];
}

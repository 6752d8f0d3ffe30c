// `POST /_zones/<zone>/revoke`: the zone's certificates are worth nothing any more, and what it has open ends at once.
// `POST /_zones/<zone>/forget`: that, and the zone goes with all that it sent.

import { dependents } from "#api/in-use.ts";
import type { Call, Route } from "#api/router.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Resource } from "#resources/resource.ts";
import type { Store } from "#resources/store.ts";

/** Resolves when the zone's certificates are revoked and all that it had open is ended. */
export type RevokeZone = (zone: string) => Promise<void>;

export function zoneRoutes(store: Store, revoke: RevokeZone): Route[] {
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
  const access = { admin: "certificates of zones" };
  return [
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

// `GET /_links`: the links of this control plane to others, with what they hold back and why. `POST /_links/<peer>/accept` ends
// that: the other side is right.

import type { Route } from "#api/router.ts";
import { KodiakError } from "#lib/failure.ts";
import type { JsonObject } from "#lib/json.ts";
import type { IngressesAway } from "#owned/ingresses-away.ts";
import type { WithoutEgress } from "#owned/without-egress.ts";
import { kindNamed } from "#resources/kinds.ts";
import type { Links, LinkView } from "#resources/links.ts";

export interface OwnState {
  frozenSince?(): number | undefined;
  silentZones?(): ReadonlyMap<string, number>;
  /** Zones that cannot be left for want of an egress. */
  withoutEgress?(): readonly WithoutEgress[];
  /** Zones whose control planes have lost their ingresses. */
  ingressesAway?(): readonly IngressesAway[];
}

/** `own`: of this control plane itself. */
export const linkRoutes = (links: Links, own: OwnState = {}): Route[] => [
  {
    path: "/_links",
    access: { kind: kindNamed("Zone") },
    methods: {
      GET: () => ({
        json: {
          items: links.list().map(viewOf),
          ...frozenIn(own.frozenSince?.()),
          ...silentIn(own.silentZones?.()),
          ...withoutEgressIn(own.withoutEgress?.() ?? []),
          ...ingressesAwayIn(own.ingressesAway?.() ?? []),
        },
      }),
    },
  },
  {
    path: "/_links/:peer/accept",
    access: { admin: "links to other control planes" },
    methods: {
      POST: async ({ params: { peer = "" }, record }) => {
        await record.accepted([{ verb: "accept", what: { link: peer } }]);
        return { json: await links.accept(peer) };
      },
    },
  },
];

export const noLinks: Links = {
  list: () => [],
  accept: () => Promise.reject(new KodiakError({ kind: "not-found", what: "a link to another control plane" })),
};

function viewOf({
  peer,
  connection,
  held,
  heldSince,
  refused,
  behind,
  frozenSince,
  silentZones,
}: LinkView): JsonObject {
  return {
    peer,
    ...(connection && {
      connected: connection.isConnected,
      since: time(connection.since),
      ...(connection.why !== undefined && { why: connection.why }),
    }),
    ...(heldSince !== undefined && { heldSince: time(heldSince) }),
    held: held.map(({ kind, mesh, name, what, why }) => ({
      type: kind,
      ...(mesh !== "" && { mesh }),
      name,
      what,
      why,
    })),
    refused: refused.map(({ kind, mesh, name, where, why, since }) => ({
      type: kind,
      ...(mesh !== "" && { mesh }),
      ...(name !== "" && { name }),
      where,
      why,
      since: time(since),
    })),
    ...(behind && { behind: { ...behind, since: time(behind.since) } }),
    ...frozenIn(frozenSince),
    ...silentIn(silentZones),
  };
}

const withoutEgressIn = (zones: readonly WithoutEgress[]): JsonObject =>
  zones.length === 0
    ? {}
    : {
        withoutEgress: zones.map(({ zone, meshes, external }) => ({
          ...{ zone, meshes: [...meshes] },
          ...(external.length > 0 && { external: [...external] }),
        })),
      };

const ingressesAwayIn = (zones: readonly IngressesAway[]): JsonObject =>
  zones.length === 0 ? {} : { ingressesAway: zones.map((one) => ({ ...one })) };

const silentIn = (zones: ReadonlyMap<string, number> | undefined): JsonObject =>
  zones && zones.size > 0 ? { silentZones: [...zones].map(([zone, since]) => ({ zone, since: time(since) })) } : {};

const frozenIn = (since: number | undefined): JsonObject => (since === undefined ? {} : { frozenSince: time(since) });

const time = (ms: number): string => new Date(ms).toISOString();

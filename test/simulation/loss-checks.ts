// What must hold of losses, at any time and not only when it is quiet: a store that is lost, or is an older copy, takes nothing
// away from anybody else until an operator accepts it (decision 6).

import { fromGlobal, fromZone, type Side } from "#kds/accept.ts";
import { nameDown } from "#kds/down.ts";
import { wireNameOf } from "#kds/name.ts";
import { nameUp } from "#kds/up.ts";
import type { Kind } from "#resources/kind.ts";
import { globalToZoneKinds, kindNamed, zoneToGlobalKinds } from "#resources/kinds.ts";
import { describeId, type Resource } from "#resources/resource.ts";
import type { Change } from "#resources/store.ts";
import type { ControlPlane } from "./control-plane.ts";
import type { Stage } from "./stage.ts";

/** One direction of one link. */
interface Link {
  readonly from: ControlPlane;
  readonly to: ControlPlane;
  readonly kinds: readonly Kind[];
  readonly side: Side;
  /** Of what the sender has, as the receiver calls it. */
  readonly nameOf: (kind: Kind, resource: Resource) => string;
}

const linksIn = ({ global, zones }: Stage): readonly Link[] =>
  zones.flatMap((zone) => [
    { from: global, to: zone, kinds: globalToZoneKinds, side: fromGlobal, nameOf: nameDown },
    {
      from: zone,
      to: global,
      kinds: zoneToGlobalKinds,
      side: fromZone(zone.name),
      nameOf: (_: Kind, resource: Resource) => nameUp(resource, zone.name),
    },
  ]);

export const lossMisfits = (on: Stage): readonly string[] => linksIn(on).flatMap(linkMisfits);

/** What was there and is gone was deleted at its origin, or an operator has accepted that. Keys change only so. */
function linkMisfits({ from, to, kinds, side, nameOf }: Link): readonly string[] {
  const deleted = new Set(
    changesOf(from).flatMap(({ before, after }) => {
      if (!before || after) return [];
      const kind = kindNamed(before.kind);
      return [`${kind.name} ${nameOf(kind, before)}`];
    }),
  );
  return changesOf(to).flatMap(({ id, before, after }) => {
    const kind = kindNamed(id.kind);
    if (!before || !kinds.includes(kind) || !side.owns(kind, before) || to.accepted.has(describeId(id))) return [];
    if (!after && !deleted.has(`${kind.name} ${wireNameOf(before)}`))
      return [`${to.name} removed ${describeId(id)}, which nobody deleted at ${from.name} and nobody accepted`];
    if (after && id.kind === "Secret") return [`${to.name} changed ${describeId(id)}, which nobody accepted`];
    return [];
  });
}

const changesOf = ({ disk }: ControlPlane): readonly Change[] => disk.commits.flatMap(({ changes }) => changes);

/** What is held although the store of its sender was never lost. */
export const heldForNothing = (on: Stage): readonly string[] =>
  linksIn(on).flatMap(({ from, to }) => (from.hasLost ? [] : heldOf(to, from)));

export const allHeld = (on: Stage): readonly string[] => [on.global, ...on.zones].flatMap((to) => heldOf(to));

/** In sentences. */
function heldOf(to: ControlPlane, from?: ControlPlane): readonly string[] {
  const links = (to.links?.list() ?? []).filter(({ peer }) => from === undefined || peer === from.name);
  return links.flatMap(({ peer, held }) =>
    held.map((one) => `${to.name} still holds the ${one.what} of ${describeId(one)} by ${peer}: ${one.why}`),
  );
}

// What must hold when everything is connected, nothing is held and it is quiet: proxies hold what is computed from scratch, the stores hold what
// should have travelled, and what users were told is written is there.

import { resourceIn } from "#discovery/frame.ts";
import { plainGraph } from "#incremental/plain.ts";
import { fromGlobal, fromZone, type Side } from "#kds/accept.ts";
import { itemFor } from "#kds/audience.ts";
import { decodeResource } from "#kds/codec.ts";
import { downwardResources, type OutgoingByKind, upwardResources } from "#kds/outgoing.ts";
import { features } from "#kds/wire.ts";
import { globalToZoneKinds, kindNamed, zoneToGlobalKinds } from "#resources/kinds.ts";
import { describeId, type Resource } from "#resources/resource.ts";
import { isSameContent } from "#resources/rest.ts";
import type { ControlPlane } from "./control-plane.ts";
import { proxyMisfits } from "./proxy-checks.ts";
import { sourcesFrom } from "./sources.ts";
import type { Stage } from "./stage.ts";

/** What does not hold, in sentences. */
export function misfits(on: Stage): readonly string[] {
  return [
    ...on.problems,
    ...on.zones.flatMap((zone) =>
      proxyMisfits(
        zone,
        on.proxies.filter((proxy) => proxy.zone === zone.name),
      ),
    ),
    ...on.zones.flatMap((zone) => [...downMisfits(on.global, zone), ...upMisfits(on.global, zone)]),
    ...writtenMisfits(on),
  ];
}

export function downMisfits(global: ControlPlane, zone: ControlPlane): readonly string[] {
  const graph = plainGraph();
  const outgoing = downwardResources(graph, sourcesFrom(graph, global.disk.resources()));
  graph.settle();
  const audience = { zone: zone.name, features: new Set<string>(features), getsKeys: false };
  const should = arriving(outgoing, fromGlobal, (one) => itemFor(one, audience) !== undefined);
  const owned = [...zone.disk.resources()].filter(({ kind }) => globalToZoneKinds.some(({ name }) => name === kind));
  const is = owned.filter((resource) => fromGlobal.owns(kindNamed(resource.kind), resource));
  return differences(`${zone.name}, of global's`, should, is);
}

export function upMisfits(global: ControlPlane, zone: ControlPlane): readonly string[] {
  const graph = plainGraph();
  const outgoing = upwardResources(graph, sourcesFrom(graph, zone.disk.resources()), zone.name);
  graph.settle();
  const side = fromZone(zone.name);
  const should = arriving(outgoing, side, () => true);
  const owned = [...global.disk.resources()].filter(({ kind }) => zoneToGlobalKinds.some(({ name }) => name === kind));
  const is = owned.filter((resource) => side.owns(kindNamed(resource.kind), resource));
  return differences(`global, of ${zone.name}'s`, should, is);
}

type Outgoing = Parameters<typeof itemFor>[0];

function arriving(outgoing: OutgoingByKind, side: Side, isSent: (one: Outgoing) => boolean): readonly Resource[] {
  return [...outgoing].flatMap(([name, collection]) => {
    const kind = kindNamed(name);
    const sent = [...collection.keys()].flatMap((key) => collection.get(key) ?? []).filter(isSent);
    return sent.flatMap(({ item }) => {
      const bytes = resourceIn(item)?.resource?.value ?? new Uint8Array();
      const { resource } = decodeResource(kind, bytes, side.amend);
      return side.arrived(kind, resource) ?? [];
    });
  });
}

function differences(where: string, should: readonly Resource[], is: readonly Resource[]): readonly string[] {
  const wanted = new Map(should.map((resource) => [describeId(resource), resource]));
  const found: string[] = [];
  for (const resource of is) {
    const id = describeId(resource);
    const one = wanted.get(id);
    if (!one) found.push(`${where}: ${id} should not be there`);
    else if (!isSameContent(withoutStatus(one), withoutStatus(resource)))
      found.push(`${where}: ${id} is ${JSON.stringify(resource)}, not ${JSON.stringify(one)}`);
    wanted.delete(id);
  }
  return [...found, ...[...wanted.keys()].map((id) => `${where}: ${id} is missing`)];
}

const withoutStatus = ({ status: _, ...resource }: Resource): Resource => resource;

function writtenMisfits({ global, zones }: Stage): readonly string[] {
  return [global, ...zones].flatMap((at) =>
    [...at.written.values()].flatMap(({ id, acknowledged, unknown }) => {
      const is = at.disk.get(id);
      const may = [acknowledged, ...unknown];
      if (may.some((one) => (one ? is !== undefined && isSameContent(one, is) : is === undefined))) return [];
      return [
        `${at.name}: ${describeId(id)} is ${JSON.stringify(is?.spec)}, not what was written, ${JSON.stringify(acknowledged?.spec)}`,
      ];
    }),
  );
}

// Which other zones do not answer, as the Envoys of this zone's ingresses and egresses report (HDS): what people are shown, and what is taken
// out of rotation until it answers (decision 27).

import type { Health } from "#discovery/health.ts";
import type { Clock } from "#host/world.ts";
import type { Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import { isWithinShare, zoneOfProbe } from "#topology/probe.ts";

export interface ZoneEvidence {
  /** What an Envoy found, by name of the probe; `undefined`: it reports no more. */
  said(reporter: string, health: Health | undefined): void;
  /** Zones none of whose ingresses answers, and since when (milliseconds since the epoch). */
  silent(): ReadonlyMap<string, number>;
}

export interface ZoneEvidenceOptions {
  readonly clock: Pick<Clock, "now">;
  /** Set to those that are left out. */
  readonly left: Source<true>;
  /** Tells the graph that `left` has changed. */
  readonly touch: () => void;
  /** `silent` says something else than before. */
  readonly onChange: () => void;
}

export function zoneEvidence({ clock, left, touch, onChange }: ZoneEvidenceOptions): ZoneEvidence {
  const byReporter = new Map<string, Health>();
  let silent: ReadonlyMap<string, number> = new Map();

  return {
    said(reporter, health) {
      if (health) byReporter.set(reporter, health);
      else byReporter.delete(reporter);
      const answers = answersOfZones([...byReporter.values()]);
      const zones = [...answers].filter(([, isAnswering]) => !isAnswering).map(([zone]) => zone);
      const next = new Map(zones.sort().map((zone) => [zone, silent.get(zone) ?? clock.now()]));
      const [before, leftBefore] = [[...silent.keys()], [...left.keys()]];
      silent = next;
      const isLeft = isWithinShare(silent.size, answers.size);
      for (const zone of left.keys()) if (!isLeft || !silent.has(zone)) left.set(zone, undefined);
      if (isLeft) for (const zone of silent.keys()) left.set(zone, true);
      if (!isEqual([...left.keys()], leftBefore)) touch();
      if (!isEqual([...silent.keys()], before)) onChange();
    },
    silent: () => silent,
  };
}

/** Whether one of its ingresses answers one of ours, of each zone that is asked. */
function answersOfZones(reports: readonly Health[]): ReadonlyMap<string, boolean> {
  const zones = new Map<string, boolean>();
  for (const health of reports)
    for (const [probe, isAnswering] of health) {
      const zone = zoneOfProbe(probe);
      zones.set(zone, isAnswering || zones.get(zone) === true);
    }
  return zones;
}

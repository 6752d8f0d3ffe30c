// Which other zones do not answer, as the Envoys of this zone's ingresses and egresses report (HDS): what people are shown, and what is taken
// out of rotation until it answers (decision 27).

import type { Health } from "#discovery/health.ts";
import type { Clock } from "#host/world.ts";
import type { Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import { isWithinShare, missedAfterMs, zoneOfProbe } from "#topology/probe.ts";

export interface ZoneEvidence {
  /**
   * What an Envoy found, by name of the probe; `undefined`: it reports no more. What it has not had an answer from yet is no evidence until
   * its probe must have been missed: before a first answer Envoy reports no other than of who does not answer.
   */
  said(reporter: string, health: Health | undefined): void;
  /** Zones none of whose ingresses answers, and since when (milliseconds since the epoch). */
  silent(): ReadonlyMap<string, number>;
  stop(): void;
}

export interface ZoneEvidenceOptions {
  readonly clock: Pick<Clock, "now" | "alarm">;
  /** Set to those that are left out. */
  readonly left: Source<true>;
  /** Tells the graph that `left` has changed. */
  readonly touch: () => void;
  /** `silent` says something else than before. */
  readonly onChange: () => void;
}

export function zoneEvidence({ clock, left, touch, onChange }: ZoneEvidenceOptions): ZoneEvidence {
  const byReporter = new Map<string, Findings>();
  let silent: ReadonlyMap<string, number> = new Map();

  function conclude(): void {
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
  }

  /** Until it must have been missed. */
  const startedAt = (reporter: string, probe: string): (() => void) =>
    clock.alarm(clock.now() + missedAfterMs, () => {
      byReporter.get(reporter)?.starting.delete(probe);
      conclude();
    });

  const end = (reporter: string, probe: string): void => {
    const { starting } = byReporter.get(reporter) ?? {};
    starting?.get(probe)?.();
    starting?.delete(probe);
  };

  return {
    said(reporter, health = new Map()) {
      const { health: before, starting } = byReporter.get(reporter) ?? { health: new Map(), starting: new Map() };
      byReporter.set(reporter, { health, starting });
      for (const probe of starting.keys()) if (health.get(probe) !== false) end(reporter, probe);
      for (const [probe, isAnswering] of health)
        if (!isAnswering && !before.has(probe)) starting.set(probe, startedAt(reporter, probe));
      if (health.size === 0) byReporter.delete(reporter);
      conclude();
    },
    silent: () => silent,
    stop() {
      for (const [reporter, { starting }] of byReporter) for (const probe of starting.keys()) end(reporter, probe);
    },
  };
}

interface Findings {
  readonly health: Health;
  /** Probes without an answer so far, with what ends the wait for them. */
  readonly starting: Map<string, () => void>;
}

/** Whether one of its ingresses answers one of ours, of each zone that is asked. */
function answersOfZones(reports: readonly Findings[]): ReadonlyMap<string, boolean> {
  const found = reports.flatMap(({ health, starting }) =>
    [...health].map(([probe, isAnswering]) => ({
      zone: zoneOfProbe(probe),
      isAnswering,
      isStarting: starting.has(probe),
    })),
  );
  const known = new Set(found.flatMap(({ zone, isStarting }) => (isStarting ? [] : [zone])));
  const answering = new Set(found.flatMap(({ zone, isAnswering }) => (isAnswering ? [zone] : [])));
  return new Map(found.map(({ zone }) => [zone, !known.has(zone) || answering.has(zone)]));
}

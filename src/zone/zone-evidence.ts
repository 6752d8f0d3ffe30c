// Which other zones do not answer, as the Envoys of this zone's ingresses and egresses report (HDS): what people are shown, and what is taken
// out of rotation until it answers (decision 27). A note in the store keeps that over a restart of the control plane.

import type { Health } from "#discovery/health.ts";
import type { Log } from "#host/log.ts";
import type { Clock } from "#host/world.ts";
import type { Source } from "#incremental/collection.ts";
import { isEqual } from "#lib/json.ts";
import type { Edit, Store } from "#resources/store.ts";
import { isWithinShare, missedAfterMs, zoneOfProbe } from "#topology/probe.ts";
import { keptWrites } from "#zone/kept-writes.ts";

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
  readonly store: Pick<Store, "note" | "write">;
  readonly clock: Pick<Clock, "now" | "alarm">;
  readonly log: Log;
  /** Set to those that are left out. */
  readonly left: Source<true>;
  /** Tells the graph that `left` has changed. */
  readonly touch: () => void;
  /** `silent` says something else than before. */
  readonly onChange: () => void;
}

/** In the store: JSON of zones that were left out, and since when they are silent. */
const noteKey = "zones that are left out";
/** What was so before a restart holds until an Envoy says more: it waits for up to 30 s before it comes again. */
export const rememberedForMs = 40_000;

/** Before anything is computed. */
export function zoneEvidence({ store, clock, log, left, touch, onChange }: ZoneEvidenceOptions): ZoneEvidence {
  const byReporter = new Map<string, Findings>();
  const kept = keptWrites({ store, clock, log });
  let isStopped = false;
  let silent: ReadonlyMap<string, number> = new Map(Object.entries(JSON.parse(store.note(noteKey) ?? "{}")));
  /** From before a restart; nobody has said anything of them yet. */
  const remembered = new Set(silent.keys());
  for (const zone of remembered) left.set(zone, true);
  const forget =
    remembered.size > 0
      ? clock.alarm(clock.now() + rememberedForMs, () => {
          remembered.clear();
          conclude();
        })
      : undefined;

  function conclude(): void {
    const said = answersOfZones([...byReporter.values()]);
    for (const [zone, isAnswering] of said) if (isAnswering !== undefined) remembered.delete(zone);
    const answers = new Map([...[...remembered].map((zone) => [zone, undefined] as const), ...said]);
    // Who is still being asked is what it was.
    const isSilent = (zone: string): boolean => !(answers.get(zone) ?? !silent.has(zone));
    const next = [...answers.keys()].filter(isSilent).sort();
    const [before, leftBefore] = [[...silent.keys()], [...left.keys()]];
    silent = new Map(next.map((zone) => [zone, silent.get(zone) ?? clock.now()]));
    // Of how many it is a share nobody has said yet.
    const isLeft = said.size === 0 || isWithinShare(silent.size, answers.size);
    for (const zone of left.keys()) if (!isLeft || !silent.has(zone)) left.set(zone, undefined);
    if (isLeft) for (const zone of silent.keys()) left.set(zone, true);
    if (!isEqual([...left.keys()], leftBefore)) {
      touch();
      kept.write("which zones are left out", noteOfLeft);
    }
    if (!isEqual([...silent.keys()], before)) onChange();
  }

  function noteOfLeft(): readonly Edit[] {
    const [before, all] = [store.note(noteKey), [...left.keys()].map((zone) => [zone, silent.get(zone)] as const)];
    const after = all.length > 0 ? JSON.stringify(Object.fromEntries(all)) : undefined;
    return before === after ? [] : [{ kind: "note", key: noteKey, before, after }];
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
      // With this control plane end the streams, and what was found stays noted.
      if (isStopped) return;
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
      isStopped = true;
      forget?.();
      kept.stop();
      for (const [reporter, { starting }] of byReporter) for (const probe of starting.keys()) end(reporter, probe);
    },
  };
}

interface Findings {
  readonly health: Health;
  /** Probes without an answer so far, with what ends the wait for them. */
  readonly starting: Map<string, () => void>;
}

/** Whether one of its ingresses answers one of ours, of each zone that is asked; `undefined`: its first answer may still come. */
function answersOfZones(reports: readonly Findings[]): ReadonlyMap<string, boolean | undefined> {
  const found = reports.flatMap(({ health, starting }) =>
    [...health].map(([probe, isAnswering]) => ({
      zone: zoneOfProbe(probe),
      isAnswering,
      isStarting: starting.has(probe),
    })),
  );
  const known = new Set(found.flatMap(({ zone, isStarting }) => (isStarting ? [] : [zone])));
  const answering = new Set(found.flatMap(({ zone, isAnswering }) => (isAnswering ? [zone] : [])));
  return new Map(found.map(({ zone }) => [zone, known.has(zone) ? answering.has(zone) : undefined]));
}

// One seed: a history that nobody thought of, then quiet, then the checks.

import { isEqual } from "#lib/json.ts";
import type { Resource } from "#resources/resource.ts";
import { misfits } from "./checks.ts";
import type { ControlPlane } from "./control-plane.ts";
import { acceptAll, begin, happen, mend, meshes } from "./events.ts";
import { allHeld, heldForNothing, lossMisfits } from "./loss-checks.ts";
import { type Stage, stage } from "./stage.ts";

export interface Outcome {
  readonly seed: number;
  /** What does not hold, in sentences; none, if all is well. */
  readonly wrong: readonly string[];
  /** What happened and what was logged, line by line. */
  readonly history: readonly string[];
  /** Equal for equal runs: of everything that went over any wire, and when. */
  readonly trace: string;
  readonly commits: number;
}

/** Longer than a lost connection, a back-off and a deregistration after each other. */
const settleMs = 110_000;
/** More than a round of what is repeated; nothing of it is written. */
const quietMs = 35_000;

export async function simulate(seed: number): Promise<Outcome> {
  const on = await stage({ seed, zones: seed % 8 === 1 ? 3 : 2, meshes, refuses: seed % 4 === 0 ? 0.05 : 0 });
  begin(on);
  await on.time.advance(on.random.between(0, 3_000));
  const count = on.random.between(8, 16);
  for (let event = 0; event < count; event++) {
    happen(on);
    await on.time.advance(pause(on));
  }
  mend(on);
  await on.time.advance(settleMs);
  const heldWrongly = heldForNothing(on);
  if (allHeld(on).length > 0) {
    acceptAll(on);
    await on.time.advance(settleMs);
  }
  const before = commitCounts(on);
  await on.time.advance(quietMs);
  const wrong = [...heldWrongly, ...allHeld(on), ...lossMisfits(on), ...misfits(on), ...restless(on, before)];
  for (const one of [on.global, ...on.zones, ...on.proxies]) one.kill();
  return {
    seed,
    wrong,
    history: on.history,
    trace: on.trace(),
    commits: before.reduce((sum, count) => sum + count, 0),
  };
}

/** Mostly things happen on top of each other; sometimes there is time for a connection to be given up. */
function pause({ random }: Stage): number {
  if (random.is(0.3)) return 0;
  if (random.is(0.1)) return random.between(5_000, 40_000);
  return random.between(1, 1_500);
}

const controlPlanes = ({ global, zones }: Stage): readonly ControlPlane[] => [global, ...zones];

const commitCounts = (on: Stage): readonly number[] => controlPlanes(on).map(({ disk }) => disk.commits.length);

/** What is still written although nothing happens. When a zone was heard last is no news. */
function restless(on: Stage, before: readonly number[]): readonly string[] {
  return controlPlanes(on).flatMap(({ name, disk }, i) => {
    const later = disk.commits.slice(before[i]).flatMap(({ changes }) => changes);
    const news = later.filter(({ before, after }) => !isEqual(silent(before), silent(after)));
    return news.map(
      ({ before, after }) => `${name} still writes ${JSON.stringify(after)}, instead of ${JSON.stringify(before)}`,
    );
  });
}

const silent = (resource: Resource | undefined): unknown =>
  resource?.kind === "ZoneInsight" ? { ...resource.spec, healthCheck: undefined } : resource;

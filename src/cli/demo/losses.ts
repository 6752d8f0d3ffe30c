// What the demo does to its parts, each from one function, for the steps and for the keys.

import { deny } from "#cli/demo/manifests.ts";
import { gainOf, type Live, type Loss, lossOf, timed, until } from "#cli/demo/measure.ts";
import type { Part, Stage, Zone } from "#cli/demo/stage.ts";

export const backendsIn = ({ parts }: Stage, zone: Zone): readonly Part[] =>
  [...parts.values()].filter((part) => part.zone === zone && part.name.startsWith("backend-"));

const isUp = ({ state }: Part): boolean => state === "up";
const nameOf = ({ name }: Part): string => name;

export const stopped = (live: Live, name: string): Promise<Loss> =>
  lossOf(live, [name], async () => {
    const start = performance.now();
    await live.stage.stop(name);
    return start;
  });

/** `instances`: those whose answers must end. */
export const killed = (
  live: Live,
  instances: readonly string[],
  names: readonly string[],
  pids: readonly number[],
): Promise<Loss> =>
  lossOf(live, instances, async () => {
    const start = performance.now();
    await live.stage.kill(names, pids);
    return start;
  });

/** Its control plane, its ingress and its instances that are up. */
export const partsUp = ({ parts }: Stage, zone: Zone): readonly string[] =>
  [...parts.values()].filter((part) => part.zone === zone && isUp(part)).map(nameOf);

/** What is not up of a zone; its control plane first. */
export async function startZone(stage: Stage, zone: Zone): Promise<void> {
  const down = [...stage.parts.values()].filter((part) => part.zone === zone && !isUp(part)).map(nameOf);
  if (down.includes(zone)) await stage.start(zone);
  await Promise.all(down.filter((name) => name !== zone).map((name) => stage.start(name)));
}

export const started = (live: Live, name: string): Promise<Loss> => gainOf(live, name, () => live.stage.start(name));

export const denied = (live: Live): Promise<number> => timed(live, () => live.stage.apply(deny), "/", 403);

/** Until the first request that is allowed; resolves when all are, wherever they are answered. */
export async function allowed(live: Live): Promise<number> {
  const remove = (): Promise<void> => live.stage.remove("/meshes/default/meshtrafficpermissions/deny-backend");
  const ms = await timed(live, remove, "/", 200);
  await until("all requests to be allowed", async () => (await live.client.callMany("/", 100)).failed === 0);
  return ms;
}

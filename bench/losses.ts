// How long an instance that is killed with its Envoy and its application is felt by a client, on the demo's mesh: from just
// before the signal until the last request that fails. Nothing is tried again: the policy that does so would hide it.

import { setTimeout as pause } from "node:timers/promises";
import { type Call, isFailed, openClient } from "#cli/demo/client.ts";
import { type Live, until } from "#cli/demo/measure.ts";
import { openStage } from "#cli/demo/stage.ts";
import { program } from "./processes.ts";
import type { Suite } from "./suite.ts";

const kills = 20;
/** Between a loss and the next: longer than streams may end together and be taken for the control plane's. */
const restMs = 1_500;
/** So many answers in a row without a failure: it is over. */
const enough = 400;

/** The instance that is killed, beside another in its zone. */
const victims: Readonly<Record<string, string>> = {
  "kill-to-last-failure": "backend-1",
  "kill-to-last-failure-other-zone": "backend-2",
};

export const lossRows: Suite = {
  names: Object.keys(victims),
  async *measure(_, isWanted, progress) {
    const stage = await openStage((what) => progress(`starting ${what}`), program);
    const client = openClient(stage.backendUrl);
    try {
      await stage.startBackend("backend-4", "zone-a");
      await stage.remove("/meshes/default/meshretries/mesh-retry-all-default");
      for (const [name, victim] of Object.entries(victims)) {
        if (!isWanted(name)) continue;
        progress(name);
        const values: number[] = [];
        for (let i = 0; i < kills; i++) values.push(await lastFailure({ stage, client }, victim));
        yield { name, unit: "ms", values };
      }
    } finally {
      await client.close();
      await stage.close();
    }
  },
};

/** 0 if none fails. The instance is back, and used, when this resolves. */
async function lastFailure({ stage, client }: Live, name: string): Promise<number> {
  await pause(restMs);
  const { calls, end } = client.watch();
  const isIts = ({ instance }: Call): boolean => instance === name;
  try {
    const pids = await stage.pids([name]);
    await until(`answers of ${name}`, () => calls.slice(-50).some(isIts), 1);
    const start = performance.now();
    const ended = stage.kill([name], pids);
    const from = calls.length;
    await until("an end of failures", () => calls.length > from + enough && !calls.slice(-enough).some(isFailed), 5);
    const last = calls.slice(from).findLast(isFailed);
    await ended;
    await stage.start(name);
    const back = calls.length;
    await until(`answers of ${name}`, () => calls.slice(back).some(isIts), 5);
    return last ? last.endedMs - start : 0;
  } finally {
    end();
  }
}

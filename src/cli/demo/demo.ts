// `kodiak demo`: a mesh over two zones on this machine, with real Envoys and real traffic.

import { findEnvoy } from "#agent/envoy-binary.ts";
import { fetchEnvoy, progressLine } from "#agent/envoy-fetch.ts";
import { closeClient, keepCalling } from "#cli/demo/client.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import { openStage, type Stage } from "#cli/demo/stage.ts";
import { steps } from "#cli/demo/steps.ts";

export interface DemoOptions {
  /** End after the steps instead of staying up. */
  readonly once: boolean;
  readonly print: (line: string) => void;
  readonly stop: AbortSignal;
}

/** 0 if all steps held and nothing is left behind. */
export async function runDemo({ once, print, stop }: DemoOptions): Promise<number> {
  const start = performance.now();
  await findEnvoy(process.env).catch(() => fetchEnvoy(process.env, progressLine(process.stderr)));
  const stage = await openStage((what) => print(`starting ${what} …`));
  let failed = 0;
  try {
    print(`kodiak demo   global · zone-a · zone-b · 6 Envoys   up in ${seconds(start)} s`);
    print("");
    failed = await runSteps(stage, print, stop);
    if (!once && !stop.aborted) await stayUp(stage, print, stop);
  } finally {
    closeClient();
    await stage.close();
  }
  const left = await leftovers(stage.folder);
  for (const what of left) print(`left behind: ${what}`);
  if (left.length === 0) print(`all ended; no process, socket or folder is left   ${seconds(start)} s in all`);
  return failed === 0 && left.length === 0 && !(once && stop.aborted) ? 0 : 1;
}

async function runSteps(stage: Stage, print: (line: string) => void, stop: AbortSignal): Promise<number> {
  let failed = 0;
  for (const { title, run } of steps) {
    if (stop.aborted) break;
    try {
      print(`✓ ${title}\n    ${await run(stage)}`);
    } catch (error) {
      failed++;
      print(`✗ ${title}\n    ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return failed;
}

async function stayUp(stage: Stage, print: (line: string) => void, stop: AbortSignal): Promise<void> {
  const calling = keepCalling(`${stage.backendUrl}/`);
  const kodiak = "npm run -s kodiak --";
  print(`
The mesh stays up until Ctrl-C. In another terminal:

  curl ${stage.backendUrl}/                                  a request of the frontend, to a backend in either zone
  export KODIAK_API=${stage.globalApi}
  ${kodiak} get dataplanes                       every proxy of both zones
  ${kodiak} get zones
  ${kodiak} get meshtrafficpermissions -o yaml
  ${kodiak} delete meshtrafficpermission allow-all   … and curl says 403
  ls ${stage.folder}                        logs and manifests of all processes
`);
  if (!stop.aborted) await new Promise((done) => stop.addEventListener("abort", done, { once: true }));
  const { sent, failed } = await calling.stop();
  print(`\n${sent} requests meanwhile, ${failed} failed`);
}

const seconds = (since: number): string => ((performance.now() - since) / 1000).toFixed(1);

// `kodiak demo`: a mesh over two zones on this machine, with real Envoys and real traffic. It plays its story, and then does
// what the keys say.

import { findEnvoy } from "#agent/envoy-binary.ts";
import { fetchEnvoy, progressLine } from "#agent/envoy-fetch.ts";
import { openClient } from "#cli/demo/client.ts";
import { type Display, linesDisplay } from "#cli/demo/display.ts";
import { keysOf } from "#cli/demo/keys.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import type { Live } from "#cli/demo/measure.ts";
import { screenDisplay } from "#cli/demo/screen.ts";
import { openStage, type Stage } from "#cli/demo/stage.ts";
import { steps } from "#cli/demo/steps.ts";
import type { Terminal } from "#cli/terminal.ts";

export interface DemoOptions {
  /** Walk through all steps, and end. */
  readonly once: boolean;
  readonly terminal: Terminal;
  readonly stop: AbortSignal;
}

/** 0 if all steps held and nothing is left behind. */
export async function runDemo({ once, terminal, stop: asked }: DemoOptions): Promise<number> {
  const start = commandStart();
  const print = (line: string): void => terminal.out(`${line}\n`);
  await findEnvoy(process.env).catch(() => fetchEnvoy(process.env, progressLine(process.stderr)));
  const quit = new AbortController();
  const stop = AbortSignal.any([asked, quit.signal]);
  const display = displayFor(terminal, print, stop, () => quit.abort());
  let stage: Stage | undefined;
  let played: Played = { isWell: false, times: "" };
  try {
    stage = await openStage(display.starting);
    played = await play(stage, display, { once, stop, start });
  } finally {
    await stage?.close();
    display.close();
  }
  const left = await leftovers(stage.folder);
  for (const what of left) print(`left behind: ${what}`);
  if (left.length === 0) {
    print(
      `all ended; no process, socket or folder is left   ${played.times}${seconds(performance.now() - start)} s in all`,
    );
  }
  return played.isWell && left.length === 0 && !(once && stop.aborted) ? 0 : 1;
}

function displayFor(terminal: Terminal, print: (line: string) => void, stop: AbortSignal, quit: () => void): Display {
  const { stdin, stdout } = process;
  return terminal.hasColours && stdout.hasColors() && stdin.isTTY
    ? screenDisplay({ terminal, stdin, stdout, stop, quit })
    : linesDisplay(print, stop);
}

interface Play {
  readonly once: boolean;
  readonly stop: AbortSignal;
  readonly start: number;
}

interface Played {
  /** Each step held. */
  readonly isWell: boolean;
  /** What was promised, measured. */
  readonly times: string;
}

async function play(stage: Stage, display: Display, { once, stop, start }: Play): Promise<Played> {
  const client = openClient(stage.backendUrl);
  const live: Live = { stage, client };
  try {
    await client.call("/");
    const up = seconds(performance.now() - start);
    display.up(live, up);
    let isWell = true;
    let storyMs = 0;
    for (const { title, isStory = false, run } of steps.filter((step) => once || step.isStory)) {
      // Whoever presses a key takes over.
      if (stop.aborted || display.hasKey()) break;
      const begun = performance.now();
      if (!(await perform(display, title, [], () => run(live)))) isWell = false;
      if (isStory) storyMs += performance.now() - begun;
    }
    const isWhole = !stop.aborted && !display.hasKey();
    const times = `up in ${up} s, ${isWhole ? `story in ${seconds(storyMs)} s, ` : ""}`;
    if (!once && !stop.aborted) await obey(live, display);
    return { isWell, times };
  } finally {
    await client.close();
  }
}

async function obey(live: Live, display: Display): Promise<void> {
  display.stays();
  const keys = keysOf(live);
  for (let key = await display.key(); key !== undefined; key = await display.key()) {
    const action = await keys(key);
    if (action) await perform(display, action.title, action.commands, action.run);
  }
}

/** Whether it held. */
async function perform(
  display: Display,
  title: string,
  commands: readonly string[],
  run: () => Promise<string>,
): Promise<boolean> {
  display.begins(title, commands);
  try {
    display.ended({ holds: true, title, result: await run() });
    return true;
  } catch (error) {
    display.ended({ holds: false, title, result: error instanceof Error ? error.message : String(error) });
    return false;
  }
}

/** When the command was given, in milliseconds of `performance.now()`: before this process, where it was bundled first (tools/run.mjs). */
const commandStart = (): number =>
  Number(process.env.COMMAND_STARTED_MS ?? performance.timeOrigin) - performance.timeOrigin;

const seconds = (ms: number): string => (ms / 1000).toFixed(1);

// The demo as its users run it: into a pipe, and on a terminal.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { startProcess } from "#agent/process.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import { eventually } from "../lab/lab.ts";

const program = fileURLToPath(new URL("../../dist/kodiak.js", import.meta.url));
const terminal = fileURLToPath(new URL("terminal.py", import.meta.url));

export const demo = (args: readonly string[], onLine: (line: string) => void, env = process.env) =>
  startProcess(process.execPath, [program, "demo", ...args], { onLine, env });

/** As a person's terminal says it, wherever the test itself runs: CI systems and NO_COLOR ask for plain lines. */
export const ofAPerson = { ...process.env, TERM: "xterm-256color", NO_COLOR: undefined, CI: undefined };
export const onATerminal = (env: NodeJS.ProcessEnv = ofAPerson) =>
  spawn("python3", [terminal, process.execPath, program, "demo"], { env, stdio: ["pipe", "pipe", "inherit"] });

/** A folder for all that a demo makes, and the wait until nothing of it is left. */
export async function ownFolder(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const endsClean = (): Promise<void> =>
    eventually("nothing is left", 10_000, async () => {
      assert.deepEqual(await readdir(folder), []);
      assert.deepEqual(await leftovers(folder), [`folder ${folder}`]);
    });
  return { folder, endsClean };
}

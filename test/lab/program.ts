// `kodiak` as it is now, in one file: so it starts in half the time.

import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "#agent/process.ts";

const bundler = fileURLToPath(new URL("../../tools/bundle.mjs", import.meta.url));

/** What Node runs. `npm test` has bundled it for all; a file that runs by itself makes its own in `folder`. */
export async function bundled(folder: string): Promise<string> {
  const { TEST_PROGRAM } = process.env;
  if (TEST_PROGRAM !== undefined) return TEST_PROGRAM;
  const program = join(folder, "kodiak.js");
  const { exit, lines } = await run(process.execPath, [bundler, program]);
  assert.equal(exit.code, 0, lines.join("\n"));
  return program;
}

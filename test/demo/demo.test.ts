import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { startProcess } from "#agent/process.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import { times } from "../lab/soak.ts";

const program = fileURLToPath(new URL("../../dist/kodiak.js", import.meta.url));

const demo = (args: readonly string[], onLine: (line: string) => void) =>
  startProcess(process.execPath, [program, "demo", ...args], { onLine });

for (let i = 1; i <= times(1, 3); i++)
  test(`the demo's steps all hold, and nothing of it is left (${i})`, async () => {
    const lines: string[] = [];
    const running = await demo(["--once"], (line) => lines.push(line));
    const exit = await running.exit;
    assert.equal(exit.code, 0, lines.join("\n"));
    assert.equal(lines.filter((line) => line.startsWith("✓")).length, 7, lines.join("\n"));
    assert.match(lines.at(-1) ?? "", /^all ended; no process, socket or folder is left/);
  });

test("Ctrl-C while the demo is up ends everything", async () => {
  let folder = "";
  const lines: string[] = [];
  const running = await demo([], (line) => {
    lines.push(line);
    folder = /(\/\S*kodiak-demo-\S+)/.exec(line)?.[1] ?? folder;
    if (line.includes("stays up until Ctrl-C")) running.kill("SIGINT");
  });
  const exit = await running.exit;
  assert.equal(exit.code, 0, lines.join("\n"));
  assert.notEqual(folder, "");
  assert.deepEqual(await leftovers(folder), []);
});

// The demo as its users run it: into a pipe, until Ctrl-C, and on a terminal with keys.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { startProcess } from "#agent/process.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import { steps } from "#cli/demo/steps.ts";
import { times } from "../lab/soak.ts";

const program = fileURLToPath(new URL("../../dist/kodiak.js", import.meta.url));
const terminal = fileURLToPath(new URL("terminal.py", import.meta.url));

const demo = (args: readonly string[], onLine: (line: string) => void) =>
  startProcess(process.execPath, [program, "demo", ...args], { onLine });

for (let i = 1; i <= times(1, 3); i++)
  test(`the demo's steps all hold, and nothing of it is left (${i})`, async () => {
    const lines: string[] = [];
    const running = await demo(["--once"], (line) => lines.push(line));
    const exit = await running.exit;
    assert.equal(exit.code, 0, lines.join("\n"));
    assert.equal(lines.filter((line) => line.startsWith("  ✓ ")).length, steps.length, lines.join("\n"));
    assert.match(lines.at(-1) ?? "", /^all ended; no process, socket or folder is left/);
  });

test("Ctrl-C while the demo is up ends everything", async () => {
  let folder = "";
  const lines: string[] = [];
  const running = await demo([], (line) => {
    lines.push(line);
    folder = /(\/\S*kodiak-demo-[^\s/]+)/.exec(line)?.[1] ?? folder;
    if (folder !== "") running.kill("SIGINT");
  });
  const exit = await running.exit;
  assert.equal(exit.code, 0, lines.join("\n"));
  assert.notEqual(folder, "");
  assert.deepEqual(await leftovers(folder), []);
});

test("on a terminal the demo draws its mesh, a key denies and says by which command, and q leaves nothing", async (t) => {
  const running = spawn("python3", [terminal, process.execPath, program, "demo"], {
    env: { ...process.env, TERM: "xterm-256color", NO_COLOR: undefined },
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => running.kill());
  let screen = "";
  const told = new Set<() => void>();
  running.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += stripVTControlCharacters(text);
    for (const tell of told) tell();
  });
  const exit = once(running, "close");
  const shows = (what: RegExp, from = 0): Promise<number> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = screen.slice(from).search(what);
        if (found < 0) return;
        told.delete(look);
        resolve(from + found);
      };
      told.add(look);
      exit.then(() => reject(new Error(`ended before it showed ${what}:\n${screen.slice(-4000)}`)));
      look();
    });

  await shows(/frontend ─┬─▶ backend-1 +\d+ %\s+└─▶ ════ mTLS ══════▶ ingress ─┬─▶ backend-2 /);
  running.stdin.write("d");
  const command = await shows(/\$ kodiak apply -f (\S+)\/deny\.yaml --api http:\S+/);
  const folder = /apply -f (\S+)\/deny\.yaml/.exec(screen.slice(command))?.[1] ?? "";
  const denied = await shows(/✓ deny on global, 403 in zone-a after +\d+ ms/, command);
  await shows(/denied \d+/, denied);
  running.stdin.write("?");
  await shows(/kodiak get dataplanes/, denied);
  running.stdin.write("q");
  const [code] = await exit;
  assert.equal(code, 0, screen.slice(-4000));
  assert.match(screen, /all ended; no process, socket or folder is left/);
  assert.notEqual(folder, "");
  assert.deepEqual(await leftovers(folder), []);
});

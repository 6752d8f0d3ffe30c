// The demo as its users run it: into a pipe, until Ctrl-C, and on a terminal with keys.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { startProcess } from "#agent/process.ts";
import { leftovers } from "#cli/demo/leftovers.ts";
import { steps } from "#cli/demo/steps.ts";
import { eventually, patience } from "../lab/lab.ts";
import { times } from "../lab/soak.ts";

const program = fileURLToPath(new URL("../../dist/kodiak.js", import.meta.url));
const terminal = fileURLToPath(new URL("terminal.py", import.meta.url));

const demo = (args: readonly string[], onLine: (line: string) => void, env = process.env) =>
  startProcess(process.execPath, [program, "demo", ...args], { onLine, env });

/** As a person's terminal says it, wherever the test itself runs: CI systems and NO_COLOR ask for plain lines. */
const ofAPerson = { ...process.env, TERM: "xterm-256color", NO_COLOR: undefined, CI: undefined };
const onATerminal = (env: NodeJS.ProcessEnv = ofAPerson) =>
  spawn("python3", [terminal, process.execPath, program, "demo"], { env, stdio: ["pipe", "pipe", "inherit"] });

/** A folder for all that a demo makes, and the wait until nothing of it is left. */
async function ownFolder(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const endsClean = (): Promise<void> =>
    eventually("nothing is left", 10_000, async () => {
      assert.deepEqual(await readdir(folder), []);
      assert.deepEqual(await leftovers(folder), [`folder ${folder}`]);
    });
  return { folder, endsClean };
}

for (let i = 1; i <= times(1, 3); i++)
  test(`the demo's steps all hold, and nothing of it is left (${i})`, async () => {
    const lines: string[] = [];
    const running = await demo(["--once"], (line) => lines.push(line));
    const exit = await running.exit;
    assert.equal(exit.code, 0, lines.join("\n"));
    assert.equal(lines.filter((line) => line.startsWith("  ✓ ")).length, steps.length, lines.join("\n"));
    const times = /up in \d+\.\d s, story in \d+\.\d s, \d+\.\d s in all$/;
    assert.match(lines.at(-1) ?? "", new RegExp(`^all ended; no process, socket or folder is left   ${times.source}`));
  });

test("Ctrl-C while the demo is up ends everything", async (t) => {
  const { folder, endsClean } = await ownFolder(t);
  const lines: string[] = [];
  const onLine = (line: string): void => {
    lines.push(line);
    if (line.includes("up in")) running.kill("SIGINT");
  };
  const running = await demo([], onLine, { ...process.env, TMPDIR: folder });
  assert.equal((await running.exit).code, 0, lines.join("\n"));
  await endsClean();
});

test("kill -9 of the demo ends everything too", async (t) => {
  const { folder, endsClean } = await ownFolder(t);
  const running = await demo([], (line) => line.includes("up in") && running.kill("SIGKILL"), {
    ...process.env,
    TMPDIR: folder,
  });
  assert.equal((await running.exit).signal, "SIGKILL");
  await endsClean();
});

test("a terminal that is closed ends everything too", async (t) => {
  const { folder, endsClean } = await ownFolder(t);
  const running = onATerminal({ ...ofAPerson, TMPDIR: folder });
  t.after(() => running.kill());
  let shown = "";
  running.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    if (shown.includes("up in")) running.kill("SIGKILL");
  });
  await once(running, "exit");
  await endsClean();
});

for (const [name, value] of [
  ["NO_COLOR", "1"],
  ["TERM", "dumb"],
] as const)
  test(`on a terminal with ${name}=${value} the demo prints plain lines, and Ctrl-C ends it`, async (t) => {
    const { folder, endsClean } = await ownFolder(t);
    const running = onATerminal({ ...ofAPerson, TMPDIR: folder, [name]: value });
    t.after(() => running.kill());
    let text = "";
    running.stdout.setEncoding("utf8").on("data", (more: string) => {
      const wasUp = text.includes("up in");
      text += more;
      if (!wasUp && text.includes("up in")) running.stdin.write("\x03");
    });
    const [code] = await once(running, "close");
    assert.equal(code, 0, text);
    assert.match(text, /^starting global control plane …\r\n/);
    assert.match(text, /\r\nkodiak demo {3}.* up in \d+\.\d s\r\n/);
    assert.equal(text, stripVTControlCharacters(text));
    await endsClean();
  });

/** After `d`, which denies: allowed first, then each part is lost and started again. */
const keys = [
  {
    key: "d",
    command: /\$ kodiak delete meshtrafficpermission deny-backend --api http/,
    outcome: /✓ allowed on global, 200 .* \d+ ms/,
  },
  { key: "a", command: /\$ kill \d+/, outcome: /✓ backend-1 stopped, others have it all after +\d+ ms +0 failed/ },
  {
    key: "a",
    command: /\$ kodiak run proxy --config \S+/,
    outcome: /✓ backend-1 started, it answers after +\d+ ms +0 failed/,
  },
  { key: "b", command: /\$ kill \d+/, outcome: /✓ backend-2 stopped, others have it all after +\d+ ms +0 failed/ },
  {
    key: "b",
    command: /\$ kodiak run proxy --config \S+/,
    outcome: /✓ backend-2 started, it answers after +\d+ ms +0 failed/,
  },
  {
    key: "k",
    command: /\$ kill -9 \d+ \d+ \d+/,
    outcome: /✓ backend-3 killed -9 with its Envoy, .* \d+ ms +[0-4] failed/,
  },
  { key: "g", command: /\$ kill -9 \d+/, outcome: /✓ global killed -9, nothing changes.* +0 failed/ },
  { key: "g", command: /\$ kodiak run global --config \S+/, outcome: /✓ global started, ready after +\d+ ms/ },
  {
    key: "z",
    command: /\$ kill -9 (\d+ )+/,
    outcome: /✓ all of zone-b killed -9, all local after +\d+ ms +[0-4] failed/,
  },
  {
    key: "z",
    command: /\$ kodiak run zone --config \S+/,
    outcome: /✓ zone-b started, zone-a uses it after +\d+ ms +0 failed/,
  },
] as const;

test("on a terminal the demo draws its mesh, each key says what it did and by which command, and q leaves nothing", async (t) => {
  const running = onATerminal();
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
        clearTimeout(deadline);
        resolve(from + found);
      };
      const deadline = setTimeout(
        () => reject(new Error(`not shown within a minute: ${what}:\n${screen.slice(-4000)}`)),
        60_000 * patience,
      );
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
  await shows(/kodiak get dataplanes[\s\S]*a, b, k, g and z end processes as kill does/, denied);
  running.stdin.write("?");
  let at = denied;
  for (const { key, command, outcome } of keys) {
    running.stdin.write(key);
    at = await shows(command, screen.length);
    at = await shows(outcome, at);
  }
  running.stdin.write("q");
  const [code] = await exit;
  assert.equal(code, 0, screen.slice(-4000));
  assert.match(screen, /all ended; no process, socket or folder is left/);
  assert.notEqual(folder, "");
  assert.deepEqual(await leftovers(folder), []);
});

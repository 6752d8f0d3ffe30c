// The demo as its users run it: all of its steps, and on a terminal with keys. How it ends: ends.test.ts.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { leftovers } from "#cli/demo/leftovers.ts";
import { steps } from "#cli/demo/steps.ts";
import { patience } from "../lab/lab.ts";
import { times } from "../lab/soak.ts";
import { demo, onATerminal } from "./run.ts";

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

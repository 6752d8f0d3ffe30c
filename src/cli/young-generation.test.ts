// A control plane's young generation is limited, in the process that was started, unless a user has said how large it may be.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

const limiter = new URL("young-generation.ts", import.meta.url).href;

const say = "console.log(JSON.stringify([process.pid, process.execArgv, process.argv.slice(2)]))";

/** The option, where a program that is called with these arguments runs with it. */
function started(args: readonly string[], { nodeArgs = [], options = "" }: { nodeArgs?: string[]; options?: string }) {
  const { pid, stdout, stderr } = spawnSync(
    process.execPath,
    [...nodeArgs, "--import", limiter, "-e", say, "kodiak", ...args],
    {
      encoding: "utf8",
      env: { ...process.env, NODE_OPTIONS: options },
    },
  );
  assert.equal(stderr, "");
  const [ownPid, execArgv, argv] = JSON.parse(stdout);
  assert.equal(ownPid, pid, "it is the same process");
  assert.deepEqual(argv, args);
  return execArgv.filter((one: string) => one.startsWith("--max-semi-space-size"));
}

const limited = ["--max-semi-space-size=16"];

test("a control plane's young generation is limited", () => {
  assert.deepEqual(started(["run", "zone", "--name", "zone a"], {}), limited);
  assert.deepEqual(started(["run", "global"], { nodeArgs: ["--no-deprecation"] }), limited);
});

test("what a user has chosen is left alone, and so is everything that is no control plane", () => {
  const own = "--max-semi-space-size=64";
  assert.deepEqual(started(["run", "zone"], { nodeArgs: [own] }), [own]);
  assert.deepEqual(started(["run", "zone"], { options: own }), []);
  assert.deepEqual(started(["run", "proxy"], {}), []);
  assert.deepEqual(started(["get", "zones"], {}), []);
});

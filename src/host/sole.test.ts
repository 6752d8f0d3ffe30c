import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { takeAlone } from "#host/sole.ts";

test("a name is had by one at a time, and can be taken when it was given back", async () => {
  const name = `a test of ${process.pid} ${"with a long name ".repeat(20)}`;
  const giveBack = await takeAlone(name);
  assert.ok(giveBack);
  assert.equal(await takeAlone(name), undefined);
  const other = await takeAlone(`${name}2`);
  assert.ok(other);
  other();
  giveBack();
  const again = await takeAlone(name);
  assert.ok(again);
  again();
});

test("who is killed has it no longer", async () => {
  const name = `killed in a test of ${process.pid}`;
  const script = `await (await import("#host/sole.ts")).takeAlone(${JSON.stringify(name)}); console.log("has it"); setInterval(() => {}, 1_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  assert.equal(await takeAlone(name), undefined);
  child.kill("SIGKILL");
  await once(child, "exit");
  const giveBack = await takeAlone(name);
  assert.ok(giveBack);
  giveBack();
});

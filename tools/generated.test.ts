// What is generated is current: src/gen is what the generator makes of the .proto files that are here.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

test("src/gen is current", () => {
  const generator = join(import.meta.dirname, "generate", "generate.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [generator, "--check"], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
});

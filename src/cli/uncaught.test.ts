import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "#agent/process.ts";

const module = fileURLToPath(new URL("./control-plane.ts", import.meta.url));

for (const thrown of ["queueMicrotask(() => { throw new Error('a slip') })", "Promise.reject(new Error('a slip'))"])
  test(`a component ends for what nothing has caught, and says so in its log: ${thrown}`, async () => {
    const program = `import { openLogOf } from ${JSON.stringify(module)};
      openLogOf({ logLevel: "info", logFormat: "json" });
      setInterval(() => {}, 1_000);
      ${thrown};`;
    const { exit, lines } = await run(process.execPath, ["--input-type=module", "--eval", program]);
    assert.equal(exit.code, 1);
    assert.equal(lines.length, 1, lines.join("\n"));
    const { level, msg, reason } = JSON.parse(lines[0] ?? "");
    assert.equal(level, 50);
    assert.equal(msg, "ends for an error that nothing has caught: this is a bug");
    assert.match(reason, /^Error: a slip\n +at /);
  });

// Keeps what of STYLE.md a test can keep.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = globSync("src/**/*.ts", { cwd: root })
  .filter((file) => !file.startsWith("src/gen/"))
  .map((file) => ({ file, text: readFileSync(`${root}/${file}`, "utf8") }));
const own = sources.filter(({ file }) => !/\.test\.ts$/.test(file));

/** Where a deadline is one of a single wait, beside the one timer of all alarms. */
const mayUseTimeout = new Set([
  "src/host/alarm.ts",
  "src/agent/process.ts",
  "src/cli/demo/app.ts",
  "src/cli/demo/child.ts",
]);

const filesWhere = (isWrong: (source: (typeof own)[number]) => boolean): string[] =>
  own.filter(isWrong).map(({ file }) => file);

test("no interval, and no timer but where it may be", () => {
  assert.deepEqual(
    filesWhere(({ text }) => /\bsetInterval\(/.test(text)),
    [],
  );
  assert.deepEqual(
    filesWhere(({ file, text }) => /\bsetTimeout\(/.test(text) && !mayUseTimeout.has(file)),
    [],
  );
});

test("each file begins with what it is for, and is no longer than 400 lines", () => {
  assert.deepEqual(
    filesWhere(({ text }) => !/^(#!.*\n)?\/[/*]/.test(text)),
    [],
  );
  assert.deepEqual(
    filesWhere(({ text }) => text.split("\n").length > 400),
    [],
  );
});

test("no silenced type errors, and no folder called for what it is not", () => {
  assert.deepEqual(
    filesWhere(({ text }) => /@ts-(ignore|expect-error)/.test(text)),
    [],
  );
  const vague = /\/(core|common|utils?|helpers?|types|models?|managers?|plugins?|internal|v1alpha1)(\/|\.ts)/;
  assert.deepEqual(
    filesWhere(({ file }) => vague.test(file)),
    [],
  );
});

test("generated code is what the generator makes", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["tools/generate/generate.mjs", "--check"], {
    cwd: root,
    encoding: "utf8",
  });
  assert.equal(status, 0, stdout + stderr);
});

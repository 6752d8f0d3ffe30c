// The file of an audit log: whole lines, whatever ends the process; rotated by size; readable by its owner only.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { openDurableLines } from "#host/durable-lines.ts";

function inFolder(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), "kodiak-lines-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "audit.log");
  return { folder, file, read: (suffix = "") => readFileSync(file + suffix, "utf8") };
}
const large = { maxBytes: 1_000_000, keep: 3 };

test("lines are kept in their order, over restarts, readable by the owner only", async (t) => {
  const { file, read } = inFolder(t);
  writeFileSync(file, "before\n");
  chmodSync(file, 0o644);
  for (const round of ["a", "b"]) {
    const lines = await openDurableLines(file, large);
    await Promise.all([1, 2, 3].map((i) => lines.append(`${round}${i}\n`)));
    await lines.close();
    await assert.rejects(lines.append("late\n"), /audit\.log is closed/);
  }
  assert.equal(read(), "before\na1\na2\na3\nb1\nb2\nb3\n");
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("a torn last line goes, wherever it was torn", async (t) => {
  const { file, read } = inFolder(t);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ maxLength: 100_000 })), fc.nat(), async (texts, cut) => {
      const whole = texts.map((text) => `${JSON.stringify(text)}\n`).join("");
      const torn = Buffer.from(whole).subarray(0, cut % (Buffer.byteLength(whole) + 1));
      writeFileSync(file, torn);
      const lines = await openDurableLines(file, { ...large, maxBytes: 1e9 });
      await lines.append("next\n");
      await lines.close();
      const kept = torn.subarray(0, torn.lastIndexOf("\n") + 1).toString();
      assert.equal(read(), `${kept}next\n`);
    }),
    { numRuns: 30 },
  );
});

test("at its size a file makes way for a new one, and the oldest goes", async (t) => {
  const { folder, file, read } = inFolder(t);
  const lines = await openDurableLines(file, { maxBytes: 20, keep: 2 });
  for (let i = 1; i <= 9; i++) await lines.append(`line ${i}...\n`);
  await lines.append(`${"x".repeat(100)}\n`);
  await lines.append("last\n");
  await lines.close();
  assert.deepEqual(readdirSync(folder).sort(), ["audit.log", "audit.log.1", "audit.log.2"]);
  assert.deepEqual([read(), read(".1"), read(".2")], ["last\n", `${"x".repeat(100)}\n`, "line 9...\n"]);
  for (const name of readdirSync(folder)) assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600);
});

test("what can't be written is said, and works again when it can", async (t) => {
  const { file, read } = inFolder(t);
  const lines = await openDurableLines(file, { maxBytes: 10, keep: 2 });
  await lines.append("first...\n");
  mkdirSync(join(`${file}.1`, "in the way"), { recursive: true });
  mkdirSync(join(`${file}.2`, "in the way, too"), { recursive: true });
  await assert.rejects(lines.append("second..\n"), /ENOTEMPTY|EISDIR/);
  assert.equal(read(), "first...\n");
  rmSync(`${file}.1`, { recursive: true });
  rmSync(`${file}.2`, { recursive: true });
  await lines.append("third...\n");
  await lines.close();
  assert.deepEqual([read(), read(".1")], ["third...\n", "first...\n"]);
});

test("of a write that the disk takes only a part of nothing is kept", (t) => {
  const { file, read } = inFolder(t);
  const module = JSON.stringify(fileURLToPath(new URL("./durable-lines.ts", import.meta.url)));
  const script = `
    import { openDurableLines } from ${module};
    const lines = await openDurableLines(${JSON.stringify(file)}, { maxBytes: 1e6, keep: 1 });
    await lines.append("x".repeat(600) + "\\n");
    console.log(await lines.append("y".repeat(600) + "\\n").then(() => "kept", (error) => error.code));
    await lines.append("z".repeat(300) + "\\n");
    await lines.close();`;
  // One block of 1024 bytes is the most that a file may have.
  const limited = `trap '' XFSZ; ulimit -f 1; exec "$0" --input-type=module -e "$1"`;
  const { stdout, stderr } = spawnSync("bash", ["-c", limited, process.execPath, script], { encoding: "utf8" });
  assert.equal(stdout, "EFBIG\n", stderr);
  assert.equal(read(), `${"x".repeat(600)}\n${"z".repeat(300)}\n`);
});

test("a file that can't be opened is named, and a link is not followed", async (t) => {
  const { folder, file } = inFolder(t);
  await assert.rejects(openDurableLines(join(folder, "no", "such"), large), /^KodiakError: cannot open .*such: ENOENT/);
  writeFileSync(join(folder, "elsewhere"), "");
  symlinkSync(join(folder, "elsewhere"), file);
  await assert.rejects(openDurableLines(file, large), /^KodiakError: cannot open .*audit\.log: ELOOP/);
});

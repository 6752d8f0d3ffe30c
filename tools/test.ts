// `npm test`: style and types, then every test once: unit tests and what runs in virtual time side by side; what needs real processes in
// pairs, and beside them, one file after the other, what waits for time to pass; and by itself what counts or fills the machine (two
// cores). Ends with one line `N passed, N failed`.

import { spawn, spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { times } from "../test/lab/soak.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (name: string) => join(root, "node_modules/.bin", name);
const wanted = process.argv.slice(2);

/** A file that hangs fails by its name, and the others go on. At rest the longest takes two minutes, under soak half an hour. */
const fileTimeoutMs = times(10, 180) * 60_000;

let failed = 0;
let passed = 0;
/** Of a run's output: its counts, and the failures behind them, which may hold whole configurations. */
const keptCharacters = 4_000_000;
const toldCharacters = 20_000;
/** As the reporter tells them, once more at the end: between them and that may be a quarter of an hour. */
const failures: string[] = [];

function check(name: string, command: string, args: readonly string[]): void {
  if (wanted.length > 0) return;
  const { status } = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (status === 0) passed++;
  else failed++;
  process.stdout.write(`${status === 0 ? "ok" : "FAILED"}: ${name}\n`);
}

async function runTests(all: readonly string[], concurrency: number): Promise<void> {
  const files = wanted.length === 0 ? all : all.filter((file) => wanted.some((part) => file.includes(part)));
  if (files.length === 0) return;
  const child = spawn(
    process.execPath,
    [
      "--test",
      `--test-concurrency=${concurrency}`,
      "--test-reporter=spec",
      `--test-timeout=${fileTimeoutMs}`,
      ...files,
    ],
    {
      cwd: root,
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        ...process.env,
        // `npm` has just made it.
        TEST_PROGRAM: join(root, "dist/kodiak.js"),
        // Each file is a process of its own: what Node has made of a module for one, the next reads.
        NODE_COMPILE_CACHE: join(root, "dist/compile-cache"),
      },
    },
  );
  // Who ends this ends the tests, and what they have started.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => child.kill(signal));
  let tail = "";
  let shown = 0;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    tail += text;
    // Whole lines, as another run may be at its own beside this one.
    const end = tail.lastIndexOf("\n") + 1;
    process.stdout.write(tail.slice(shown, end));
    const kept = tail.slice(-keptCharacters);
    shown = Math.max(0, Math.max(shown, end) - (tail.length - kept.length));
    tail = kept;
  });
  const code = await new Promise<number | null>((done) => child.on("close", done));
  const [, why] = tail.split("✖ failing tests:\n");
  if (why !== undefined) failures.push(why.trim().slice(0, toldCharacters));
  const count = (word: string) => Number([...tail.matchAll(new RegExp(`ℹ ${word} (\\d+)`, "g"))].at(-1)?.[1] ?? 0);
  passed += count("pass");
  failed += count("fail") + count("cancelled");
  if (code !== 0 && failed === 0) failed++;
}

check("types", bin("tsc"), ["--noEmit"]);
check("style", bin("biome"), ["check", "."]);
const found = (...patterns: readonly string[]) => globSync([...patterns], { cwd: root }).sort();
// Time of their own or none: what else runs beside them makes no difference.
const simulated = found("test/simulation/**/*.test.ts");
const alone = found(
  "test/demo/demo.test.ts",
  "test/{fuzz,scale}/**/*.test.ts",
  "test/envoy/{make-before-break,rotations}.test.ts",
  "test/operations/back-pressure.test.ts",
);
/** For certificates to be renewed, silence to be noticed, proxies to be forgotten: most of it leaves the cores to others. */
const waiting = found(
  "test/envoy/renewal.test.ts",
  "test/failures/failures.test.ts",
  "test/operations/{idle,running,stuck-link}.test.ts",
  "test/policies/mesh-health-check.test.ts",
  "test/promises/{p1-cut-from-its-proxies,p1-loss-of-a-control-plane,p12-evidence-about-zones}.test.ts",
  "test/scenarios/a24-service-modes.test.ts",
);
const others = found("test/**/*.test.ts").filter((file) => ![simulated, alone, waiting].flat().includes(file));
await runTests([...found("src/**/*.test.ts", "tools/**/*.test.ts"), ...simulated], 2);
await Promise.all([runTests(others, 2), runTests(waiting, 1)]);
await runTests(alone, 1);
if (failures.length > 0) process.stdout.write(`\nwhat failed:\n\n${failures.join("\n\n")}\n`);
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);

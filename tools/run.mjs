// The front door: `npm run demo`, `npm test`, … call this with whatever Node.js the machine has. It installs what is
// missing (packages, with them the project's own Node.js), bundles the program, and hands over to it.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, "node_modules/.bin/node");
const [task = "help", ...rest] = process.argv.slice(2);

if (process.platform !== "linux" || process.arch !== "x64") {
  fail(
    `Kodiak's commands run on Linux x86-64; this is ${process.platform} ${process.arch}. On other systems, run them in a ` +
      "Linux x86-64 container or virtual machine.",
  );
}

/** Installs packages when the lock file is newer than what was installed from it. */
function installPackages() {
  const lock = readFileSync(join(root, "package-lock.json"), "utf8");
  const mark = join(root, "node_modules/.installed-lock");
  if (existsSync(node) && existsSync(mark) && readFileSync(mark, "utf8") === lock) return;
  process.stderr.write("installing packages …\n");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
  writeFileSync(mark, lock);
}

/** One file for all of src/, so that a process starts in a fraction of the time. */
function bundle() {
  run(node, [join(root, "tools/bundle.mjs")]);
}

function run(command, args) {
  const { status, error, signal } = spawnSync(command, args, { cwd: root, stdio: ["inherit", "inherit", "inherit"] });
  if (error) fail(`cannot run ${command}: ${error.message}`);
  if (signal) process.exit(1);
  if (status !== 0) process.exit(status ?? 1);
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const tasks = {
  demo: () => [join(root, "dist/kodiak.js"), "demo", ...rest],
  kodiak: () => [join(root, "dist/kodiak.js"), ...rest],
  test: () => [join(root, "tools/test.ts"), ...rest],
  soak: () => [join(root, "tools/soak.ts"), ...rest],
  simulate: () => [join(root, "test/simulation/main.ts"), ...rest],
  bench: () => [join(root, "bench/main.ts"), ...rest],
};

const args = tasks[task];
if (!args) fail(`usage: node tools/run.mjs ${Object.keys(tasks).join(" | ")}`);
installPackages();
const startedMs = Date.now();
bundle();

// The child gets our signals (same process group on a terminal); we wait so that it can clean up.
// The demo says how long it took from the command on, bundling included.
const env = task === "demo" ? { ...process.env, COMMAND_STARTED_MS: String(startedMs) } : process.env;
const child = spawn(node, args(), { cwd: process.cwd(), stdio: "inherit", env });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));

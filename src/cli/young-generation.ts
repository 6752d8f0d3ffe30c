// Run before the program is read (tools/bundle.mjs): a control plane's young generation, which V8 lets grow to 128 MiB while a thousand
// proxies connect, and gives none of it back. Its limit can only be set when Node starts, so Node starts once more, as the same
// process (docs/performance.md, memory).

import process from "node:process";

const option = "--max-semi-space-size";
/** In MiB, of each half. */
const limit = 16;

const [verb, what] = process.argv.slice(2);
const isControlPlane = verb === "run" && (what === "zone" || what === "global");
const isChosen = [...process.execArgv, process.env.NODE_OPTIONS ?? ""].some((one) => one.includes(option));
if (isControlPlane && !isChosen) {
  const args = [`${option}=${limit}`, ...process.execArgv, ...process.argv.slice(1)];
  // Before 22.15 Node cannot, and goes on as it is.
  process.execve?.(process.execPath, [process.execPath, ...args]);
}

// `npm run simulate -- [--seed N] [--count N]`: repeats what a seed does and prints its history; or tries many seeds, from there
// on, and prints the histories of those that fail, and on standard error how far it is.

import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({ options: { seed: { type: "string" }, count: { type: "string" } } });
const first = Number(values.seed ?? 1);
const count = Number(values.count ?? 1);
if (!Number.isSafeInteger(first) || !Number.isSafeInteger(count) || count < 1) {
  process.stderr.write(
    "usage: npm run simulate -- [--seed N] [--count N]; both are whole numbers, 1 if they are left out\n",
  );
  process.exit(1);
}

/** Half a minute's worth. */
const progressEvery = 100;

let failures = 0;
for (let seed = first; seed < first + count; seed++) {
  const { wrong, history, trace, commits } = await simulate(seed);
  if (wrong.length > 0) failures++;
  const tried = seed - first + 1;
  if (tried % progressEvery === 0) {
    process.stderr.write(`seeds from ${first} on: ${tried} of ${count} tried, ${failures} failed\n`);
  }
  if (count > 1 && wrong.length === 0) continue;
  const verdict = wrong.length === 0 ? "all is well" : ["what is wrong:", ...wrong].join("\n  ");
  process.stdout.write(
    `${history.join("\n")}\n\nseed ${seed}, trace ${trace.slice(0, 16)}, ${commits} commits: ${verdict}\n`,
  );
  if (wrong.length > 0) process.stdout.write(`repeat it with: npm run simulate -- --seed ${seed}\n\n`);
}
if (count > 1) process.stdout.write(`${failures} of ${count} seeds failed\n`);
process.exit(failures === 0 ? 0 : 1);

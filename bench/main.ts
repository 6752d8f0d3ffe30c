// `npm run bench [-- --only NAME,NAME] [-- --json FILE]`: how long a change takes from the API that takes it to the Envoy that
// uses it, and what a thousand proxies cost. docs/performance.md says what is measured and keeps the results.

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { envoyVersion, findEnvoy } from "#agent/envoy-binary.ts";
import { fetchEnvoy, progressLine } from "#agent/envoy-fetch.ts";
import { hopRows } from "./hops.ts";
import { lossRows } from "./losses.ts";
import { nameRows } from "./names.ts";
import { processes } from "./processes.ts";
import { zoneRows } from "./rows.ts";
import { allReachableRows, scaleRows } from "./scale.ts";
import type { Measured } from "./suite.ts";
import { vanishRows } from "./vanishing.ts";

const suites = [zoneRows, hopRows, nameRows, lossRows, vanishRows, scaleRows, allReachableRows] as const;

interface Row extends Pick<Measured, "name" | "unit"> {
  readonly n: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Percentiles by nearest rank: each is a value that was measured. */
function rowOf({ name, unit, values }: Measured): Row {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => Number((sorted[Math.ceil(share * sorted.length) - 1] ?? Number.NaN).toFixed(2));
  return { name, unit, n: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

const progress = (what: string): boolean => process.stderr.write(`${what} …\n`);

/** Each suite with processes of its own. */
async function measured(isWanted: (name: string) => boolean, stopped: Promise<never>): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const suite of suites) {
    if (!suite.names.some(isWanted)) continue;
    const started = await processes();
    const measuring = (async () => {
      for await (const one of suite.measure(started, isWanted, progress)) {
        const row = rowOf(one);
        process.stderr.write(`${tableOf([row])}\n`);
        rows.push(row);
        const ended = started.ended();
        if (ended.length > 0) throw new Error(`ended while ${one.name} was measured: ${ended.join(", ")}`);
      }
    })();
    try {
      await Promise.race([measuring, stopped]);
    } finally {
      await started.close();
    }
  }
  return rows;
}

/** What the numbers belong to. */
async function circumstances() {
  const envoyPath = await findEnvoy(process.env).catch(() => fetchEnvoy(process.env, progressLine(process.stderr)));
  const processors = cpus();
  return {
    machine: `${processors.length} × ${processors[0]?.model ?? "unknown"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`,
    // Of one minute, before anything was started: what else the machine was doing.
    load: (loadavg()[0] ?? 0).toFixed(1),
    // "-dirty": with changes that are not committed.
    commit: execFileSync("git", ["describe", "--always", "--dirty"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
    }).trim(),
    node: process.version,
    envoy: (await envoyVersion(envoyPath)).version,
  };
}

function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ["name", "unit", "n", "p50", "p99", "max"],
    style: { head: [], border: [], compact: true },
    colAligns: ["left", "left", "right", "right", "right", "right"],
  });
  for (const { name, unit, n, p50, p99, max } of rows) table.push([name, unit, n, p50, p99, max]);
  return table.toString();
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { only: { type: "string" }, json: { type: "string" } } });
  const names = suites.flatMap((suite) => suite.names);
  const only = values.only?.split(",");
  const isWanted = (name: string): boolean => only?.includes(name) ?? true;
  if (!names.some(isWanted)) throw new Error(`--only ${values.only}: there are ${names.join(", ")}`);
  const where = await circumstances();
  const stopped = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => reject(new Error(`stopped by ${signal}`)));
    }
  });
  const rows = await measured(isWanted, stopped);
  const facts = Object.entries(where).map(([name, value]) => `${name} ${value}`);
  process.stdout.write(`${facts.join("\n")}\n${tableOf(rows)}\n`);
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ ...where, rows }, undefined, 2)}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
// What was being measured when a signal came is not waited for.
process.exit();

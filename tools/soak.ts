// `npm run soak [-- PART …]`: the tests that count, in greater numbers than `npm test` has time for; what they counted becomes the
// table of docs/failures.md. PART: only files whose path has it, and then the table is printed, not written.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Test files that do more under soak (`times` in test/lab/soak.ts). */
const repeated = [
  "test/envoy/egress",
  "test/envoy/outside-through-egress",
  "test/envoy/make-before-break",
  "test/envoy/two-zones",
  "test/envoy/renewal",
  "test/envoy/rotations",
  "test/failures",
  "test/promises",
  "test/scenarios/a5",
  "test/scenarios/a12",
  "test/scenarios/a24",
  "test/demo",
  "test/validate",
  "src/proxy/pipeline",
  "test/simulation",
  "test/operations",
  "test/fuzz",
];

interface Counted {
  readonly what: string;
  readonly requests: number;
  readonly failed: number;
  /** How many may fail, if that says anything, and why it is not 0. */
  readonly most?: number;
  readonly why: string;
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const parts = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "kodiak-soak-"));
const file = join(folder, "counted.jsonl");
writeFileSync(file, "");
const { status } = spawnSync(
  process.execPath,
  [join(root, "tools/test.ts"), ...(parts.length > 0 ? parts : repeated)],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, SOAK_RECORD: file },
  },
);
const counted: readonly Counted[] = readFileSync(file, "utf8")
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line));
rmSync(folder, { recursive: true });

const number = (value: number): string => value.toLocaleString("en");
const table = [
  "| what happened meanwhile | requests | failed | why not 0 |",
  "|---|---:|---:|---|",
  ...counted.map(({ what, requests, failed, most, why }) => {
    const allowed = most ? `${why}: at most ${number(most)}` : why;
    return `| ${what} | ${number(requests)} | ${number(failed)} | ${allowed} |`;
  }),
].join("\n");
if (parts.length > 0) process.stdout.write(`${table}\n`);
else {
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { cwd: root, encoding: "utf8" }).trim();
  const page = `# Failed requests

Requests go on, several at a time, through real Envoys, while something happens to the mesh. A request has failed when its answer is not a 200.
\`npm run soak\` writes this page; \`npm test\` does most of it, some of it less often, and fails if more requests do than the last column allows: none
where it is empty, any number where it has only a reason.

${table}

Commit ${commit}, ${new Date().toISOString().slice(0, 10)}, ${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, everything on this one machine.
`;
  writeFileSync(join(root, "docs/failures.md"), page);
  process.stdout.write(`\n${table}\nwritten to docs/failures.md\n`);
}
process.exit(status ?? 1);

// Keeps the direction of imports, the purity of the pure folders, and which folder may import which package.

import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Left may not import right; neighbours may not import each other. */
const layers = [
  ["lib", "gen"],
  ["incremental", "resources", "discovery"],
  ["envoy", "topology"],
  ["policies"],
  ["proxy", "owned"],
  ["host"],
  ["store", "identity", "xds", "kds", "api", "agent"],
  ["zone", "global"],
  ["cli"],
];
const heightOf = new Map(layers.flatMap((folders, height) => folders.map((folder) => [folder, height] as const)));
const firstShell = heightOf.get("host") ?? 0;

/** Each package once, with the folders that may import it. `gen` is free: it is generated. */
const packages: Readonly<Record<string, readonly string[]>> = {
  "@bufbuild/protobuf": ["gen", "resources", "discovery", "envoy", "proxy", "xds", "kds", "agent", "zone", "cli"],
  "@peculiar/x509": ["identity", "host"],
  "reflect-metadata": ["identity", "host"],
  asn1js: ["identity"],
  "cli-table3": ["cli"],
  commander: ["cli"],
  "dns-packet": ["agent"],
  fastify: ["api"],
  jose: ["identity"],
  pino: ["host"],
  "prom-client": ["host"],
  yaml: ["host", "xds", "agent", "cli"],
  re2js: ["policies"],
  zod: ["policies", "identity", "api", "agent", "xds", "cli"],
};

export function violations(file: string, source: string): string[] {
  const own = file.split("/")[1] ?? "";
  const height = heightOf.get(own) ?? -1;
  const isPure = height < firstShell;
  const found: string[] = [];
  for (const [, target = ""] of source.matchAll(/^(?:import|export)[^;]*? from "([^"]+)";/gms)) {
    const folder = /^#([a-z]+)\//.exec(target)?.[1];
    if (folder !== undefined) {
      if (folder !== own && (heightOf.get(folder) ?? Number.POSITIVE_INFINITY) >= height)
        found.push(`${file} must not import ${folder}`);
    } else if (target.startsWith("node:")) {
      if (isPure && file !== "src/lib/hash.ts") found.push(`${file} must not import ${target}: ${own} is pure`);
    } else if (!target.startsWith(".")) {
      const name = target
        .split("/")
        .slice(0, target.startsWith("@") ? 2 : 1)
        .join("/");
      if (!packages[name]?.includes(own)) found.push(`${file} must not import the package ${name}`);
    }
  }
  if (isPure && own !== "gen") {
    const code = source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    for (const word of [
      /\basync\b/,
      /\bawait\b/,
      /\bDate\.now\b/,
      /\bnew Date\(\)/,
      /\bMath\.random\b/,
      /\bset(Timeout|Interval|Immediate)\b/,
    ]) {
      if (word.test(code)) found.push(`${file} must not use ${word.source}: ${own} is pure`);
    }
  }
  return found;
}

test("the check finds what is wrong", () => {
  assert.deepEqual(
    violations("src/topology/x.ts", 'import { a } from "#proxy/y.ts";\nimport { b } from "#resources/z.ts";'),
    ["src/topology/x.ts must not import proxy"],
  );
  assert.deepEqual(violations("src/api/x.ts", 'import { a } from "#kds/y.ts";'), ["src/api/x.ts must not import kds"]);
  assert.deepEqual(violations("src/proxy/x.ts", 'import { a } from "node:fs";').length, 1);
  assert.deepEqual(violations("src/proxy/x.ts", 'import { a } from "yaml";').length, 1);
  assert.deepEqual(violations("src/owned/x.ts", "const now = Date.now();").length, 1);
});

test("imports point downhill, pure folders are pure, packages are where they may be", () => {
  const files = globSync("src/**/*.ts", { cwd: root }).filter(
    (file) => !/\.test\.ts$|\.fixture\.ts$|for-test\.ts$/.test(file),
  );
  assert.ok(files.length > 100);
  assert.deepEqual(
    files.flatMap((file) => violations(file, readFileSync(`${root}/${file}`, "utf8"))),
    [],
  );
});

// Bundles the program for dist/kodiak.js, or the file that is named: one file starts in a fraction of the time of several hundred.
// It lies beside what is called, which is small, as a control plane starts Node once more before it reads the program
// (src/cli/young-generation.ts).

import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const called = process.argv[2] ?? join(root, "dist/kodiak.js");
const program = called.replace(/(\.js)?$/, "-program.js");

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  logLevel: "warning",
};

await build({
  ...options,
  entryPoints: [join(root, "src/cli/main.ts")],
  outfile: program,
  sourcemap: true,
  // Node keeps the text of what it runs, in twice the memory if it is not all ASCII.
  minifyWhitespace: true,
  legalComments: "external",
  // Some libraries are CommonJS and call require for Node's own modules.
  banner: {
    js: 'import { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);',
  },
});
await build({
  ...options,
  entryPoints: [join(root, "src/cli/young-generation.ts")],
  outfile: called,
  banner: { js: "#!/usr/bin/env node" },
  footer: { js: `await import("./${basename(program)}");` },
});

// Bundles the program into dist/kodiak.js, or the file that is named: one file starts in a fraction of the time of several
// hundred.

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

await build({
  absWorkingDir: root,
  entryPoints: [join(root, "src/cli/main.ts")],
  outfile: process.argv[2] ?? join(root, "dist/kodiak.js"),
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  sourcemap: true,
  logLevel: "warning",
  // Some libraries are CommonJS and call require for Node's own modules.
  banner: {
    js: '#!/usr/bin/env node\nimport { createRequire } from "node:module";\nconst require = createRequire(import.meta.url);',
  },
});

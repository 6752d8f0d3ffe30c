// Bundles the program for dist/kodiak.js, or the file that is named: one file starts in a fraction of the time of several hundred.
// It lies beside what is called, which is small, as a control plane starts Node once more before it reads the program
// (src/cli/young-generation.ts).

import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const called = process.argv[2] ?? join(root, "dist/kodiak.js");
const besides = (name) => called.replace(/(\.js)?$/, `-${name}.js`);
/** The demo starts four of its applications on the way to its first request, and each needs a tenth of the program. */
const programs = { program: "src/cli/main.ts", demo: "src/cli/main-demo.ts" };

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  logLevel: "warning",
};

/** As a module, `node:http` loads fetch and all that it needs, a sixth of the time in which the program starts; required, it does not. */
const withoutFetch = {
  name: "node:http without fetch",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:http$/ }, ({ kind }) =>
      kind === "require-call" ? { external: true, path: "node:http" } : { namespace: "required", path: "node:http" },
    );
    onLoad({ filter: /./, namespace: "required" }, ({ path }) => ({
      contents: `module.exports = require("${path}");`,
    }));
  },
};

for (const [name, entry] of Object.entries(programs))
  await build({
    ...options,
    plugins: [withoutFetch],
    entryPoints: [join(root, entry)],
    outfile: besides(name),
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
  // What V8 has made of the program is kept beside it, if that may be written there.
  footer: {
    js: `import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";
enableCompileCache(fileURLToPath(new URL("compile-cache", import.meta.url)));
const isDemo = process.argv[2]?.startsWith("demo");
await import(isDemo ? "./${basename(besides("demo"))}" : "./${basename(besides("program"))}");`,
  },
});

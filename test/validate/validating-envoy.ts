// The real Envoy as a judge: it reads a configuration whole, as it would at its start, and says what is wrong with it.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { run } from "#agent/process.ts";
import { envoy } from "../lab/envoy.ts";

/** Envoy's sentence on a bootstrap in JSON; `undefined` where it accepts. One at a time. */
export type RefusalOf = (bootstrap: string) => Promise<string | undefined>;

export async function validatingEnvoy(t: TestContext): Promise<RefusalOf> {
  const path = await envoy();
  const folder = await mkdtemp(join(tmpdir(), "kodiak-test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "bootstrap.json");
  return async (bootstrap) => {
    await writeFile(file, bootstrap);
    const { exit, lines } = await run(path, ["--mode", "validate", "--log-level", "error", "--config-path", file], {
      opensOutput: true,
    });
    return exit.code === 0 ? undefined : lines.join("\n");
  };
}

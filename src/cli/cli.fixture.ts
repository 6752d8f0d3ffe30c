// Commands run in this process, with what they print: for the tests of the verbs.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { serve } from "#api/api.fixture.ts";
import { runProgram } from "#cli/program.ts";
import { verbs } from "#cli/verbs.ts";
import { isActedOn, unknownMembers, validateResource } from "#policies/kinds.ts";

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}
export interface Circumstances {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly hasColours?: boolean;
  readonly now?: number;
}

export async function kodiak(
  args: readonly string[],
  { env = {}, input = "", ...more }: Circumstances = {},
): Promise<Run> {
  let [out, err] = ["", ""];
  const code = await runProgram(verbs, args, {
    env,
    hasColours: more.hasColours ?? false,
    now: () => more.now ?? Date.now(),
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    input: async () => input,
  });
  return { code, out, err };
}

/** A control plane's API with the real rules of all kinds; `run` speaks to it. */
export async function served(t: TestContext, options: Parameters<typeof serve>[1] = {}) {
  const rules = { validate: validateResource, unknownMembers, isActedOn, ...options.rules };
  const rig = await serve(t, { ...options, rules });
  const env = { KODIAK_API: `http://127.0.0.1:${rig.httpPort}` };
  const run = (args: readonly string[], more: Circumstances = {}): Promise<Run> =>
    kodiak(args, { ...more, env: { ...env, ...more.env } });
  return { ...rig, run };
}

/** A folder for the test, and files in it. */
export function folder(t: TestContext) {
  const path = mkdtempSync(join(tmpdir(), "kodiak-cli-"));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return {
    path,
    file(name: string, text: string): string {
      writeFileSync(join(path, name), text);
      return join(path, name);
    },
  };
}

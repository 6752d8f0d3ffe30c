// Whatever happens, in whatever order: proxies come, change and go; users write and delete; links break and are slow; control
// planes are killed and stopped; their stores are lost, or replaced by older copies, and operators accept that at some time.
//
//   always   a store that was lost takes nothing away from others, and changes no keys, before that is accepted
//   quiet    nothing is held but for a store that was lost; when that is accepted, every proxy holds what is computed from
//            scratch, the stores hold what should have travelled and what users were told is written, and nothing more is written
//
// What users wrote since a copy is lost with what came after the copy. Found: an instance that died with its control plane, and
// was not there when that was back, kept its traffic; an instance that a user wrote, and no proxy used, lost it; what a zone
// had sent before it lost its store reached global after it was back, and stayed; keys of authorities whose Mesh was lost went
// to the zones. Seen to catch, within 20 seeds each: a cluster that is sent again without its endpoints; a mark that stays; a
// certificate of an earlier definition; a change that a KDS stream forgets; a proxy's definition that outlives it. Within 80:
// an absence taken for a deletion; keys of another store taken over; what is accepted not asked for anew.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { text } from "node:stream/consumers";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { times } from "../lab/soak.ts";
import { simulate } from "./simulate.ts";

const seeds = times(1_000, 10_000);

test(`${seeds} histories of losses, restarts and changes come to what is computed from scratch`, async (t) => {
  const programs = availableParallelism();
  const each = Math.ceil(seeds / programs);
  await Promise.all(Array.from({ length: programs }, (_, i) => tried(t, 1 + i * each, each)));
});

/** In a process of its own, so that all cores have something to do. */
async function tried(t: TestContext, first: number, count: number): Promise<void> {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  // A history leaves nothing behind: with room for one of them, the collector has little to look at, and it takes a third less.
  const roomy = ["--min-semi-space-size=64", "--max-semi-space-size=64"];
  const child = spawn(process.execPath, [...roomy, main, "--seed", `${first}`, "--count", `${count}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill());
  const [said, [code, signal]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  assert.equal(signal ?? code, 0, `${said}\nseeds from ${first} on ended with ${signal ?? code}`);
}

test("a seed does the same each time", async () => {
  for (const seed of [1, 4, 9]) {
    const [first, second] = [await simulate(seed), await simulate(seed)];
    assert.deepEqual(first.history, second.history);
    assert.equal(first.trace, second.trace);
  }
});

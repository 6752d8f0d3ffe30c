// What `get zones` says of zones that are frozen, against a real API.

import assert from "node:assert/strict";
import { test } from "node:test";
import { served } from "#cli/cli.fixture.ts";
import type { Links } from "#resources/links.ts";

const now = Date.UTC(2026, 0, 2, 12);
const links: Links = {
  list: () => [
    { peer: "a", held: [], heldSince: undefined, refused: [], frozenSince: now - 30_000 },
    { peer: "b", held: [], heldSince: undefined, refused: [] },
  ],
  accept: () => Promise.resolve({ removals: 0, changes: 0 }),
};
const why =
  "its proxies went away together, or it has just started; nothing is concluded from that until some are back, and traffic goes on";

test("on global: which zones, since when, and what that means", async (t) => {
  const { run } = await served(t, { links });
  const { out } = await run(["get", "zones"], { now });
  assert.match(out, /^NAME +STATUS +FROZEN$/m);
  assert.match(out, /^a .* for 30s$/m);
  assert.match(out, /^b .* -$/m);
  assert.ok(out.endsWith(`\n\na: frozen for 30s: ${why}\n`), out);
});

test("on a zone that stands alone: this one", async (t) => {
  const { run } = await served(t, { frozenSince: () => now - 45_000 });
  const { out, err } = await run(["get", "zones"], { now });
  assert.equal(err, "there are no zones\n");
  assert.equal(out, `\nthis zone: frozen for 45s: ${why}\n`);
});

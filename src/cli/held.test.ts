// What `get zones` says of links that are held, and `zone accept`, against a real API.

import assert from "node:assert/strict";
import { test } from "node:test";
import { served } from "#cli/cli.fixture.ts";
import { KodiakError } from "#lib/failure.ts";
import type { Links, LinkView } from "#resources/links.ts";

const now = Date.UTC(2026, 0, 2, 12);
const why = "its store is not the one that was known";
const removal = (kind: string, mesh: string, name: string) => ({ kind, mesh, name, what: "removal" as const, why });
const linksOf = (...views: readonly LinkView[]): Links => ({
  list: () => views,
  accept: (peer) =>
    peer === "global"
      ? Promise.resolve({ removals: 2, changes: 1 })
      : Promise.reject(new KodiakError({ kind: "not-found", what: `the link to "${peer}"` })),
});
const global = (...held: LinkView["held"]): LinkView => ({
  peer: "global",
  connection: { isConnected: true, since: now - 600_000 },
  held,
  heldSince: held.length > 0 ? now - 45_000 : undefined,
  refused: [],
});

test("a zone shows its link to global; while nothing is held there is no word of that", async (t) => {
  const { run } = await served(t, { links: linksOf(global()) });
  const { out } = await run(["get", "zones"], { now });
  assert.equal(out, "NAME     STATUS\nglobal   online since 10m\n");
});

test("what is held is counted in the table, and listed below it with why, since when and what ends it", async (t) => {
  const change = { kind: "Mesh", mesh: "", name: "default", what: "change" as const, why };
  const held = [removal("MeshTimeout", "default", "slow"), removal("Mesh", "", "old"), change];
  const { run } = await served(t, { links: linksOf(global(...held)) });
  const { out } = await run(["get", "zones"], { now });
  assert.equal(
    out,
    `NAME     STATUS             HELD
global   online since 10m   2 removals, 1 change

global: 2 removals, 1 change held for 45s: its store is not the one that was known
  removal of MeshTimeout "slow" in mesh "default"
  removal of Mesh "old"
  change of Mesh "default"
They end when they come back as they are here; \`kodiak zone accept global\` does what is held.
`,
  );
});

test("a long list is cut, with where the rest is", async (t) => {
  const held = Array.from({ length: 23 }, (_, i) => removal("MeshTimeout", "default", `t-${i}`));
  const { run } = await served(t, { links: linksOf(global(...held)) });
  const { out } = await run(["get", "zones"], { now });
  assert.match(out, /"t-19" in mesh "default"\n {2}and 3 more: GET \/_links lists them\n/);
});

test("zone accept says what was done; a link that is not there is an error", async (t) => {
  const { run } = await served(t, { links: linksOf(global()) });
  const done = { code: 0, out: "global: 2 removed, 1 to be taken as they are there\n", err: "" };
  assert.deepEqual(await run(["zone", "accept", "global"], { now }), done);
  const { code, err } = await run(["zone", "accept", "zone-x"], { now });
  assert.equal(code, 1);
  assert.match(err, /^error: zone accept: the link to "zone-x" does not exist/);
});

// What `get zones` says of zones that do not answer others, against a real API.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seed } from "#api/api.fixture.ts";
import { served } from "#cli/cli.fixture.ts";
import type { Links } from "#resources/links.ts";

const now = Date.UTC(2026, 0, 2, 12);
const silentZones = new Map([["zone-b", now - 300_000]]);

test("on global, whom a zone does not answer and since when", async (t) => {
  const seeds = ["zone-a", "zone-b"].map((name) => seed("Zone", name, { mesh: "" }));
  const links: Links = {
    list: () => [{ peer: "zone-a", held: [], heldSince: undefined, refused: [], silentZones }],
    accept: () => Promise.reject(new Error("not asked for")),
  };
  const { run } = await served(t, { seeds, links });
  assert.equal(
    (await run(["get", "zones"], { now })).out,
    `NAME     STATUS                     SILENT
zone-a   offline, never connected   -
zone-b   offline, never connected   to zone-a for 5m

zone-b: no ingress of it answers zone-a for 5m: what zone-a finds elsewhere goes there, until one answers
`,
  );
});

test("in the zone, what it found itself", async (t) => {
  const { run } = await served(t, { silentZones: () => silentZones });
  assert.match((await run(["get", "zones"], { now })).out, /^\nzone-b: no ingress of it answers this zone for 5m: /);
});

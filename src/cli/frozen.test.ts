// What `get zones` says of zones that are frozen, against a real API.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seed } from "#api/api.fixture.ts";
import { served } from "#cli/cli.fixture.ts";
import type { JsonObject } from "#lib/json.ts";
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

test("on global: a zone whose control plane is away, and one that has lost all of its ingresses, each for as long as it is so", async (t) => {
  const ago = (ms: number) => new Date(now - ms).toISOString();
  const went = (ms: number) => ({ subscriptions: [{ connectTime: ago(3_600_000), disconnectTime: ago(ms) }] });
  const came = { subscriptions: [{ connectTime: ago(3_600_000) }] };
  const zone = (name: string, insight: JsonObject) => [
    seed("Zone", name, { mesh: "" }),
    seed("ZoneInsight", name, { mesh: "", spec: insight }),
  ];
  const ingress = (name: string, of: string, insight: JsonObject) => [
    seed("ZoneIngress", name, { mesh: "", spec: { zone: of, networking: { address: "10.0.0.1", port: 10001 } } }),
    seed("ZoneIngressInsight", name, { mesh: "", spec: insight }),
  ];
  const seeds = [
    ...[zone("a", came), zone("b", went(120_000)), zone("c", came), zone("d", {})].flat(),
    ...[ingress("in-a1", "a", went(60_000)), ingress("in-a2", "a", came)].flat(),
    ...ingress("in-b", "b", went(60_000)),
    ...[ingress("in-c1", "c", went(300_000)), ingress("in-c2", "c", went(240_000))].flat(),
  ];
  const { run } = await served(t, { seeds });
  const { out } = await run(["get", "zones"], { now });
  assert.deepEqual(
    out.match(/^[abcd] .*$/gm)?.map((line) => line.split(/ {2,}/).at(-1)),
    ["-", "for 2m", "for 4m", "-"],
    out,
  );
  const said = [
    "b: frozen for 2m: its control plane is away; what was known of it then holds, and it keeps its traffic",
    "c: frozen for 4m: its control plane has lost its ingress; what that led to then holds, and others send there as long as it answers them",
  ];
  assert.ok(out.endsWith(said.map((line) => `\n${line}\n`).join("")), out);
});

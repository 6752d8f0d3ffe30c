// What `get zones` says of disabled and drained zones, and `zone drain` and `restore`, against a real API.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seed } from "#api/api.fixture.ts";
import { served } from "#cli/cli.fixture.ts";

const now = Date.UTC(2026, 0, 2, 12);
const zones = { revoke: async () => {}, now: () => now - 300_000 };
const seeds = [
  seed("Zone", "zone-a", { mesh: "", spec: { enabled: true } }),
  seed("Zone", "zone-b", { mesh: "", spec: { enabled: false } }),
];

test("zones that get no traffic of others are told in the table, and below it what ends that", async (t) => {
  const { run } = await served(t, { seeds, zones });
  await run(["zone", "drain", "zone-a"]);
  const { out } = await run(["get", "zones"], { now });
  assert.equal(
    out,
    `NAME     STATUS                     STATE
zone-a   offline, never connected   drained for 5m
zone-b   offline, never connected   disabled

zone-a: drained: it gets what no other zone has; \`kodiak zone restore zone-a\` ends that

zone-b: disabled: other zones get nothing of it, nor it of them; \`enabled: true\` in its Zone ends that
`,
  );
});

test("drained since the first time; a change of the Zone by its users keeps that, and does not bring it", async (t) => {
  let time = 1_000;
  const { run, call, store } = await served(t, { seeds, zones: { ...zones, now: () => time } });
  const since = () => store.get({ kind: "Zone", mesh: "", name: "zone-a" })?.labels["kodiak.io/drained-since"];
  const put = (labels: Readonly<Record<string, string>>) =>
    call("PUT", "/zones/zone-a", { body: { type: "Zone", name: "zone-a", labels, enabled: true } });
  await put({ "kodiak.io/drained-since": "1" });
  assert.equal(since(), undefined);
  assert.match((await run(["zone", "drain", "zone-a"])).out, /^zone-a: other zones send nothing there/);
  time = 2_000;
  assert.equal((await run(["zone", "drain", "zone-a"])).out, "zone-a: is drained already\n");
  await put({ team: "x" });
  assert.equal(since(), "1000");
  assert.equal((await run(["zone", "restore", "zone-a"])).out, "zone-a: other zones send there again\n");
  assert.equal((await run(["zone", "restore", "zone-a"])).out, "zone-a: is not drained\n");
  assert.equal(since(), undefined);
  assert.deepEqual(await run(["zone", "drain", "zone-c"]), {
    code: 1,
    out: "",
    err: 'error: zone drain: zone "zone-c" does not exist; `kodiak get zones` lists what there is\n',
  });
});

// As for bootstrap: whatever comes over KDS, from strangers and from zones that were let in.

import { test } from "node:test";
import { fuzzed } from "./fuzzed.ts";
import { joinedAs } from "./joined.ts";
import { laneName } from "./lanes.ts";
import { startStage } from "./stage.ts";

/** A zone writes its objects in one transaction at a time: more of them side by side. */
const zones = 32;

test("KDS, fuzzed", async (t) => {
  const stage = await startStage(t);
  const { of, facts, kds, isInTheZone: bystander } = stage;
  await t.test("by strangers", (t) => fuzzed(t, of, { ...kds, kinds: 2, inputs: "kds", facts, bystander }));
  const identities = await Promise.all(Array.from({ length: zones }, (_, lane) => joinedAs(stage, laneName(lane))));
  await t.test("by zones", (t) =>
    fuzzed(t, of, { ...kds, kinds: 2, identities, inputs: "kds as zones", facts, bystander }),
  );
});

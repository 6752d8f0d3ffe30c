// As for bootstrap: whatever comes over KDS, from strangers and from zones that were let in.

import { test } from "node:test";
import { fuzzed } from "./fuzzed.ts";
import { kdsInputs } from "./grpc-inputs.ts";
import { joinedAs } from "./joined.ts";
import { laneName } from "./sending.ts";
import { startStage } from "./stage.ts";

/** A zone writes its objects in one transaction at a time: more of them side by side. */
const zones = 16;

test("KDS, fuzzed", async (t) => {
  const stage = await startStage(t);
  const { of, kds, isInTheZone: bystander } = stage;
  const [strange, known] = await Promise.all([kdsInputs(false), kdsInputs(true)]);
  await t.test("by strangers", (t) => fuzzed(t, of, { ...kds, inputs: strange, bystander }));
  const identities = await Promise.all(Array.from({ length: zones }, (_, lane) => joinedAs(stage, laneName(lane))));
  await t.test("by zones", (t) => fuzzed(t, of, { ...kds, identities, inputs: known, bystander }));
});

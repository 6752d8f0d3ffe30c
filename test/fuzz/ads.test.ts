// As for bootstrap: whatever comes over ADS and HDS, and with whatever token.

import { test } from "node:test";
import { fuzzed } from "./fuzzed.ts";
import { startStage } from "./stage.ts";

test("ADS and HDS, fuzzed", async (t) => {
  const { of, facts, proxies, getsItsClusters: bystander } = await startStage(t);
  await t.test("requests", (t) => fuzzed(t, of, { ...proxies, inputs: "ads", facts, bystander }));
  await t.test("reports of health", (t) => fuzzed(t, of, { ...proxies, kinds: 4, inputs: "health", facts, bystander }));
  await t.test("tokens, of which none is taken", (t) =>
    fuzzed(t, of, { ...proxies, inputs: "tokens", facts, bystander }),
  );
});

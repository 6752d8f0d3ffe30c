// As for bootstrap: whatever comes to the HTTP API.

import { test } from "node:test";
import { apiInputs } from "./api-inputs.ts";
import { fuzzed } from "./fuzzed.ts";
import { startStage } from "./stage.ts";

test("the HTTP API, fuzzed", async (t) => {
  const { of, api, isInTheZone } = await startStage(t);
  await fuzzed(t, of, { ...api, inputs: apiInputs, bystander: isInTheZone });
});

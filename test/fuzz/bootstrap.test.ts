// Whatever comes to a port: no crash, no error of ours, no memory without bounds, and others are served meanwhile.

import { test } from "node:test";
import { bootstrapInputs } from "./bootstrap-inputs.ts";
import { fuzzed } from "./fuzzed.ts";
import { startStage } from "./stage.ts";

test("bootstrap, fuzzed", async (t) => {
  const stage = await startStage(t);
  const { of, proxies, getsItsBootstrap: bystander } = stage;
  await fuzzed(t, of, { ...proxies, inputs: await bootstrapInputs(stage), bystander });
});
